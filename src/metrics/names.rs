//! The names of all metrics. Names are flat, since a proxy-wasm host has no labels. The project's
//! `stats_tags` turn their parts into Prometheus labels.

use crate::limits::LimitKind;
use crate::version::{BUILD, VERSION};

/// A family of metrics; its full name has the prefix `tiergate_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricFamily(&'static str);

/// Requests by tier and outcome.
pub const REQUESTS: MetricFamily = MetricFamily("requests");
/// Refusals by tier and limit, also in shadow mode.
pub const LIMITED: MetricFamily = MetricFamily("limited");
/// The part of `LIMITED` that only lowered limits refused.
pub const OVERLOADED: MetricFamily = MetricFamily("overloaded");
/// Tokens by tier and kind.
pub const TOKENS: MetricFamily = MetricFamily("tokens");
/// Tokens that responses reported, by tier, kind and family of models.
pub const USAGE_TOKENS: MetricFamily = MetricFamily("usage_tokens");
/// Requests in flight by tier.
pub const IN_FLIGHT: MetricFamily = MetricFamily("in_flight");
/// The effective scale by tier, in thousandths.
pub const LIMIT_SCALE: MetricFamily = MetricFamily("limit_scale");
/// Load headers that could not be read.
pub const LOAD_UNREADABLE: MetricFamily = MetricFamily("load_unreadable");
/// Compare-and-set writes lost to another worker.
pub const CAS_RETRIES: MetricFamily = MetricFamily("cas_retries");
/// Live records that pages at their maximum size gave up.
pub const EVICTED_LIVE: MetricFamily = MetricFamily("evicted_live");
/// Requests of new accounts on full pages, counted on the page's overflow record.
pub const OVERFLOW_REQUESTS: MetricFamily = MetricFamily("overflow_requests");
/// The fill of the fullest page in percent, of the size from which new accounts share a record.
pub const PAGE_FILL: MetricFamily = MetricFamily("page_fill");
/// Corrupt stored values.
pub const DAMAGED_VALUES: MetricFamily = MetricFamily("damaged_values");
/// Leases of lost VMs.
pub const STALE_LEASES: MetricFamily = MetricFamily("stale_leases");
/// Pages that the host lost.
pub const LOST_PAGES: MetricFamily = MetricFamily("lost_pages");
/// Requests whose concurrency was not counted, for want of a VM slot.
pub const UNLEASED: MetricFamily = MetricFamily("unleased");
/// Requests under a limit on money whose model has no price: they cost nothing.
pub const UNPRICED: MetricFamily = MetricFamily("unpriced");
/// Requests with a body whose model no family has.
pub const MODEL_UNKNOWN: MetricFamily = MetricFamily("model_unknown");
/// Directory writes without room.
pub const DIRECTORY_FULL: MetricFamily = MetricFamily("directory_full");
/// The age of the directory, in seconds.
pub const DIRECTORY_AGE: MetricFamily = MetricFamily("directory_age_seconds");
/// Imports of the feed by outcome.
pub const FEED_LOADS: MetricFamily = MetricFamily("feed_loads");
/// Accounts of the feed by outcome.
pub const FEED_ACCOUNTS: MetricFamily = MetricFamily("feed_accounts");
/// Notices by outcome.
pub const NOTICES: MetricFamily = MetricFamily("notices");
/// Requests that asked the fleet and waited for the answer.
pub const FLEET_ASKS: MetricFamily = MetricFamily("fleet_asks");
/// Answers of the fleet's service about an account.
pub const FLEET_GRANTS: MetricFamily = MetricFamily("fleet_grants");
/// Messages about an account without an answer that counts.
pub const FLEET_FAILURES: MetricFamily = MetricFamily("fleet_failures");
/// Accounts that the edge holds an allowance of, or has not told all of.
pub const FLEET_OUTSTANDING: MetricFamily = MetricFamily("fleet_outstanding");
/// The time since the last answer of the fleet's service, in seconds.
pub const FLEET_AGE: MetricFamily = MetricFamily("fleet_age_seconds");
/// 1 for the version and build of this module.
pub const BUILD_INFO: MetricFamily = MetricFamily("build_info");

/// All families.
pub const ALL: [MetricFamily; 29] = [
    REQUESTS,
    LIMITED,
    OVERLOADED,
    TOKENS,
    USAGE_TOKENS,
    IN_FLIGHT,
    LIMIT_SCALE,
    LOAD_UNREADABLE,
    CAS_RETRIES,
    EVICTED_LIVE,
    OVERFLOW_REQUESTS,
    PAGE_FILL,
    DAMAGED_VALUES,
    STALE_LEASES,
    LOST_PAGES,
    UNLEASED,
    UNPRICED,
    MODEL_UNKNOWN,
    DIRECTORY_FULL,
    DIRECTORY_AGE,
    FEED_LOADS,
    FEED_ACCOUNTS,
    NOTICES,
    FLEET_ASKS,
    FLEET_GRANTS,
    FLEET_FAILURES,
    FLEET_OUTSTANDING,
    FLEET_AGE,
    BUILD_INFO,
];

impl MetricFamily {
    /// Returns the name in Prometheus.
    pub fn full_name(self) -> String {
        format!("tiergate_{}", self.0)
    }

    /// Returns the metric of a namespace.
    pub fn of(self, namespace: &str) -> String {
        format!("tiergate_{}.namespace.{namespace}", self.0)
    }

    /// Returns the metric of a tier.
    pub fn of_tier(self, namespace: &str, tier: &str) -> String {
        format!("{}.tier.{tier}", self.of(namespace))
    }

    /// Returns the metric of a tier's limit.
    pub fn of_limit(self, namespace: &str, tier: &str, kind: LimitKind) -> String {
        let name = format!("{}.limit.{}", self.of_tier(namespace, tier), kind.as_str());
        match kind.model() {
            Some(model) => format!("{name}.model.{model}"),
            None => name,
        }
    }

    /// Returns the metric of one value of a label.
    pub fn of_label(self, namespace: &str, label: &str, value: &str) -> String {
        format!("{}.{label}.{value}", self.of(namespace))
    }
}

/// Returns the gauge of the version and build of this module.
pub fn build_info(namespace: &str) -> String {
    format!(
        "{}.version.{VERSION}.build.{BUILD}",
        BUILD_INFO.of(namespace)
    )
}
