//! An Envoy that stands still for longer than a VM's silence may last.

use crate::ends::{in_process, leases_are_given_back, never_answered, tiers};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use std::time::{Duration, Instant};

#[test]
fn after_a_standstill_no_lease_is_forgotten_given_back_twice_or_stuck() {
    let stack = Stack::start(tiers());
    let in_flight = || stack.stat(&["tiergate_in_flight"]);
    let call = || Call::of("acme", "many");
    // These are answered while Envoy does not look.
    let answered: Vec<_> = (0..10)
        .map(|_| stack.begin(call().header("x-demo-latency-ms", "3000")))
        .collect();
    let open: Vec<_> = (0..10)
        .map(|_| stack.begin(never_answered(call())))
        .collect();
    eventually("all are in process", || in_flight() == 20);
    stack.freeze(Duration::from_secs(6));
    let replies: Vec<_> = answered.into_iter().map(|p| stack.end(p)).collect();
    assert_eq!(count(&replies, 200), 10);
    eventually("the gauge is the truth again", || in_flight() == 10);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        assert_eq!(stack.send(Call::of("acme", "one")).code(), "concurrency");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(in_flight(), 10);
    for pending in open {
        stack.hang_up(pending);
    }
    leases_are_given_back(&stack);
    // Of "many": a probe of "one" that came first would hold the only lease, and refuse it.
    let last = stack.begin(never_answered(call()));
    in_process(&stack);
    assert_eq!(
        stack.send(Call::of("acme", "one")).code(),
        "concurrency",
        "the count had not gone below zero"
    );
    stack.hang_up(last);
    leases_are_given_back(&stack);
}
