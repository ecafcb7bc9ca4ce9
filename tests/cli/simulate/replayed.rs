//! The log of a run of the core, replayed: the same config decides the same.

use super::{Ran, simulate_file};
use crate::file;
use crate::harness::{Admission, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tiergate::time::Wall;
use tiergate::tokens::consumed::Consumed;
use tiergate::zone::rfc3339;

const ACCOUNTS: [&str; 3] = ["acme", "bolt", "c d%"];
const TIERS: [&str; 2] = ["t", "s"];

/// A request: the time since the last one, its account and tier, its prompt, how long it runs, and
/// the tokens that its response says, if it says some.
type Step = (u64, usize, usize, u64, u64, Option<u64>);

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![4 => 1_u64..200, 1 => 1_000_u64..20_000];
    let used = prop_oneof![4 => (0_u64..3_000).prop_map(Some), 1 => Just(None)];
    (
        gap,
        0..3_usize,
        0..2_usize,
        0_u64..1_000,
        1_u64..3_000,
        used,
    )
}

fn limits() -> Config {
    let shadow = json!({"mode": "shadow", "limits": {"otpm": 4_000, "rps": 3}});
    let tier = |config: Config| config.concurrency(4).rpm(20).tpm(12_000).tpd(60_000);
    tier(tier(Config::tier("t")).and_tier("s"))
        .with_tier(shadow)
        .with(json!({"log_account": true, "log_usage": true, "capacity": {"accounts": 1024}}))
}

/// A request of the run that goes on.
struct Running {
    ends: u64,
    admission: Option<Admission>,
    used: Option<u64>,
    line: Value,
}

/// A run of the core, and its access log.
struct Run {
    world: Arc<World>,
    worker: Worker,
    running: Vec<Running>,
    /// The lines, by the time at which they are written.
    log: Vec<(u64, Value)>,
    refused: BTreeMap<String, u64>,
}

impl Run {
    fn new() -> Self {
        let world = World::new();
        Self {
            worker: Worker::new(&world, limits()),
            world,
            running: Vec::new(),
            log: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    fn now(&self) -> u64 {
        self.world.wall_us() / 1000
    }

    fn pass_to(&mut self, now: u64) {
        self.running.sort_by_key(|one| one.ends);
        while self.running.first().is_some_and(|one| one.ends <= now) {
            let mut one = self.running.remove(0);
            self.world.pass_ms(one.ends - self.now());
            if let Some(admission) = one.admission {
                let used = one.used.map(|used| Used::Tokens(200 + used));
                let consumed = Consumed::from(used.unwrap_or(Used::Unknown));
                let line = self.worker.usage_line(&admission, Some(consumed));
                one.line["tiergate_usage"] = line.into();
                self.worker.settle(admission, consumed);
            }
            self.log.push((one.ends, one.line));
        }
        self.world.pass_ms(now - self.now());
    }

    fn step(&mut self, (gap, account, tier, prompt, life, used): Step) {
        let now = self.now() + gap;
        self.pass_to(now);
        let result = self
            .worker
            .check(&FakeRequest::of(ACCOUNTS[account], TIERS[tier], prompt));
        let mut line = json!({
            "start": start(now), "method": "POST", "path": "/v1/chat", "duration_ms": life - 1,
            "content_length": prompt * 4, "tiergate": result.log_line(),
        });
        if let Some((_, limit)) = result.log_line().split_once(" limit=") {
            let limit = limit.split(' ').next().unwrap();
            *self.refused.entry(limit.to_owned()).or_default() += 1;
        }
        match result.next {
            Next::Reply(_) => {
                line["duration_ms"] = 0.into();
                line["code"] = 429.into();
                self.log.push((now, line));
            }
            Next::Forward(pass) => self.running.push(Running {
                ends: now + life,
                admission: pass.admission,
                used,
                line,
            }),
            Next::Queue(_) => panic!("no tier waits"),
        }
    }

    /// The log as Envoy writes it: a line at the end of each request.
    fn end(mut self) -> (String, BTreeMap<String, u64>) {
        self.pass_to(self.now() + 10_000);
        self.log.sort_by_key(|(written, _)| *written);
        let lines = self.log.iter().map(|(_, line)| format!("{line}\n"));
        (lines.collect(), self.refused)
    }
}

fn start(ms: u64) -> String {
    let text = rfc3339::text(Wall::from_millis(ms));
    text.replace('Z', &format!(".{:03}Z", ms % 1000))
}

fn said(Ran { code, out, err }: Ran) -> Value {
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_log_of_a_run_is_decided_as_the_run_was(steps in prop::collection::vec(step(), 1..250)) {
        let mut run = Run::new();
        let requests = steps.len();
        steps.into_iter().for_each(|step| run.step(step));
        let (log, refused) = run.end();
        let config = file("simulate-replayed.json", limits().to_string());
        let said = said(simulate_file("simulate-replayed.log", &log, &["--config", &config, "--json", "--differences"]));
        prop_assert_eq!(&said["differences"], &json!([]));
        prop_assert_eq!(&said["compared"]["decided"], requests);
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for row in said["refusals"].as_array().unwrap() {
            let limit = row["limit"].as_str().unwrap().to_owned();
            *counted.entry(limit).or_default() += row["refused"].as_u64().unwrap();
        }
        prop_assert_eq!(counted, refused);
    }
}
