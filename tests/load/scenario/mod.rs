//! An upstream that loses half of its capacity for a while and gets it back, behind the filter,
//! under clients that ask for a little less than their limits the whole time, and for as much as
//! three quarters of what the whole upstream can do.

mod clients;
mod record;
mod summary;

pub use record::{BUCKET, Counts, Record};
pub use summary::Summary;

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::Call;
use crate::harness::stack::Stack;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tiers, lowest first.
pub const TIERS: usize = 6;
/// RPM of each tier.
const RPM: [u64; TIERS] = [180, 240, 300, 360, 420, 480];
/// The window that they count for.
const WINDOW: Duration = Duration::from_secs(60);
/// In how long the accounts begin, one after the other.
const STAGGERED: Duration = Duration::from_secs(2);
/// How long the upstream takes for a request.
const LATENCY: Duration = Duration::from_millis(200);
/// What clients ask for, as a share of what their limits admit.
const ASKED: f64 = 0.9;
/// What the whole upstream can do, as a share of what all limits admit together.
const HEADROOM: f64 = 1.2;

/// What to play.
pub struct Scenario {
    /// Over 4 s, in which clients start.
    pub warm_up: Duration,
    pub halved: Duration,
    pub recovery: Duration,
    /// Accounts in each tier.
    pub accounts: usize,
    /// The config's `load`, as JSON; without one, nothing gives way.
    pub load: Option<String>,
    /// The filter's module, in place of this tree's.
    pub module: Option<PathBuf>,
}

impl Scenario {
    fn setup(&self) -> Setup {
        let mut config = Config::new();
        for (i, rpm) in RPM.into_iter().enumerate() {
            config = config.and_tier(&format!("tier{i}")).rpm(rpm);
        }
        if let Some(load) = &self.load {
            let load: Value = serde_json::from_str(load).expect("`load` is JSON");
            config = config.with(json!({"load": load}));
        }
        let mut setup = Setup::new(&config);
        if let Some(module) = &self.module {
            let module = module.to_str().expect("a path in UTF-8");
            setup.filters = vec![wasm_filter("tiergate", module, &config)];
        }
        setup.access_log = false;
        setup
    }

    /// What all limits admit together, in requests a second.
    pub fn admitted(&self) -> f64 {
        let rpm: u64 = RPM.iter().sum();
        rpm as f64 * self.accounts as f64 / WINDOW.as_secs_f64()
    }

    /// How many requests the whole upstream processes at once.
    fn concurrent(&self) -> u64 {
        (self.admitted() * HEADROOM * LATENCY.as_secs_f64()).round() as u64
    }

    /// What the upstream can do at that time, in requests a second.
    pub fn capacity(&self, at: Duration) -> f64 {
        let whole = self.concurrent() as f64 / LATENCY.as_secs_f64();
        match at >= self.warm_up && at < self.warm_up + self.halved {
            true => whole / 2.0,
            false => whole,
        }
    }

    pub fn length(&self) -> Duration {
        self.warm_up + self.halved + self.recovery
    }

    /// Plays it on a new Envoy with two workers.
    pub fn run(&self) -> Record {
        let stack = Stack::with(&self.setup());
        let whole = self.concurrent();
        let set = |concurrent: u64| {
            // As many wait: the upstream is not overloaded by a burst of less than its latency.
            let body = json!({"concurrent": concurrent, "queue": concurrent, "report": true});
            let set = stack.upstream(Call::new().post("/capacity").body(body.to_string()));
            assert_eq!(set.status, 200);
        };
        set(whole);
        let record = Arc::new(Record::new(self.length()));
        let start = Instant::now() + Duration::from_millis(100);
        let end = start + self.length();
        clients::start(&stack, self.accounts, (start, end), &record);
        sleep_until(start + self.warm_up);
        set(whole / 2);
        sleep_until(start + self.warm_up + self.halved);
        set(whole);
        sleep_until(end);
        // The last replies are on their way.
        std::thread::sleep(LATENCY * 5);
        Arc::try_unwrap(record).unwrap_or_else(|record| record.copy())
    }
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}
