//! The state of the filter: the JSON of `GET {p}/status`, which the page shows too.
//!
//! `tiergate top` reads the same types, from filters of any version. A field that some filter lacks
//! has a default, which means "not reported". Unknown fields are skipped.

use super::overload::OverloadStatus;
use super::{Api, Problem};
use crate::directory;
use crate::directory::feed::leader::SharedFeedState;
use crate::identity::TierSource;
use crate::json::values::null_as_default;
use crate::ledger;
use crate::ledger::page::LAYOUT;
use crate::limits::Limits;
use crate::refusals::{self, RecentRefusal, RefusalLog, Total};
use crate::shared::Fill;
use crate::tiers::{Tier, TierId};
use crate::time::{Mono, Span};
use crate::version::{BUILD, VERSION};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the filter is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the module.
    #[serde(default)]
    pub version: String,
    /// Git commit that the module was built from.
    #[serde(default)]
    pub build: String,
    /// Prefix of every shared-data key.
    pub namespace: String,
    /// `enforce` or `shadow`. Text, so that a mode of a newer filter can be shown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub mode: String,
    /// SHA-256 of the config as it is written, in hex.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: String,
    /// Version of the layout of stored values.
    #[serde(default)]
    pub layout: u8,
    /// VMs that have admitted a request and prove that they live.
    pub live_vms: Option<usize>,
    /// How full the ledger is; no pages where that is not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ledger: Fill,
    /// How full the directory is; no pages where that is not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub directory: Fill,
    /// Whether the directory holds all accounts; null where no tier source is the directory.
    pub ready: Option<bool>,
    /// How the directory's feed is; null without one, or while that can't be read.
    pub feed: Option<FeedView>,
    /// The tiers of this config, ascending by recharge; at least one where they are reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tiers: Vec<TierView>,
    /// What lowers limits now.
    #[serde(default, deserialize_with = "null_as_default")]
    pub load: OverloadStatus,
    /// Shared data in bytes; a bound of 0 where that is not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub memory: MemoryView,
    /// What was refused lately; a window of 0 s where that is not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub refusals: RefusalsView,
}

/// How the directory's feed is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedView {
    /// Whether a load is going on.
    pub loading: bool,
    /// Since the directory was last known to be whole, in ms; null before it first was.
    pub age_ms: Option<u64>,
    /// Until the next load, in ms.
    pub due_in_ms: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The ETag of the last whole load, as text; empty for none.
    pub etag: String,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierView {
    /// Its name.
    pub name: String,
    /// The cumulative recharge from which on an account is in it, in USD: "20.00".
    #[serde(default)]
    pub recharge: String,
    /// Its limits. Not read back: a newer filter may have other kinds.
    #[serde(skip_deserializing, default = "unlimited")]
    pub limits: Limits,
    /// The limits that requests are judged by now. Not read back either.
    #[serde(skip_deserializing, default = "unlimited")]
    pub in_force: Limits,
    /// The scale of concurrency, RPM and TPM that is in force: 0 to 1.
    #[serde(default = "in_full")]
    pub scale: f64,
}

const fn in_full() -> f64 {
    1.0
}

const fn unlimited() -> Limits {
    Limits::UNLIMITED
}

/// Shared data in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryView {
    /// What ledger and directory take now, estimated from the pages that were looked at.
    pub bytes: u64,
    /// The most that all values can take.
    pub bound: u64,
}

/// What was refused lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusalsView {
    /// For how long refusals are kept, in seconds.
    pub window_s: u64,
    /// How many, in the order of the tiers, then by code.
    pub by_limit: Vec<RefusedView>,
    /// The newest by account, newest first.
    pub accounts: Vec<RefusedAccountView>,
}

/// How many were refused in one tier by one limit, or for another reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// The tier's name; "none" where it is not known.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// Whether only because limits were lowered for load.
    #[serde(default)]
    pub overloaded: bool,
    /// True when a config in shadow mode let it through.
    #[serde(default)]
    pub shadowed: bool,
    /// In the last 50 to 60 s.
    #[serde(default)]
    pub last_minute: u64,
    /// In the last 290 to 300 s.
    #[serde(default)]
    pub last_5_minutes: u64,
}

/// Refusals of one account for one reason, of the last 5 minutes as far as the list goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAccountView {
    /// Its id as text that is safe to look at, of at most 64 characters; null for none.
    pub account: Option<String>,
    /// Its id as a segment of a path, percent-encoded; null for none, and for one over 64 bytes.
    pub id: Option<String>,
    /// The tier's name; "none" where it is not known.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// Whether only because limits were lowered for load.
    #[serde(default)]
    pub overloaded: bool,
    /// True when a config in shadow mode let it through.
    #[serde(default)]
    pub shadowed: bool,
    /// How many.
    #[serde(default)]
    pub count: u64,
    /// Since the last of them, in seconds.
    #[serde(default)]
    pub seconds_ago: u64,
}

impl Api<'_> {
    /// How the filter is.
    pub(super) fn status(&self) -> Result<Status, Problem> {
        let directory = self.in_use_directory()?;
        let ledger = self.limiter.ledger().fill(self.host)?;
        let entries = directory.fill(self.host)?;
        let ready = match self.config().tier.contains(&TierSource::Directory) {
            true => Some(directory.is_ready(self.host)?),
            false => None,
        };
        let load = self.overload_status();
        let (mut log, now) = self.limiter.refusals().read(self.host)?;
        log.expire(now);
        Ok(Status {
            version: VERSION.to_owned(),
            build: BUILD.to_owned(),
            namespace: self.config().namespace.clone(),
            mode: self.config().mode.as_str().to_owned(),
            config: self.config().digest.clone(),
            layout: LAYOUT.version,
            live_vms: Some(self.limiter.vm_table().alive()),
            ledger,
            directory: entries,
            ready,
            feed: self.feed_status(),
            tiers: self.tier_views(&load, now),
            load,
            memory: MemoryView {
                bytes: ledger.estimate().saturating_add(entries.estimate()),
                bound: ledger::memory_bound(self.config().accounts)
                    .saturating_add(directory::memory_bound(self.config().directory_accounts))
                    .saturating_add(refusals::MOST_BYTES),
            },
            refusals: self.refusals_view(&log, now),
        })
    }

    fn tier_views(&self, load: &OverloadStatus, now: Mono) -> Vec<TierView> {
        let numbered = self.config().tiers.entries();
        let view = |(id, tier): (TierId, &Tier)| TierView {
            name: tier.name.clone(),
            recharge: tier.recharge.decimal(),
            limits: tier.limits,
            in_force: self.limiter.overload().effective(id, &tier.limits, now),
            scale: load.in_force.get(&tier.name).copied().unwrap_or(1.0),
        };
        numbered.map(view).collect()
    }

    /// How the feed is; null without one, or while that can't be read.
    fn feed_status(&self) -> Option<FeedView> {
        self.config().feed.as_ref()?;
        let was_whole = self.limiter.directory()?.is_ready(self.host).ok()?;
        let stored = SharedFeedState::of(&self.config().namespace);
        let (feed, now) = stored.read(self.host).ok()?;
        Some(FeedView {
            loading: feed.has_leader(now),
            age_ms: was_whole.then(|| now.since(feed.synced_at).as_millis()),
            due_in_ms: feed.due.since(now).as_millis(),
            failures: feed.failures,
            etag: String::from_utf8_lossy(&feed.etag).into_owned(),
        })
    }

    fn refusals_view(&self, log: &RefusalLog, now: Mono) -> RefusalsView {
        let mut by_limit: Vec<_> = log.totals(now).map(refused_view).collect();
        // Tiers of other configs of this namespace come last; a sort that is stable keeps the codes.
        let order = |row: &RefusedView| {
            let place = self.config().tiers.by_name(row.tier.as_bytes());
            place.map_or(usize::MAX, TierId::index)
        };
        by_limit.sort_by_key(order);
        RefusalsView {
            window_s: refusals::WINDOW_S,
            by_limit,
            accounts: refused_accounts(log, now),
        }
    }
}

/// The name that the config has for it.
fn refused_view(total: Total<'_>) -> RefusedView {
    RefusedView {
        tier: total.reason.tier.clone(),
        code: total.reason.code.clone(),
        overloaded: total.reason.overloaded,
        shadowed: total.reason.shadowed,
        last_minute: total.last_minute,
        last_5_minutes: total.in_all,
    }
}

/// One of each account, tier and code, newest first: the board has one for each bucket.
fn refused_accounts(log: &RefusalLog, now: Mono) -> Vec<RefusedAccountView> {
    let mut views: Vec<RefusedAccountView> = Vec::new();
    let mut places = BTreeMap::new();
    for (recent, ago) in log.newest(now) {
        let place = *places
            .entry((&recent.account, &recent.reason))
            .or_insert(views.len());
        match views.get_mut(place) {
            Some(view) => view.count = view.count.saturating_add(recent.count),
            None => views.push(refused_account_view((recent, ago))),
        }
    }
    views
}

fn refused_account_view((recent, ago): (&RecentRefusal, Span)) -> RefusedAccountView {
    let account = recent.account.as_ref();
    let whole = account.filter(|id| !id.is_cut);
    RefusedAccountView {
        account: account.map(refusals::Id::visible),
        id: whole.map(|id| percent_encode(&id.bytes, NON_ALPHANUMERIC).to_string()),
        tier: recent.reason.tier.clone(),
        code: recent.reason.code.clone(),
        overloaded: recent.reason.overloaded,
        shadowed: recent.reason.shadowed,
        count: recent.count,
        seconds_ago: ago.as_secs_ceil(),
    }
}
