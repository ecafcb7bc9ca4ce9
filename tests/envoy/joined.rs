//! `tokens.join`: settlements that wait for the next write of their page.

use crate::ends::{leases_are_given_back, tiers};
use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::json;

fn joining(config: Config) -> Config {
    config.with(json!({"tokens": {"join": true}}))
}

#[test]
fn a_burst_on_two_workers_is_never_over_and_gives_all_back() {
    let limits = Config::tier("t")
        .concurrency(8)
        .rpm(100_000)
        .tpm(50_000_000);
    let stack = Stack::start(joining(limits));
    let call = || Call::of("acme", "t").header("x-demo-latency-ms", "5");
    let replies = stack.flood(24, vec![call(); 1_200]);
    assert_eq!(count(&replies, 200) + count(&replies, 429), 1_200);
    assert_eq!(stack.most_at_once("all"), 8, "all of it and no more");
    // A few clients keep the account half free, so that most settlements wait.
    let replies = stack.flood(3, vec![call(); 300]);
    assert_eq!(count(&replies, 200), 300);
    eventually("all leases are back", || {
        let replies = stack.send_all((0..8).map(|_| call()));
        count(&replies, 200) == 8
    });
    assert_eq!(stack.stat(&["tiergate_stale_leases"]), 0);
}

#[test]
fn ticks_write_what_waits_and_a_new_config_loses_nothing() {
    let config = |n: u32| {
        let retry_after = json!({"concurrency_retry_after": format!("{n}s")});
        Setup::new(joining(tiers().with(retry_after)))
    };
    let stack = Stack::with(&config(1));
    let calls = || vec![Call::of("acme", "many"); 400];
    for n in 2..5 {
        let replies = std::thread::scope(|scope| {
            let flood = scope.spawn(|| stack.flood(16, calls()));
            stack.reconfigure(&config(n), true);
            flood.join().unwrap()
        });
        assert_eq!(count(&replies, 200), 400);
        leases_are_given_back(&stack);
    }
}
