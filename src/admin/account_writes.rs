//! The admin calls that change accounts: in the directory, and in the ledger.

use super::account_view::text;
use super::checks::check_put;
use super::{AdminResponse, Api, LOGGED_CHARS, Problem, body};
use crate::directory::Directory;
use crate::directory::entry::{AccountEntry, TierBasis};
use crate::directory::feed::leader::SharedFeedState;
use crate::directory::written::CheckedEntry;
use crate::http::visible::visible;
use crate::ledger::RecordChange;
use crate::limits::{Limits, Plan, Terms};
use crate::reply::usage::UseView;
use crate::tiers::recharge::RechargeEvent;
use crate::time::Span;
use serde::Serialize;

/// The fields that the next import of a feed replaces.
const REPLACED_BY_FEED: [&str; 5] = ["recharge", "tier", "account", "since", "feed"];

/// The result of a write: what holds from now on.
#[derive(Debug, Serialize)]
pub struct WrittenAccount {
    /// The account's id, as text.
    id: String,
    /// Cumulative recharge.
    recharge: Option<String>,
    /// The tier's name.
    tier: Option<String>,
    /// The account that this id stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// True when the account is switched off.
    disabled: bool,
    /// True when the account passes uncounted.
    exempt: bool,
    /// True when the write makes a voucher due.
    voucher_due: bool,
    /// False for a recharge that was already recorded.
    new: bool,
    /// True when the directory holds all accounts.
    ready: bool,
    /// The fields that hold until the feed's next change; absent without a feed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    until_next_feed: &'static [&'static str],
}

/// The report of a bulk write.
#[derive(Debug, Serialize)]
struct BulkReport {
    /// The number of accounts written.
    accepted: usize,
    /// The accounts that were not written.
    refused: Vec<RefusedItem>,
    /// True when the directory holds all accounts.
    ready: bool,
}

#[derive(Debug, Serialize)]
struct RefusedItem {
    /// The position in the call, from 1.
    item: usize,
    /// The account's id, where it could be read.
    id: Option<String>,
    /// The problem.
    message: String,
}

/// The result of a change of an entry.
#[derive(Clone, Copy, Debug)]
struct Done {
    voucher_due: bool,
    new: bool,
}

impl Api<'_> {
    pub(super) fn in_use_directory(&self) -> Result<&Directory, Problem> {
        self.limiter.directory().ok_or(Problem::NoSuchPath)
    }

    pub(super) fn put(&mut self, id: &[u8], body: &[u8]) -> Result<AdminResponse, Problem> {
        let put = body::put(body)?;
        check_put(self.config(), id, &put)?;
        self.write_put(id, &put)
            .map(|written| AdminResponse::ok(&written))
    }

    fn write_put(&mut self, id: &[u8], put: &CheckedEntry) -> Result<WrittenAccount, Problem> {
        let rule = self.config().voucher;
        self.write("PUT", id, |entry| {
            let mut voucher_due = false;
            (entry.tier, entry.alias_of) = (None, None);
            match &put.basis {
                TierBasis::Recharge(total) => {
                    let history = entry.history.get_or_insert_default();
                    voucher_due = history.set(*total, rule.as_ref());
                }
                TierBasis::Tier(name) => entry.tier = Some(name.to_string()),
                TierBasis::Alias(target) => entry.alias_of = Some(target.as_bytes().to_vec()),
            }
            entry.since = put.since.or(entry.since);
            entry.admin = put.terms.clone();
            Done {
                voucher_due,
                new: true,
            }
        })
    }

    /// Writes many accounts, each by itself.
    pub(super) fn put_many(&mut self, body: &[u8]) -> Result<AdminResponse, Problem> {
        let items = body::items(body)?;
        let mut report = BulkReport {
            accepted: 0,
            refused: Vec::new(),
            ready: false,
        };
        for (item, text) in (1..).zip(&items) {
            let done = self.put_item(text);
            match done {
                Ok(()) => report.accepted = report.accepted.saturating_add(1),
                Err((id, problem)) => report.refused.push(RefusedItem {
                    item,
                    id,
                    message: problem.to_string(),
                }),
            }
        }
        report.ready = self.in_use_directory()?.is_ready(self.host)?;
        Ok(AdminResponse::ok(&report))
    }

    fn put_item(&mut self, item: &[u8]) -> Result<(), (Option<String>, Problem)> {
        let (id, put) = body::item(item)?;
        let written = check_put(self.config(), id.as_bytes(), &put)
            .and_then(|()| self.write_put(id.as_bytes(), &put));
        written.map(|_| ()).map_err(|problem| (Some(id), problem))
    }

    pub(super) fn recharge(&mut self, id: &[u8], body: &[u8]) -> Result<AdminResponse, Problem> {
        let recharge = body::recharge(body)?;
        if self.has_feed()? {
            return Err(Problem::FeedDecides);
        }
        if self.target_of(id)?.is_some() {
            return Err(Problem::IsAlias);
        }
        let rule = self.config().voucher;
        let event = RechargeEvent {
            id: self.limiter.ledger().hash(recharge.id.as_bytes()),
            kind: recharge.kind,
            amount: recharge.amount,
        };
        let written = self.write("POST recharge to", id, |entry| {
            let history = entry.history.get_or_insert_default();
            let applied = history.apply(&event, rule.as_ref());
            Done {
                voucher_due: applied.voucher_due,
                new: applied.is_new,
            }
        })?;
        Ok(AdminResponse::ok(&written))
    }

    /// Returns the account that an id stands for.
    pub(super) fn target_of(&self, id: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
        let key = self.limiter.ledger().key(id);
        let entry = self.in_use_directory()?.find(self.host, key)?;
        Ok(entry.and_then(|entry| entry.alias_of))
    }

    /// True while a config of the namespace imports a feed.
    fn has_feed(&self) -> Result<bool, Problem> {
        let stored = SharedFeedState::of(&self.config().namespace);
        let (feed, now) = stored.read(self.host)?;
        Ok(feed.is_alive(now))
    }

    /// Changes an entry.
    fn write(
        &mut self,
        call: &str,
        id: &[u8],
        change: impl Fn(&mut AccountEntry) -> Done,
    ) -> Result<WrittenAccount, Problem> {
        let key = self.limiter.ledger().key(id);
        let directory = self.in_use_directory()?;
        // Nothing fails after the write.
        let ready = directory.is_ready(self.host)?;
        let has_feed = self.has_feed()?;
        let changed = directory.change(self.host, (key, id), |before| {
            let mut entry = before.clone().unwrap_or_default();
            let done = change(&mut entry);
            if done.new {
                entry.by_feed = false;
            }
            (Some(entry.clone()), (before, entry, done))
        });
        let (before, after, done) = changed?;
        let view = self.entry_view(&after);
        self.note_write(call, id, before.as_ref(), Some(&after));
        Ok(WrittenAccount {
            id: text(id),
            recharge: view.recharge,
            tier: view.tier,
            account: view.account,
            disabled: view.disabled,
            exempt: view.exempt,
            voucher_due: done.voucher_due,
            new: done.new,
            ready,
            until_next_feed: if has_feed { &REPLACED_BY_FEED } else { &[] },
        })
    }

    /// Notes a write for the log, with the entry before and after.
    fn note_write(
        &mut self,
        call: &str,
        id: &[u8],
        before: Option<&AccountEntry>,
        after: Option<&AccountEntry>,
    ) {
        let shown = |entry: Option<&AccountEntry>| {
            let view = entry.map(|entry| self.entry_view(entry));
            serde_json::to_string(&view).unwrap_or_default()
        };
        let (before, after) = (shown(before), shown(after));
        let id = visible(id, LOGGED_CHARS);
        self.writes.push(format!(
            "{call} account {id}: before {before}, after {after}"
        ));
    }

    /// Forgets an account: its entry, its usage, and its refusals.
    pub(super) fn delete(&mut self, id: &[u8]) -> Result<AdminResponse, Problem> {
        let key = self.limiter.ledger().key(id);
        let directory = self.in_use_directory()?;
        let before = directory.change(self.host, (key, id), |entry| (None, entry))?;
        if before.is_some() {
            self.note_write("DELETE", id, before.as_ref(), None);
        }
        let had_usage = self.has_usage(id)? && self.clear_usage(id)?;
        self.limiter.forget_name(self.host, key)?;
        let had_refusals = self.limiter.forget_refusals(self.host, id)?;
        if before.is_none() {
            if !had_usage && !had_refusals {
                return Err(Problem::UnknownAccount);
            }
            self.note_write("DELETE", id, None, None);
        }
        Ok(AdminResponse::ok(
            &serde_json::json!({"id": text(id), "deleted": true}),
        ))
    }

    pub(super) fn reset(&mut self, id: &[u8]) -> Result<AdminResponse, Problem> {
        let target = self.target_of(id)?;
        let reset = self.clear_usage(target.as_deref().unwrap_or(id))?;
        let id_text = visible(id, LOGGED_CHARS);
        self.writes.push(format!("POST reset of account {id_text}"));
        let mut done = serde_json::json!({"id": text(id), "reset": reset});
        if self.config().fleet.is_some()
            && let Some(done) = done.as_object_mut()
        {
            // The fleet's use is reset at its service.
            done.insert("edge_only".to_owned(), true.into());
        }
        Ok(AdminResponse::ok(&done))
    }

    /// True when something is counted for an account that a reset clears: requests in flight stay.
    fn has_usage(&self, id: &[u8]) -> Result<bool, Problem> {
        let Some(view) = self.unlisted(id)? else {
            return Ok(false);
        };
        let models = view.models.0.iter().map(|(_, usage)| usage);
        let mut scopes = view.usage.iter().chain(models);
        let is_cleared = |one: &UseView| one.is_used() && one.reset_ms.is_some();
        Ok(scopes.any(|usage| usage.0.iter().any(|(_, one)| is_cleared(one))))
    }

    /// Clears the usage of an account; true when it has a record of its own.
    fn clear_usage(&self, id: &[u8]) -> Result<bool, Problem> {
        let key = self.limiter.ledger().key(id);
        let plan = Plan::new(Limits::default(), self.config().windows);
        let terms = Terms {
            plan: &plan,
            lowered: None,
            tells: None,
            concurrency_wait: Span::ZERO,
        };
        let table = self.limiter.vm_table();
        let ledger = self.limiter.ledger();
        // The overflow record has the use of other accounts too.
        let cleared = ledger.change(self.host, key, &terms, &*table, |record, _| {
            if record.is_overflow() {
                return RecordChange::Keep(false);
            }
            record.clear_usage();
            RecordChange::Write(true)
        });
        Ok(cleared?)
    }

    /// Marks the directory as complete.
    pub(super) fn ready(&mut self) -> Result<AdminResponse, Problem> {
        self.in_use_directory()?.set_ready(self.host)?;
        self.limiter.note_ready();
        self.writes.push("POST ready".to_owned());
        Ok(AdminResponse::ok(&serde_json::json!({"ready": true})))
    }
}
