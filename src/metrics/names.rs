//! The names of all metrics. Names are flat, since a proxy-wasm host has no labels. The project's
//! `stats_tags` turn their parts into Prometheus labels.

use crate::limits::LimitKind;
use crate::version::{BUILD, VERSION};

/// A family of metrics; its full name has the prefix `tiergate_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricFamily(&'static str);

/// The type of a metric in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl MetricType {
    /// Returns the word of Prometheus.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A row of the table of all metrics, for the reference.
#[derive(Clone, Copy, Debug)]
pub struct MetricRow {
    /// The family.
    pub family: MetricFamily,
    /// Its type.
    pub kind: MetricType,
    /// Its labels behind `namespace`; one in brackets is not on each series.
    pub labels: &'static [&'static str],
    /// Its meaning: the comment of its constant.
    pub meaning: &'static str,
}

/// Makes a constant of each row, and the lists of them all.
macro_rules! families {
    ($(#[doc = $meaning:literal] $constant:ident = $name:literal, $kind:ident $labels:tt;)*) => {
        $(#[doc = $meaning] pub const $constant: MetricFamily = MetricFamily($name);)*

        /// All families.
        pub const ALL: [MetricFamily; [$($name),*].len()] = [$($constant),*];

        /// All families, with what the reference says of them.
        pub const TABLE: [MetricRow; ALL.len()] = [$(MetricRow {
            family: $constant,
            kind: MetricType::$kind,
            labels: &$labels,
            meaning: $meaning,
        }),*];
    };
}

families! {
    /// Requests by tier and outcome.
    REQUESTS = "requests", Counter ["tier", "outcome"];
    /// Refusals by tier and limit, also in shadow mode.
    LIMITED = "limited", Counter ["tier", "limit", "[model]"];
    /// The part of `tiergate_limited` that only lowered limits refused.
    OVERLOADED = "overloaded", Counter ["tier", "limit", "[model]"];
    /// Tokens by tier and kind.
    TOKENS = "tokens", Counter ["tier", "kind"];
    /// Tokens that responses reported, by tier, kind and family of models.
    USAGE_TOKENS = "usage_tokens", Counter ["tier", "kind", "[model]"];
    /// Requests in flight by tier.
    IN_FLIGHT = "in_flight", Gauge ["tier"];
    /// The effective scale by tier, in thousandths.
    LIMIT_SCALE = "limit_scale", Gauge ["tier"];
    /// Load headers that could not be read.
    LOAD_UNREADABLE = "load_unreadable", Counter [];
    /// Compare-and-set writes lost to another worker.
    CAS_RETRIES = "cas_retries", Counter [];
    /// Live records that pages at their maximum size gave up.
    EVICTED_LIVE = "evicted_live", Counter [];
    /// Requests of new accounts on full pages, counted on the page's overflow record.
    OVERFLOW_REQUESTS = "overflow_requests", Counter [];
    /// The fill of the fullest page in percent, of the size from which new accounts share a record.
    PAGE_FILL = "page_fill", Gauge [];
    /// Corrupt stored values.
    DAMAGED_VALUES = "damaged_values", Counter [];
    /// Leases of lost VMs.
    STALE_LEASES = "stale_leases", Counter [];
    /// Pages that the host lost.
    LOST_PAGES = "lost_pages", Counter [];
    /// Requests whose concurrency was not counted, for want of a VM slot.
    UNLEASED = "unleased", Counter [];
    /// Requests under a limit on money whose model has no price: they cost nothing.
    UNPRICED = "unpriced", Counter [];
    /// Requests with a body whose model no family has.
    MODEL_UNKNOWN = "model_unknown", Counter [];
    /// Changes that the admin API made.
    ADMIN_WRITES = "admin_writes", Counter [];
    /// Directory writes without room.
    DIRECTORY_FULL = "directory_full", Counter [];
    /// The age of the directory, in seconds.
    DIRECTORY_AGE = "directory_age_seconds", Gauge [];
    /// Imports of the feed by outcome.
    FEED_LOADS = "feed_loads", Counter ["outcome"];
    /// Accounts of the feed by outcome.
    FEED_ACCOUNTS = "feed_accounts", Counter ["outcome"];
    /// Notices by outcome.
    NOTICES = "notices", Counter ["outcome"];
    /// Requests that asked the fleet and waited for the answer.
    FLEET_ASKS = "fleet_asks", Counter [];
    /// Answers of the fleet's service about an account.
    FLEET_GRANTS = "fleet_grants", Counter [];
    /// Messages about an account without an answer that counts.
    FLEET_FAILURES = "fleet_failures", Counter [];
    /// Accounts that the edge holds an allowance of, or has not told all of.
    FLEET_OUTSTANDING = "fleet_outstanding", Gauge [];
    /// The time since the last answer of the fleet's service, in seconds.
    FLEET_AGE = "fleet_age_seconds", Gauge [];
    /// 1 for the version and build of this module.
    BUILD_INFO = "build_info", Gauge ["version", "build"];
}

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
