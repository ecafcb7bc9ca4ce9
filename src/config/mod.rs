//! The plugin config, checked in full before any of it is used.
//!
//! Each feature checks its own part; this module assembles the parts.

pub mod admin;
mod bounds;
#[cfg(feature = "cli")]
pub mod json_schema;
mod on_fault;
mod parse;
mod schema;

pub use crate::tiers::Mode;
pub use admin::{Admin, AdminToken};
pub use on_fault::{FaultAction, OnFault};
pub use parse::parse;

use crate::claims::ConfigId;
use crate::directory::feed::config::FeedSource;
use crate::fleet::Fleet;
use crate::identity::{AccountSource, TierSource};
use crate::limits::record::Windows;
use crate::limits::snapshot::Tells;
use crate::models::{Families, ModelSource, UnknownModel};
use crate::notices::Notices;
use crate::overload::Policy;
use crate::reply::Replies;
use crate::reply::api::CalledApi;
use crate::reply::headers::StyleList;
use crate::routes::Routes;
use crate::scheduler::Scheduler;
use crate::tiers::recharge::VoucherRule;
use crate::tiers::{TierId, TierTable};
use crate::time::Span;
use crate::tokens::config::Tokens;

/// A checked config.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// SHA-256 of the config's text, in hex.
    pub digest: String,
    /// The config as canonical JSON without secrets, for other filters of the namespace.
    pub shareable: String,
    /// True for a config that names its namespace and the admin API alone: it judges nothing by itself.
    pub is_bare: bool,
    /// Prefix of every shared-data key, and the `namespace` of every metric.
    pub namespace: String,
    /// The mode of tiers that have none of their own, and of requests without a tier.
    pub mode: Mode,
    /// The action for requests while the ledger can't be used, by cause.
    pub on_fault: OnFault,
    /// The tiers, ascending by recharge.
    pub tiers: TierTable,
    /// The families of models.
    pub models: Families,
    /// The sources of the model, in order.
    pub model: Vec<ModelSource>,
    /// The rule for a request whose model is not known.
    pub unknown_model: UnknownModel,
    /// True when limits on money are allowed: each request with a model has a price, or may be free.
    pub is_priced: bool,
    /// The sources of accounts, in order.
    pub account: Vec<AccountSource>,
    /// The sources of tiers, in order.
    pub tier: Vec<TierSource>,
    /// The tier for a request without a tier from any source; `None` refuses it.
    pub unknown_tier: Option<TierId>,
    /// Request headers that are removed before the upstream.
    pub strip: Vec<String>,
    /// Lengths of the windows.
    pub windows: Windows,
    /// The rules by path, method, header or route.
    pub routes: Routes,
    /// The rules for reserving and settling tokens.
    pub tokens: Tokens,
    /// The rules of replies: rate-limit headers, error bodies, jitter and CORS.
    pub replies: Replies,
    /// The retry-after of a concurrency refusal.
    pub concurrency_retry_after: Span,
    /// The number of accounts for which the ledger is laid out; `None` keeps the size that it has.
    pub accounts: Option<u32>,
    /// The number of accounts for which the directory is laid out; `None` keeps the size that it has.
    pub directory_accounts: Option<u32>,
    /// The tier for accounts that a directory without a complete import lacks; `None` refuses them.
    pub not_ready: Option<TierId>,
    /// The rule of the voucher; `None` without vouchers.
    pub voucher: Option<VoucherRule>,
    /// The admin API.
    pub admin: Option<Admin>,
    /// The source of the directory's feed, if there is one.
    pub feed: Option<FeedSource>,
    /// The policy of the overload loop, if there is one.
    pub overload: Option<Policy>,
    /// The path of an account's usage report.
    pub usage_path: Option<String>,
    /// The headers for a scheduler behind the proxy.
    pub scheduler: Option<Scheduler>,
    /// The notices of accounts that come to a share of a limit.
    pub notices: Option<Notices>,
    /// The fleet that limits are shared in.
    pub fleet: Option<Fleet>,
    /// True when lines in access logs name the account.
    pub log_account: bool,
    /// True when access logs have the usage of a request.
    pub log_usage: bool,
    /// True when admitted requests have a line in access logs too.
    pub log_admitted: bool,
    /// True when ids are kept beside the ledger's pages, so that usage can be listed by name.
    pub usage_names: bool,
}

impl Config {
    /// Returns the config's part in the question which one is in force.
    pub fn id(&self) -> ConfigId {
        let judged_by = (&self.tiers, &self.models, &self.windows);
        ConfigId::of(&self.digest, &format!("{judged_by:?}"))
    }

    /// Returns the mode for requests of a tier; `None` for those whose tier is not known.
    pub fn mode_of(&self, tier: Option<TierId>) -> Mode {
        let tier = tier.and_then(|tier| self.tiers.get(tier));
        tier.and_then(|tier| tier.mode).unwrap_or(self.mode)
    }

    /// Returns the limits that the clients of a tier are told in answer to a call of an API, if any.
    pub fn tells(&self, tier: TierId, called: CalledApi) -> Option<&Tells> {
        let enforces = self.mode_of(Some(tier)) == Mode::Enforce;
        let styles = self.replies.styles.of(called).filter(|_| enforces);
        styles.map(StyleList::tells)
    }

    /// True when the config needs a directory.
    pub fn uses_directory(&self) -> bool {
        self.admin.is_some() || self.feed.is_some() || self.tier.contains(&TierSource::Directory)
    }
}
