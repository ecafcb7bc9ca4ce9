//! How the filter is: the JSON of `GET {p}/status`, which the page shows too. The command line reads
//! what the filter writes, so all of it goes both ways.

use super::overload::OverloadStatus;
use crate::limits::Limits;
use serde::{Deserialize, Serialize};

/// How the filter is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Prefix of every shared-data key.
    pub namespace: String,
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// SHA-256 of the config as it is written, in hex.
    pub config: String,
    /// Version of the layout of stored values.
    pub layout: u8,
    /// VMs that have admitted a request and prove that they live.
    pub live_vms: usize,
    /// How full the ledger is.
    pub ledger: FillView,
    /// How full the directory is.
    pub directory: FillView,
    /// Whether the directory holds all accounts; null where no tier source is the directory.
    pub ready: Option<bool>,
    /// How the directory's feed is; null without one, or while that can't be read.
    pub feed: Option<FeedView>,
    /// The tiers of this config, ascending by recharge.
    pub tiers: Vec<TierView>,
    /// What lowers limits now.
    pub load: OverloadStatus,
    /// Shared data in bytes.
    pub memory: MemoryView,
    /// What was refused lately.
    pub refusals: RefusalsView,
}

/// Whether decisions are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What is over a limit is refused.
    Enforce,
    /// Everything is let through, and refusals are those that would have been.
    Shadow,
}

/// How full pages are, by a look at the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillView {
    /// Pages in all.
    pub pages: u32,
    /// Pages that were looked at.
    pub looked_at: u32,
    /// Records on those.
    pub records: u64,
    /// Records on the fullest of those.
    pub fullest: u64,
    /// Bytes of those.
    pub bytes: u64,
}

impl FillView {
    /// The bytes of all pages, if the rest is as full as those that were looked at.
    pub fn estimate(&self) -> u64 {
        let sum = self.bytes.saturating_mul(u64::from(self.pages));
        sum.checked_div(u64::from(self.looked_at)).unwrap_or(0)
    }
}

/// How the directory's feed is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub recharge: String,
    /// Its limits.
    pub limits: Limits,
    /// The limits that requests are judged by now.
    pub in_force: Limits,
    /// The scale of concurrency, RPM and TPM that is in force: 0 to 1.
    pub scale: f64,
}

/// Shared data in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryView {
    /// What ledger and directory take now, estimated from the pages that were looked at.
    pub bytes: u64,
    /// The most that all values can take.
    pub bound: u64,
}

/// What was refused lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// Whether only because limits were lowered for load.
    pub overloaded: bool,
    /// Whether it was let through all the same, by a config in shadow mode.
    pub shadowed: bool,
    /// In the last 50 to 60 s.
    pub last_minute: u64,
    /// In the last 290 to 300 s.
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
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// Whether only because limits were lowered for load.
    pub overloaded: bool,
    /// Whether it was let through all the same, by a config in shadow mode.
    pub shadowed: bool,
    /// How many.
    pub count: u64,
    /// Since the last of them, in seconds.
    pub seconds_ago: u64,
}
