//! The plugin config: what operators write, checked in full before anything of it is used.
//!
//! Each feature checks its own part; this module puts the parts together.

pub mod admin;
mod parse;
mod schema;

pub use admin::Admin;
pub use parse::parse;

use crate::directory::feed::config::FeedSource;
use crate::identity::{AccountSource, TierSource};
use crate::limits::record::Windows;
use crate::overload::Policy;
use crate::reply::headers::HeaderStyle;
use crate::tiers::recharge::VoucherRule;
use crate::tiers::{TierId, TierTable};
use crate::time::Span;
use crate::tokens::config::Tokens;

/// A config that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// SHA-256 of the config as it is written, in hex.
    pub digest: String,
    /// Prefix of every shared-data key, and the `namespace` of every metric.
    pub namespace: String,
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// What happens to requests while the ledger can't be used.
    pub on_fault: OnFault,
    /// The tiers, ascending by recharge.
    pub tiers: TierTable,
    /// Where accounts are read from, in order.
    pub account: Vec<AccountSource>,
    /// Where tiers are read from, in order.
    pub tier: Vec<TierSource>,
    /// The place in `tiers` for a request that no source has a tier for; `None`: refuse it.
    pub unknown_tier: Option<TierId>,
    /// Request headers that the upstream does not get to see.
    pub strip: Vec<String>,
    /// Lengths of the windows.
    pub windows: Windows,
    /// How tokens are reserved and settled.
    pub tokens: Tokens,
    /// Styles of the rate-limit headers that clients get.
    pub headers: Vec<HeaderStyle>,
    /// The wait that is named when concurrency refuses.
    pub concurrency_retry_after: Span,
    /// For how many accounts the ledger is laid out.
    pub accounts: u32,
    /// For how many accounts the directory is laid out.
    pub directory_accounts: u32,
    /// The place in `tiers` for accounts that the directory has not got yet; `None`: refuse them.
    pub not_ready: Option<TierId>,
    /// When a voucher is due; `None`: never.
    pub voucher: Option<VoucherRule>,
    /// The admin API.
    pub admin: Option<Admin>,
    /// Where the directory is pulled from, if it is.
    pub feed: Option<FeedSource>,
    /// By which policy limits follow the load, if they do.
    pub overload: Option<Policy>,
    /// The path at which a client is told its usage.
    pub usage_path: Option<String>,
}

impl Config {
    /// Whether there is to be a directory.
    pub fn uses_directory(&self) -> bool {
        self.admin.is_some() || self.feed.is_some() || self.tier.contains(&TierSource::Directory)
    }
}

/// Whether decisions are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What is over a limit is answered with a 429.
    Enforce,
    /// Everything is let through; decisions are only counted and logged.
    Shadow,
}

impl Mode {
    /// The word for it in the config and in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// What happens to requests while the ledger can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// They pass, uncounted.
    Allow,
    /// They are answered with a 503.
    Deny,
}
