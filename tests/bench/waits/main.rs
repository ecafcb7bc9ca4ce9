//! What 1,000 requests that wait for a lease cost an Envoy with two workers. Run by `make waits`.
//!
//! `WAITS_BEFORE` is the path of another module, which is measured beside this tree's.
//! `WAITS_SECONDS` (20) is the length of one measurement.
#![allow(missing_docs, dead_code, clippy::restriction)]

#[path = "../../harness/envoy.rs"]
mod harness;
#[path = "../../harness/meter.rs"]
mod meter;

use harness::Config;
use harness::bootstrap::{Setup, wasm_filter};
use harness::client::{self, Call};
use harness::stack::{self, Stack, eventually};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const WAITING: usize = 1_000;
/// Accounts that the waiting requests are of.
const ACCOUNTS: [usize; 2] = [20, 1_000];
/// From the arrival of the last request to the measurement: looks have backed off by then.
const SETTLED: Duration = Duration::from_secs(3);

/// The CPU time of Envoy, in milliseconds a second.
#[derive(Clone, Copy)]
struct Cpu {
    idle: f64,
    waiting: f64,
}

fn main() {
    let seconds = std::env::var("WAITS_SECONDS").map_or(20, |text| text.parse().expect("a number"));
    let mut modules = vec![("now", PathBuf::from("tiergate.wasm"))];
    if let Some(before) = std::env::var_os("WAITS_BEFORE") {
        let before = std::path::absolute(before).expect("a path");
        modules.push(("before", before));
    }
    println!("| module | accounts | CPU, ms/s, none waits | CPU, ms/s, 1,000 wait |");
    println!("|---|---|---|---|");
    for accounts in ACCOUNTS {
        for (name, module) in &modules {
            let file = module.to_str().expect("a path in UTF-8");
            let Cpu { idle, waiting } = measure(file, accounts, Duration::from_secs(seconds));
            println!("| {name} | {accounts} | {idle:.1} | {waiting:.1} |");
        }
    }
}

/// One request of each account runs, and all others wait for its end.
fn measure(module: &str, accounts: usize, length: Duration) -> Cpu {
    let config = Config::tier("t").concurrency(1).wait("60s");
    let config = config.with(serde_json::json!({"capacity": {"accounts": 4096}}));
    let mut setup = Setup::new(&config);
    setup.filters = vec![wasm_filter("tiergate", module, &config)];
    setup.access_log = false;
    let stack = Stack::with(&setup);
    let call = |i: usize| {
        let account = format!("account-{}", i % accounts);
        Call::of(&account, "t").header("x-demo-latency-ms", "600000")
    };
    let begin = |count: usize, all: usize| {
        let pending: Vec<_> = (0..count).map(|i| stack.begin(call(i))).collect();
        eventually("Envoy has the requests", || {
            stack.stat(&["http.proxy.downstream_rq_active"]) == u64::try_from(all).unwrap()
        });
        pending
    };
    let running = begin(accounts, accounts);
    let idle = cpu(&stack, length / 4);
    let waiting = begin(WAITING, accounts + WAITING);
    let with_all = cpu(&stack, length);
    let active = stack.stat(&["http.proxy.downstream_rq_active"]);
    assert_eq!(active, u64::try_from(accounts + WAITING).unwrap());
    drop((running, waiting));
    Cpu {
        idle,
        waiting: with_all,
    }
}

fn cpu(stack: &Stack, length: Duration) -> f64 {
    std::thread::sleep(SETTLED);
    let (start, before) = (Instant::now(), meter::cpu_ns(stack.pid()));
    std::thread::sleep(length);
    let used = meter::cpu_ns(stack.pid()) - before;
    used as f64 / 1e6 / start.elapsed().as_secs_f64()
}
