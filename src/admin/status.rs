//! The state of the filter: the JSON of `GET {p}/status`, which the page shows too.
//!
//! `tiergate top` reads the same types from filters of any version. A field that a filter does not
//! send has a default, which means "not reported". Unknown fields are skipped.

use super::overload::OverloadStatus;
use super::{Api, Problem};
use crate::claims::AliveConfig;
use crate::directory;
use crate::directory::feed::leader::SharedFeedState;
use crate::identity::TierSource;
use crate::json::Named;
use crate::json::values::null_as_default;
use crate::ledger::page::LAYOUT;
use crate::limiter::FleetStatus;
use crate::limits::{Limits, Shown};
use crate::order::in_order;
use crate::refusals::{self, RecentRefusal, RefusalLog, Total};
use crate::shared::Fill;
use crate::tiers::{Cents, Tier, TierId};
use crate::time::{Mono, Span};
use crate::version::{BUILD, VERSION};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of the filter.
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
    /// `enforce` or `shadow`. Text, so that the mode of a newer filter can be shown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub mode: String,
    /// SHA-256 of the text of the config in force, in hex.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: String,
    /// The configs of the namespace that are alive, the one that arrived last first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub configs: Vec<ConfigView>,
    /// The time for which configs with different tiers, families or windows have been alive together, in
    /// seconds; null where all have the same.
    #[serde(default)]
    pub tables_differ_s: Option<u64>,
    /// Version of the stored values' layout.
    #[serde(default)]
    pub layout: u8,
    /// VMs with a slot: those with a request in flight or in the last 2 s.
    pub live_vms: Option<usize>,
    /// The ledger's fill level; 0 pages when not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub ledger: Fill,
    /// The directory's fill level; 0 pages when not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub directory: Fill,
    /// True when the directory holds all accounts; null when no tier source is the directory.
    pub ready: Option<bool>,
    /// The state of the feed; null without a feed, or while its state can't be read.
    pub feed: Option<FeedView>,
    /// This edge in the fleet; null without one.
    pub fleet: Option<FleetStatus>,
    /// The tiers of this config, ascending by recharge; empty when not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tiers: Vec<TierView>,
    /// The lowering of limits.
    #[serde(default, deserialize_with = "null_as_default")]
    pub load: OverloadStatus,
    /// Shared data in bytes; a bound of 0 when not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub memory: MemoryView,
    /// The recent refusals; a window of 0 s when not reported.
    #[serde(default, deserialize_with = "null_as_default")]
    pub refusals: RefusalsView,
}

/// A config that is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigView {
    /// The first 16 hex digits of the config's digest.
    pub config: String,
    /// A hash of tiers, families and windows, in hex.
    pub table: String,
    /// True for the config in force.
    pub in_force: bool,
    /// The time since its first arrival, in seconds.
    pub age_s: u64,
    /// The time since the last request that it judged, in seconds; null before the first.
    pub idle_s: Option<u64>,
}

/// The time for which Envoy drains a replaced config, unless it is told otherwise, in seconds. Tables
/// that differ for longer belong to two listeners.
pub const DRAIN_S: u64 = 600;

impl Status {
    /// True when configs with different tables are alive for longer than a drain.
    pub fn has_two_tables(&self) -> bool {
        self.tables_differ_s.is_some_and(|since| since > DRAIN_S)
    }
}

/// Returns the time since two tables are alive: that of the last arrival of the configs in whose table
/// another has no part.
fn tables_differ(alive: &[AliveConfig]) -> Option<u64> {
    let first = alive.first()?;
    let mut same = alive.iter();
    let other = same.position(|one| one.config.table != first.config.table)?;
    // The configs before that one arrived later, and all have the same table.
    let newest = alive.get(other.checked_sub(1)?)?;
    Some(newest.age.as_millis().div_euclid(1000))
}

fn config_view(alive: &AliveConfig) -> ConfigView {
    let seconds = |span: Span| span.as_millis().div_euclid(1000);
    ConfigView {
        config: format!("{:016x}", alive.config.digest),
        table: format!("{:016x}", alive.config.table),
        in_force: alive.is_in_force,
        age_s: seconds(alive.age),
        idle_s: alive.idle.map(seconds),
    }
}

/// The state of the directory's feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedView {
    /// True while an import runs.
    pub loading: bool,
    /// Time since the last complete import, in ms; null before the first.
    pub age_ms: Option<u64>,
    /// Time until the next import, in ms.
    pub due_in_ms: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The ETag of the last complete import, as text; empty for none.
    pub etag: String,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierView {
    /// The tier's name.
    pub name: String,
    /// The minimum cumulative recharge of the tier, in USD: "20.00"; null where tiers are names alone.
    #[serde(default)]
    pub recharge: Option<String>,
    /// The tier's own mode, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The base limits. Not read back: a newer filter may have other kinds.
    #[serde(skip_deserializing)]
    pub limits: Limits,
    /// The base limits on families of models, by family. Not read back either.
    #[serde(skip_deserializing, skip_serializing_if = "Named::is_empty")]
    pub models: Named<Named<Shown>>,
    /// The effective limits. Not read back either.
    #[serde(skip_deserializing)]
    pub in_force: Limits,
    /// The effective scale of concurrency and of limits that slide within an hour: 0 to 1.
    #[serde(default = "in_full")]
    pub scale: f64,
}

const fn in_full() -> f64 {
    1.0
}

/// Shared data in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryView {
    /// The size of ledger and directory, estimated from the pages that were read.
    pub bytes: u64,
    /// The maximum size of all values.
    pub bound: u64,
}

/// The recent refusals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusalsView {
    /// The time for which refusals are kept, in seconds.
    pub window_s: u64,
    /// The counts, in the order of the tiers, then by code.
    pub by_limit: Vec<RefusedView>,
    /// The newest refusals by account, newest first.
    pub accounts: Vec<RefusedAccountView>,
}

/// The refusals of one tier by one limit, or for another reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// The tier's name; "none" when unknown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// True when limits lowered for overload are the only cause.
    #[serde(default)]
    pub overloaded: bool,
    /// True when a config in shadow mode let it through.
    #[serde(default)]
    pub shadowed: bool,
    /// The count of the last 50 to 60 s.
    #[serde(default)]
    pub last_minute: u64,
    /// The count of the last 290 to 300 s.
    #[serde(default)]
    pub last_5_minutes: u64,
}

/// The refusals of one account for one reason, in the last 5 minutes as far as the log reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAccountView {
    /// The id as safe text of at most 64 characters; null for none.
    pub account: Option<String>,
    /// The id as a percent-encoded path segment; null for none, and for an id over 64 bytes.
    pub id: Option<String>,
    /// The tier's name; "none" when unknown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// True when limits lowered for overload are the only cause.
    #[serde(default)]
    pub overloaded: bool,
    /// True when a config in shadow mode let it through.
    #[serde(default)]
    pub shadowed: bool,
    /// The number of refusals.
    #[serde(default)]
    pub count: u64,
    /// Time since the last refusal, in seconds.
    #[serde(default)]
    pub seconds_ago: u64,
}

impl Api<'_> {
    /// Returns the state of the filter.
    pub(super) fn status(&self) -> Result<Status, Problem> {
        let directory = self.in_use_directory()?;
        let ledger = self.limiter.ledger().fill(self.host)?;
        let entries = directory.fill(self.host)?;
        let ready = match self.config().tier.contains(&TierSource::Directory) {
            true => Some(directory.is_ready(self.host)?),
            false => None,
        };
        let load = self.overload_status();
        let alive = self.limiter.configs();
        let (mut log, now) = self.limiter.refusals().read(self.host)?;
        log.expire(now);
        Ok(Status {
            version: VERSION.to_owned(),
            build: BUILD.to_owned(),
            namespace: self.config().namespace.clone(),
            mode: self.config().mode.as_str().to_owned(),
            config: self.config().digest.clone(),
            configs: alive.iter().map(config_view).collect(),
            tables_differ_s: tables_differ(&alive),
            layout: LAYOUT.version,
            live_vms: Some(self.limiter.vm_table().alive()),
            ledger,
            directory: entries,
            ready,
            feed: self.feed_status(),
            fleet: self.limiter.fleet_status(self.host),
            tiers: self.tier_views(&load, now),
            load,
            memory: MemoryView {
                bytes: ledger.estimate().saturating_add(entries.estimate()),
                bound: self
                    .limiter
                    .ledger()
                    .memory_bound()
                    .saturating_add(directory::memory_bound(directory.pages()))
                    .saturating_add(refusals::MOST_BYTES),
            },
            refusals: self.refusals_view(&log, now),
        })
    }

    fn tier_views(&self, load: &OverloadStatus, now: Mono) -> Vec<TierView> {
        let numbered = self.config().tiers.entries();
        let view = |(id, tier): (TierId, &Tier)| TierView {
            name: tier.name.clone(),
            recharge: tier.recharge.map(Cents::decimal),
            mode: tier.mode.map(|mode| mode.as_str().to_owned()),
            limits: tier.all_limits(),
            models: tier.models.shown().models(),
            in_force: self
                .limiter
                .overload()
                .effective(id, &tier.all_limits(), now),
            scale: load.in_force.get(&tier.name).copied().unwrap_or(1.0),
        };
        numbered.map(view).collect()
    }

    /// Returns the state of the feed; `None` without a feed, or while its state can't be read.
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
        let by_limit = log.totals(now).map(refused_view);
        // Tiers of other configs of the namespace come last. The stable sort keeps the order of
        // codes.
        let order = |row: &RefusedView| {
            let place = self.config().tiers.by_name(row.tier.as_bytes());
            place.map_or(usize::MAX, TierId::index)
        };
        RefusalsView {
            window_s: refusals::WINDOW_S,
            by_limit: in_order(by_limit.collect(), order),
            accounts: refused_accounts(log, now),
        }
    }
}

/// Converts a total to its JSON form.
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

/// Merges the log's buckets into one view for each account and reason, newest first.
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
