//! The unchecked config, assembled from the parts of the features.

use super::admin::AdminConfig;
use super::{Mode, OnFault};
use crate::directory::feed::config::FeedConfig;
use crate::fleet::config::FleetConfig;
use crate::identity::config::{SourceConfig, TierSourceConfig};
use crate::json::Object;
use crate::json::values::{Count, Duration};
use crate::limits::config::WindowsConfig;
use crate::models::config::{FamilyConfig, ModelSourceConfig};
use crate::notices::config::NoticesConfig;
use crate::overload::config::OverloadConfig;
use crate::reply::config::ErrorsConfig;
use crate::reply::cors::CorsConfig;
use crate::reply::headers::HeadersConfig;
use crate::routes::config::RouteConfig;
use crate::scheduler::SchedulerConfig;
use crate::tiers::config::{TierConfig, VoucherConfig};
use crate::tokens::config::TokensConfig;
use serde::Deserialize;
use serde::de::Deserializer;

/// The largest number of accounts.
pub(super) const MOST_ACCOUNTS: u64 = 4_194_304;

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigRoot {
    /// The prefix of all shared-data keys, and a label of all metrics. Filters with one namespace share
    /// counters. 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub namespace: Option<String>,
    /// Enforce limits, or only count and log their refusals.
    pub mode: Option<Mode>,
    /// The action when shared data can't be used: one word, or an action by cause.
    pub on_fault: Option<OnFault>,
    /// 1 to 64 tiers, ascending by `recharge`.
    #[cfg_attr(feature = "cli", schemars(length(min = 1, max = crate::tiers::config::MOST_TIERS)))]
    pub tiers: Option<Vec<Object<TierConfig>>>,
    /// Up to 32 families of models: the first whose pattern matches counts.
    #[cfg_attr(feature = "cli", schemars(length(max = crate::models::config::MOST_FAMILIES)))]
    pub models: Option<Vec<Object<FamilyConfig>>>,
    /// The sources of a request's model, in order.
    #[cfg_attr(feature = "cli", schemars(length(max = crate::models::config::MOST_SOURCES)))]
    pub model: Option<Vec<Object<ModelSourceConfig>>>,
    /// The rule for a request whose model no family matches: `share`, `refuse`, or a family's name.
    pub unknown_model: Option<String>,
    /// The rule for limits on money where a model can come without a price.
    pub unpriced: Option<Unpriced>,
    /// Up to 8 sources of the account, in order: the first with a value wins.
    #[cfg_attr(feature = "cli", schemars(length(min = 1, max = crate::identity::config::MOST_SOURCES)))]
    pub account: Option<Vec<Object<SourceConfig>>>,
    /// Up to 8 sources of the tier, in order: the first with a value wins.
    #[cfg_attr(feature = "cli", schemars(length(max = crate::identity::config::MOST_SOURCES)))]
    pub tier: Option<Vec<TierSourceConfig>>,
    /// The tier of a request for which no source has one: `refuse`, or a tier's name.
    pub unknown_tier: Option<String>,
    /// The headers to take off requests before the upstream: those of the identity, none, or a list.
    pub strip_headers: Option<StripHeaders>,
    /// The lengths of windows.
    pub windows: Object<WindowsConfig>,
    /// The rules for reserving and settling tokens.
    pub tokens: Object<TokensConfig>,
    /// The styles of rate-limit headers: `openai`, `anthropic`, `ietf`, `groq`, `mistral`, or `auto`.
    pub headers: Option<HeadersConfig>,
    /// The API whose error bodies refusals have.
    pub errors: Option<ErrorsConfig>,
    /// A random time up to this is added to the wait of each 429. `1ms` to `1m`.
    pub jitter: Option<Duration>,
    /// The origins whose scripts may read the filter's own replies.
    pub cors: Option<Object<CorsConfig>>,
    /// The wait that is named when concurrency refuses.
    pub concurrency_retry_after: Option<Duration>,
    /// Up to 64 rules by path, method, header or Envoy route: the first that matches counts.
    #[cfg_attr(feature = "cli", schemars(length(max = crate::routes::config::MOST_RULES)))]
    pub routes: Option<Vec<Object<RouteConfig>>>,
    /// The numbers of accounts for which shared data is laid out.
    pub capacity: Object<Capacity>,
    /// The admin API.
    pub admin: Option<Object<AdminConfig>>,
    /// Null disables the voucher.
    #[serde(deserialize_with = "present")]
    pub voucher: Option<Option<Object<VoucherConfig>>>,
    /// The tier of accounts that a directory lacks while it is not filled: `refuse`, or a tier's name.
    pub not_ready: Option<String>,
    /// The feed of the account directory.
    pub directory: Option<Object<FeedConfig>>,
    /// The path at which a client is told its usage, such as `/v1/rate_limits`.
    pub usage_path: Option<String>,
    /// Give requests that were simply admitted a filter state for access logs.
    pub log_admitted: Option<bool>,
    /// A POST when an account comes to a share of a day, week, month or usd limit.
    pub notices: Option<Object<NoticesConfig>>,
    /// The service that keeps one limit across many Envoys.
    pub fleet: Option<Object<FleetConfig>>,
    /// Name the account in access logs.
    pub log_account: Option<bool>,
    /// Give each admitted request a second filter state with its tokens.
    pub log_usage: Option<bool>,
    /// The headers for a scheduler behind Envoy.
    pub scheduler: Option<Object<SchedulerConfig>>,
    /// Keep ids beside the ledger, so that the admin API lists usage by name.
    pub usage_names: Option<bool>,
    /// The policy by which limits follow the load of the upstream.
    pub load: Option<Object<OverloadConfig>>,
}

/// The rule for limits on money and models without a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Unpriced {
    /// Such models cost nothing, and are counted in a metric.
    Free,
}

/// Distinguishes a null field from an absent one.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Capacity {
    /// The number of accounts in the ledger.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = MOST_ACCOUNTS)))]
    pub accounts: Option<Count>,
    /// The number of accounts in the directory.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = MOST_ACCOUNTS)))]
    pub directory: Option<Count>,
}

/// The headers to take off requests: those of the identity, none, or a list.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "true, false, or a list of header names")]
pub enum StripHeaders {
    /// Those of the identity, or none.
    Switch(bool),
    /// These.
    Names(Vec<String>),
}
