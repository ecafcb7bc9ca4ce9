//! The directory as edges follow it: whole, page by page, or what changed since a version.

use super::{CallError, DirectoryReply, DirectoryVersion, Operator, StoredAccount};
use serde_json::{Value as Json, json};

/// The accounts of a page of the feed.
const PAGE: usize = 2_000;

/// A page of the directory, in the order of ids.
pub struct AccountPage {
    pub version: DirectoryVersion,
    pub accounts: Vec<(String, StoredAccount)>,
    /// Ids that were removed.
    pub removed: Vec<String>,
    /// True when there are more.
    pub more: bool,
}

/// The answer to an edge.
pub enum FeedAnswer {
    /// It has the version that there is.
    Same(DirectoryVersion),
    /// A page, and the next one, if there is one.
    Page(DirectoryVersion, Json, Option<NextPage>),
}

/// The place of the next page of the whole directory.
pub struct NextPage {
    /// The id after which it begins.
    pub after: String,
    /// The version of the first page.
    pub first: u64,
}

impl DirectoryVersion {
    /// Returns the entity tag of this state.
    pub fn tag(&self) -> String {
        format!("\"{}.{}.{}\"", self.born, self.store, self.number)
    }

    /// Returns the version that an entity tag names, of this directory.
    fn number_of(&self, tag: &str) -> Option<u64> {
        let (state, number) = tag.trim_matches('"').rsplit_once('.')?;
        let number: u64 = number.parse().ok()?;
        let is_same = state.split_once('.') == Some((&self.born, &self.store));
        (is_same && number <= self.number).then_some(number)
    }
}

impl Operator<'_> {
    /// Returns what an edge gets that has the state of an entity tag. It gets changes alone only where it
    /// asks for them; else all, as where the tag is of another directory or too old.
    pub async fn feed(&self, tag: Option<&str>, changes: bool) -> Result<FeedAnswer, CallError> {
        if let Some(tag) = tag {
            let now = self.directory("look", "-", &[]).await?.version;
            match now.number_of(tag) {
                Some(known) if known == now.number => return Ok(FeedAnswer::Same(now)),
                Some(known) if changes && known >= now.floor => {
                    if let Some(page) = self.changes(known).await? {
                        return Ok(FeedAnswer::of(&page, None));
                    }
                }
                _ => {}
            }
        }
        self.feed_after("", None, changes).await
    }

    /// Returns a page of the whole directory, after an id. The last one names what was removed up to the
    /// version of the first, where the edge takes changes: it keeps what no page names.
    pub async fn feed_after(
        &self,
        after: &str,
        first: Option<u64>,
        changes: bool,
    ) -> Result<FeedAnswer, CallError> {
        let mut page = self.page(after, PAGE).await?;
        if !page.version.ready {
            let problem = "the directory is not whole yet: POST /v1/ready says that it is";
            return Err(CallError::Store(problem.to_owned()));
        }
        let first = first.unwrap_or(page.version.number);
        if changes && !page.more {
            page.removed = self.gone(first).await?;
        }
        Ok(FeedAnswer::of(&page, Some(first)))
    }

    /// Returns the ids that were removed up to a version.
    async fn gone(&self, until: u64) -> Result<Vec<String>, CallError> {
        let reply = self.directory("gone", &until.to_string(), &[]).await?;
        let ids = reply.rest.iter().filter_map(super::text);
        Ok(ids.map(str::to_owned).collect())
    }

    pub(super) async fn page(&self, after: &str, most: usize) -> Result<AccountPage, CallError> {
        let reply = self.directory("page", after, &[&most.to_string()]).await?;
        AccountPage::read(reply).ok_or_else(|| CallError::Store("a page that is none".into()))
    }

    /// Returns what changed since a version; `None` where that is too much for a page.
    async fn changes(&self, since: u64) -> Result<Option<AccountPage>, CallError> {
        let since = since.to_string();
        let reply = self
            .directory("changes", &since, &[&PAGE.to_string()])
            .await?;
        let page = AccountPage::read(reply);
        let page = page.ok_or_else(|| CallError::Store("changes that are none".into()))?;
        Ok((!page.more).then_some(page))
    }
}

impl AccountPage {
    fn read(reply: DirectoryReply) -> Option<Self> {
        let more = reply.number(0)? == 1;
        let (mut accounts, mut removed) = (Vec::new(), Vec::new());
        for pair in reply.rest.get(1..)?.chunks(2) {
            let [id, entry] = pair else {
                return None;
            };
            let id = super::text(id)?.to_owned();
            match super::text(entry)? {
                "" => removed.push(id),
                entry => accounts.push((id, StoredAccount::read(entry)?)),
            }
        }
        Some(Self {
            version: reply.version,
            accounts,
            removed,
            more,
        })
    }
}

impl FeedAnswer {
    fn of(page: &AccountPage, first: Option<u64>) -> Self {
        let accounts = page.accounts.iter();
        let accounts: Vec<_> = accounts.map(|(id, one)| one.in_feed(id)).collect();
        let mut body = json!({"accounts": accounts});
        if !page.removed.is_empty()
            && let Some(body) = body.as_object_mut()
        {
            body.insert("removed".to_owned(), json!(page.removed));
        }
        let last = page.accounts.last().filter(|_| page.more);
        let next = last.zip(first).map(|((id, _), first)| NextPage {
            after: id.clone(),
            first,
        });
        Self::Page(page.version.clone(), body, next)
    }
}
