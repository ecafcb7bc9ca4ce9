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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigRoot {
    pub namespace: Option<String>,
    pub mode: Option<Mode>,
    pub on_fault: Option<OnFault>,
    pub tiers: Option<Vec<Object<TierConfig>>>,
    pub models: Option<Vec<Object<FamilyConfig>>>,
    pub model: Option<Vec<Object<ModelSourceConfig>>>,
    pub unknown_model: Option<String>,
    pub unpriced: Option<Unpriced>,
    pub account: Option<Vec<Object<SourceConfig>>>,
    pub tier: Option<Vec<TierSourceConfig>>,
    pub unknown_tier: Option<String>,
    pub strip_headers: Option<StripHeaders>,
    pub windows: Object<WindowsConfig>,
    pub tokens: Object<TokensConfig>,
    pub headers: Option<HeadersConfig>,
    pub errors: Option<ErrorsConfig>,
    pub jitter: Option<Duration>,
    pub cors: Option<Object<CorsConfig>>,
    pub concurrency_retry_after: Option<Duration>,
    pub routes: Option<Vec<Object<RouteConfig>>>,
    pub capacity: Object<Capacity>,
    pub admin: Option<Object<AdminConfig>>,
    /// Null disables the voucher.
    #[serde(deserialize_with = "present")]
    pub voucher: Option<Option<Object<VoucherConfig>>>,
    pub not_ready: Option<String>,
    pub directory: Option<Object<FeedConfig>>,
    pub usage_path: Option<String>,
    pub log_admitted: Option<bool>,
    pub notices: Option<Object<NoticesConfig>>,
    pub fleet: Option<Object<FleetConfig>>,
    pub log_account: Option<bool>,
    pub log_usage: Option<bool>,
    pub scheduler: Option<Object<SchedulerConfig>>,
    pub usage_names: Option<bool>,
    pub load: Option<Object<OverloadConfig>>,
}

/// The rule for limits on money and models without a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[serde(deny_unknown_fields, default)]
pub(super) struct Capacity {
    pub accounts: Option<Count>,
    pub directory: Option<Count>,
}

/// The headers to take off requests: those of the identity, none, or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "true, false, or a list of header names")]
pub enum StripHeaders {
    /// Those of the identity, or none.
    Switch(bool),
    /// These.
    Names(Vec<String>),
}
