//! The answer of `GET {admin}/status`, as far as it is shown.
//!
//! Filters of other versions say less, or more: what is missing or null is not there, and what is
//! not known here is left alone.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The state of one filter.
#[derive(Debug, Deserialize)]
pub struct Status {
    pub namespace: String,
    /// The digest of the config, in hex.
    pub config: Option<String>,
    /// "enforce" or "shadow".
    pub mode: Option<String>,
    /// Workers that live, of those that admitted a request.
    pub live_vms: Option<u64>,
    /// Whether the directory is filled.
    pub ready: Option<bool>,
    pub ledger: Option<Fill>,
    pub directory: Option<Fill>,
    pub feed: Option<Feed>,
    pub memory: Option<Memory>,
    pub tiers: Option<Vec<Tier>>,
    pub load: Option<Load>,
    pub refusals: Option<Refusals>,
}

/// How full pages are, by a look at the first of them.
#[derive(Debug, Deserialize)]
pub struct Fill {
    pub pages: u64,
    pub looked_at: u64,
    /// On the pages that were looked at.
    pub records: u64,
    pub fullest: Option<u64>,
}

/// How the account directory is pulled.
#[derive(Debug, Deserialize)]
pub struct Feed {
    pub loading: Option<bool>,
    /// Milliseconds since the last whole feed.
    pub age_ms: Option<u64>,
    /// Failures in a row.
    pub failures: Option<u64>,
}

/// Bytes that the filter holds in shared data, and the most that it will.
#[derive(Debug, Deserialize)]
pub struct Memory {
    pub bytes: u64,
    pub bound: Option<u64>,
}

/// A tier, and the share of its limits that is in force.
#[derive(Debug, Deserialize)]
pub struct Tier {
    pub name: String,
    pub scale: Option<f64>,
}

/// What lowers limits: set by hand, and by itself.
#[derive(Debug, Deserialize)]
pub struct Load {
    pub scale: Option<f64>,
    pub tiers: Option<BTreeMap<String, f64>>,
    /// Until what was set by hand ends.
    pub ttl_ms: Option<u64>,
    pub auto: Option<Auto>,
}

/// Limits that follow the load.
#[derive(Debug, Deserialize)]
pub struct Auto {
    /// "overload", or where else the load is read.
    pub from: Option<String>,
    /// The load that was seen, as a share.
    pub load: Option<f64>,
    /// How far the limits give way, 0 to 1.
    pub pressure: Option<f64>,
}

/// Refusals of the last minutes.
#[derive(Debug, Deserialize)]
pub struct Refusals {
    pub by_limit: Option<Vec<ByLimit>>,
    pub accounts: Option<Vec<Refused>>,
}

/// Refusals of one tier by one limit.
#[derive(Debug, Deserialize)]
pub struct ByLimit {
    pub tier: Option<String>,
    pub code: String,
    /// Over a limit that is lowered, and within the one that was bought.
    #[serde(default)]
    pub overloaded: bool,
    /// Let through all the same, in shadow mode.
    #[serde(default)]
    pub shadowed: bool,
    pub last_minute: Option<u64>,
    pub last_5_minutes: Option<u64>,
}

/// Refusals of one account.
#[derive(Debug, Deserialize)]
pub struct Refused {
    pub account: Option<String>,
    pub tier: Option<String>,
    pub code: String,
    #[serde(default)]
    pub overloaded: bool,
    /// Let through all the same, in shadow mode.
    #[serde(default)]
    pub shadowed: bool,
    pub count: Option<u64>,
    /// Since the last of them.
    pub seconds_ago: Option<u64>,
}
