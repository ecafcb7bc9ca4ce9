//! The directory as edges follow it: whole, page by page, or what changed since a version.

use super::{CallError, DirectoryVersion, Operator, Reply, StoredAccount, checked};
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

/// What an edge gets.
pub enum FeedAnswer {
    /// It has the version that there is.
    Same(DirectoryVersion),
    /// A page, and the id after which the next one begins.
    Page(DirectoryVersion, Json, Option<String>),
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
        let first = self
            .page("", if changes && tag.is_some() { 1 } else { PAGE })
            .await?;
        if first.version.number == 0 {
            let problem = "the directory never had an account, so it is not whole: write one first";
            return Err(CallError::Store(problem.to_owned()));
        }
        let known = tag.and_then(|tag| first.version.number_of(tag));
        if let Some(known) = known {
            if known == first.version.number {
                return Ok(FeedAnswer::Same(first.version));
            }
            if changes
                && known >= first.version.floor
                && let Some(page) = self.changes(known).await?
            {
                return Ok(FeedAnswer::of(&page));
            }
        }
        match changes && tag.is_some() {
            true => Ok(FeedAnswer::of(&self.page("", PAGE).await?)),
            false => Ok(FeedAnswer::of(&first)),
        }
    }

    /// Returns a later page of the whole directory.
    pub async fn feed_after(&self, after: &str) -> Result<FeedAnswer, CallError> {
        Ok(FeedAnswer::of(&self.page(checked(after)?, PAGE).await?))
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
    fn read(reply: Reply) -> Option<Self> {
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
    fn of(page: &AccountPage) -> Self {
        let accounts = page.accounts.iter();
        let accounts: Vec<_> = accounts.map(|(id, one)| one.in_feed(id)).collect();
        let mut body = json!({"accounts": accounts});
        if !page.removed.is_empty()
            && let Some(body) = body.as_object_mut()
        {
            body.insert("removed".to_owned(), json!(page.removed));
        }
        let last = page.accounts.last().filter(|_| page.more);
        Self::Page(page.version.clone(), body, last.map(|(id, _)| id.clone()))
    }
}
