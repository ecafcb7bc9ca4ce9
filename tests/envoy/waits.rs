//! Requests over the concurrency of a tier that waits: held until a lease frees.

use crate::bootstrap::Setup;
use crate::client::{Call, count};
use crate::stack::{Stack, eventually};
use std::time::{Duration, Instant};

fn waits(wait: &str) -> String {
    format!(
        r#"{{"tiers": [{{"name": "t", "recharge": 1, "wait": "{wait}", "limits": {{"concurrency": 1,
            "rpm": "unlimited", "tpm": "unlimited", "tpd": "unlimited"}}}}]}}"#
    )
}

fn slow(ms: u32) -> Call {
    Call::of("acme", "t").header("x-demo-latency-ms", ms.to_string())
}

#[test]
fn a_burst_over_the_concurrency_is_served_one_by_one_on_both_workers() {
    let stack = Stack::start(&waits("10s"));
    for http2 in [false, true] {
        let start = Instant::now();
        let call = || if http2 { slow(100).http2() } else { slow(100) };
        let replies = stack.send_all((0..6).map(|_| call()));
        assert_eq!(count(&replies, 200), 6);
        assert!(
            start.elapsed() >= Duration::from_millis(600),
            "never two at once"
        );
    }
}

#[test]
fn one_worker_serves_them_in_the_order_in_which_they_came() {
    let mut setup = Setup::new(&waits("10s"));
    setup.workers = 1;
    let stack = Stack::with(&setup);
    let first = stack.begin(slow(400));
    let pending: Vec<_> = (0..4)
        .map(|i| {
            std::thread::sleep(Duration::from_millis(60));
            stack.begin(slow(10).header("x-turn", i.to_string()))
        })
        .collect();
    // Each reply is there before those of later requests.
    stack.end(first);
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
    let stack = Stack::start(&waits("300ms"));
    let first = stack.begin(slow(3_000));
    eventually("it is in process", || {
        stack.stat(&["tiergate_in_flight"]) == 1
    });
    let start = Instant::now();
    let refused = stack.send(slow(0));
    assert_eq!((refused.status, &*refused.code()), (429, "concurrency"));
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_millis(300) && waited < Duration::from_millis(900),
        "{waited:?}"
    );
    stack.hang_up(first);
}

#[test]
fn a_client_that_hangs_up_while_it_is_held_leaves_no_trace() {
    let stack = Stack::start(&waits("10s"));
    let first = stack.begin(slow(1_500));
    eventually("it is in process", || {
        stack.stat(&["tiergate_in_flight"]) == 1
    });
    let gone = stack.begin(slow(0));
    std::thread::sleep(Duration::from_millis(100));
    stack.hang_up(gone);
    let last = stack.begin(slow(0).header("x-turn", "last"));
    assert_eq!(stack.end(first).status, 200);
    assert_eq!(stack.end(last).status, 200);
    eventually("all are counted", || {
        stack.stat(&["tiergate_requests", "outcome.admitted"]) == 2
            && stack.stat(&["tiergate_in_flight"]) == 0
    });
}

#[test]
fn held_requests_keep_their_bodies() {
    let config = waits("10s").replacen('{', r#"{"tokens": {"read_body": true}, "#, 1);
    for setup in [
        Setup::new(&waits("10s")),
        Setup::new(&config).bodies_while_headers_are_held(),
    ] {
        let stack = Stack::with(&setup);
        let body = format!(r#"{{"messages":["{}"]}}"#, "x".repeat(200_000));
        let calls = (0..4).map(|_| slow(50).body(body.clone()));
        let replies = stack.send_all(calls);
        assert_eq!(count(&replies, 200), 4);
        assert_eq!(stack.seen_body(), body.as_bytes());
    }
}
