//! The service's metrics, in the text format of Prometheus. Each series exists from the start.

use super::target::Failing;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Labels = [(&'static str, &'static str); 1];

/// The results of requests.
pub const RESULTS: [&str; 6] = [
    "ok",
    "invalid",
    "unauthorized",
    "too_large",
    "busy",
    "unavailable",
];
/// The results of items.
pub const ITEMS: [&str; 7] = [
    "granted", "used", "held", "closed", "told", "stale", "fault",
];

/// The metrics.
pub struct Metrics {
    registry: Registry,
    pub requests: Family<Labels, Counter>,
    pub items: Family<Labels, Counter>,
    pub failures: Family<Labels, Counter>,
    pub clamped: Counter,
    pub restated: Counter,
    pub written_off: Counter,
    pub turns: Counter,
    pub in_work: Gauge,
    pub ready: Gauge,
    pub connected: Gauge,
    pub losses: Gauge,
    pub skew: Gauge,
    pub edges: Gauge,
    pub seconds: Histogram,
}

impl Metrics {
    pub fn new() -> Self {
        let buckets = [
            0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
        ];
        let mut all = Self {
            registry: Registry::with_prefix("tiergate_fleet"),
            requests: Family::default(),
            items: Family::default(),
            failures: Family::default(),
            clamped: Counter::default(),
            restated: Counter::default(),
            written_off: Counter::default(),
            turns: Counter::default(),
            in_work: Gauge::default(),
            ready: Gauge::default(),
            connected: Gauge::default(),
            losses: Gauge::default(),
            skew: Gauge::default(),
            edges: Gauge::default(),
            seconds: Histogram::new(buckets),
        };
        all.register();
        all.begin();
        all
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "requests",
            "Requests of edges, by result",
            self.requests.clone(),
        );
        registry.register("items", "Items of requests, by result", self.items.clone());
        registry.register(
            "redis_failures",
            "Commands that failed, by kind",
            self.failures.clone(),
        );
        let counters = [
            (
                "clamped",
                "Absurd amounts of edges that were cut",
                &self.clamped,
            ),
            (
                "restated",
                "Amounts held that the store did not know",
                &self.restated,
            ),
            (
                "written_off",
                "Allowances of silent edges that count as used",
                &self.written_off,
            ),
            (
                "period_turns",
                "Steps that were tried again in the next period",
                &self.turns,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            ("in_work", "Requests in work", &self.in_work),
            ("ready", "1 while /readyz answers 200", &self.ready),
            (
                "redis_connected",
                "1 while there is a connection to Redis",
                &self.connected,
            ),
            (
                "redis_losses",
                "Redis processes that began after a loss of writes",
                &self.losses,
            ),
            (
                "redis_clock_skew_ms",
                "The clock of Redis minus the service's",
                &self.skew,
            ),
            (
                "edges",
                "Edges of the namespace that spoke last",
                &self.edges,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "request_duration",
            "The time in which a request was answered",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    fn begin(&self) {
        for result in RESULTS {
            drop(self.requests.get_or_create(&[("result", result)]));
        }
        for result in ITEMS {
            drop(self.items.get_or_create(&[("result", result)]));
        }
        for failing in Failing::ALL {
            drop(self.failures.get_or_create(&[("kind", failing.as_str())]));
        }
    }

    /// Returns all metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
