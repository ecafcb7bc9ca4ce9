//! Config that changes while requests run: their leases stay, and end with them.

use crate::ends::{in_process, leases_are_given_back, never_answered, never_finished, tiers};
use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

/// The same tiers, and yet another config.
fn another(n: u32) -> Setup {
    let retry_after = format!("{n}s");
    Setup::new(tiers().with(json!({"concurrency_retry_after": retry_after})))
}

#[test]
fn streams_that_outlive_their_config_hold_their_leases_to_the_end() {
    let stack = Stack::start(tiers());
    let old = [
        stack.begin(never_answered(Call::of("acme", "many"))),
        stack.begin(never_answered(Call::of("acme", "many").http2())),
    ];
    eventually("both are in process", || {
        stack.stat(&["tiergate_in_flight"]) == 2
    });
    stack.reconfigure(&another(2), true);
    let start = Instant::now();
    eventually("the new config answers", || {
        stack.send(Call::of("acme", "one")).header("retry-after") == Some("2")
    });
    // Longer than a VM without heartbeat is believed to live: the old config's root still beats.
    while start.elapsed() < Duration::from_secs(6) {
        assert_eq!(stack.send(Call::of("acme", "one")).code(), "concurrency");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(stack.stat(&["tiergate_in_flight"]), 2);
    for pending in old {
        stack.hang_up(pending);
    }
    leases_are_given_back(&stack);
}

#[test]
fn a_filter_that_is_removed_and_comes_back_while_streams_run() {
    let stack = Stack::start(tiers());
    let old = [
        stack.begin(never_finished(Call::of("acme", "many"))),
        stack.begin(never_finished(Call::of("acme", "many").http2())),
    ];
    in_process(&stack);
    let mut without = Setup::new(tiers());
    without.filters.clear();
    stack.reconfigure(&without, true);
    eventually("nobody is asked who they are", || {
        stack.send(Call::new()).status == 200
    });
    stack.reconfigure(&Setup::new(tiers()), true);
    in_process(&stack);
    for pending in old {
        stack.hang_up(pending);
    }
    leases_are_given_back(&stack);
}

#[test]
fn reloads_under_load_double_no_limit_and_leak_nothing() {
    let limit = |n: u32| {
        let config = Config::tier("t").concurrency(8);
        Setup::new(config.rpm(100_000 + u64::from(n)))
    };
    let stack = Stack::with(&limit(1));
    let call = || Call::of("acme", "t").header("x-demo-latency-ms", "20");
    // Each flood has connections of its own, so all four configs serve at the same time.
    let replies: Vec<_> = std::thread::scope(|scope| {
        let flood = || scope.spawn(|| stack.flood(8, vec![call(); 600]));
        let mut floods = vec![flood()];
        for n in 2..5 {
            stack.reconfigure(&limit(n), true);
            let limit = (100_000 + n).to_string();
            eventually("the new config answers", || {
                stack.send(call()).header("x-ratelimit-limit-requests") == Some(&limit)
            });
            floods.push(flood());
        }
        let replies = floods.into_iter().map(|flood| flood.join().unwrap());
        replies.flatten().collect()
    });
    assert_eq!(count(&replies, 200) + count(&replies, 429), 2_400);
    assert_eq!(
        stack.most_at_once("all"),
        8,
        "the limit, all of it and no more"
    );
    eventually("the gauge is 0", || {
        stack.stat(&["tiergate_in_flight"]) == 0
    });
    let replies = stack.send_all((0..8).map(|_| call()));
    assert_eq!(count(&replies, 200), 8, "no lease was lost");
}

#[test]
fn a_drained_listener_lets_its_streams_end_and_holds_nothing() {
    let stack = Stack::start(tiers());
    let slow = || Call::of("acme", "many").header("x-demo-latency-ms", "1500");
    let old: Vec<_> = (0..20)
        .map(|i| stack.begin(if i % 2 == 0 { slow() } else { slow().http2() }))
        .collect();
    eventually("all are in process", || {
        stack.stat(&["tiergate_in_flight"]) == 20
    });
    stack.drain();
    for pending in old {
        assert_eq!(stack.end(pending).status, 200);
    }
    assert!(stack.try_send(slow()).is_err(), "it listens no more");
    eventually("the gauge is 0", || {
        stack.stat(&["tiergate_in_flight"]) == 0
    });
}

/// Each config drains for 600 s, Envoy's default.
#[test]
fn old_configs_without_streams_hold_no_slots() {
    let config = |n: u32| {
        let retry_after = json!({"concurrency_retry_after": format!("{n}s")});
        Setup::new(tiers().open_admin().with(retry_after))
    };
    let stack = Stack::with(&config(1));
    let status = || stack.send(Call::new().get("/-/tiergate/status")).json();
    let live = || status()["live_vms"].as_u64().unwrap();
    let mut before = json!(null);
    for n in 1..=5 {
        if n > 1 {
            stack.reconfigure(&config(n), true);
        }
        eventually("the new config answers", || status()["config"] != before);
        before = status()["config"].clone();
        let replies = stack.send_all((0..40).map(|_| Call::of("acme", "many")));
        assert_eq!(count(&replies, 200), 40);
        assert!(live() <= 2, "two workers, {n} configs");
    }
    eventually("the idle have given their slots back", || live() == 0);
}
