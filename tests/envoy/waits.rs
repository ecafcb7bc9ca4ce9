//! Requests over the concurrency of a tier that waits: paused until a lease is free.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

fn waits(wait: &str) -> Config {
    Config::tier("t").concurrency(1).wait(wait)
}

/// Waits until Envoy has so many requests; those over the first are paused.
fn envoy_has(stack: &Stack, requests: u64) {
    eventually("Envoy has the requests", || {
        stack.stat(&["http.proxy.downstream_rq_active"]) == requests
    });
}

fn slow(ms: u32) -> Call {
    Call::of("acme", "t").header("x-demo-latency-ms", ms.to_string())
}

#[test]
fn a_burst_over_the_concurrency_is_served_one_by_one_on_both_workers() {
    let stack = Stack::start(waits("10s"));
    for http2 in [false, true] {
        let call = || if http2 { slow(100).http2() } else { slow(100) };
        let replies = stack.send_all((0..6).map(|_| call()));
        assert_eq!(count(&replies, 200), 6);
        assert_eq!(stack.most_at_once("all"), 1, "never two at once");
    }
}

#[test]
fn one_worker_serves_them_in_the_order_in_which_they_came() {
    let mut setup = Setup::new(waits("50s"));
    setup.workers = 1;
    let stack = Stack::with(&setup);
    let first = stack.begin(slow(60_000));
    envoy_has(&stack, 1);
    let pending: Vec<_> = (0..4)
        .map(|i| {
            let pending = stack.begin(slow(10).header("x-turn", i.to_string()));
            envoy_has(&stack, i + 2);
            pending
        })
        .collect();
    // Each reply is there before those of later requests.
    stack.hang_up(first);
    let mut order = Vec::new();
    for (i, pending) in pending.into_iter().enumerate() {
        stack.end(pending);
        order.push(
            stack.seen()["x-turn"][0]
                .as_str()
                .unwrap()
                .parse::<usize>()
                .unwrap(),
        );
        assert!(order[i] >= i, "{order:?}");
    }
    assert_eq!(order.last(), Some(&3));
}

#[test]
fn when_the_wait_is_over_the_client_gets_its_429() {
    let stack = Stack::start(waits("300ms"));
    let first = stack.begin(slow(60_000));
    eventually("it is in process", || {
        stack.stat(&["tiergate_in_flight"]) == 1
    });
    let start = Instant::now();
    let refused = stack.send(slow(0));
    assert_eq!((refused.status, &*refused.code()), (429, "concurrency"));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        stack.stat(&["tiergate_in_flight"]),
        1,
        "the first has its lease still"
    );
    stack.hang_up(first);
}

#[test]
fn a_client_that_hangs_up_while_it_waits_leaves_no_trace() {
    let stack = Stack::start(waits("50s"));
    let first = stack.begin(slow(60_000));
    eventually("it is in process", || {
        stack.stat(&["tiergate_in_flight"]) == 1
    });
    let gone = stack.begin(slow(0));
    envoy_has(&stack, 2);
    stack.hang_up(gone);
    envoy_has(&stack, 1);
    let last = stack.begin(slow(0));
    envoy_has(&stack, 2);
    stack.hang_up(first);
    assert_eq!(stack.end(last).status, 200);
    eventually("all are counted", || {
        stack.stat(&["tiergate_requests", "outcome.admitted"]) == 2
            && stack.stat(&["tiergate_in_flight"]) == 0
    });
}

#[test]
fn paused_requests_keep_their_bodies() {
    let config = waits("10s").with(json!({"tokens": {"read_body": true}}));
    for setup in [
        Setup::new(waits("10s")),
        Setup::new(config).bodies_while_headers_are_held(),
    ] {
        let stack = Stack::with(&setup);
        let body = format!(r#"{{"messages":["{}"]}}"#, "x".repeat(200_000));
        let calls = (0..4).map(|_| slow(50).body(body.clone()));
        let replies = stack.send_all(calls);
        assert_eq!(count(&replies, 200), 4);
        assert_eq!(stack.seen_body(), body.as_bytes());
    }
}
