//! An Envoy that stands still for longer than a heartbeat may be old.

use crate::ends::{in_process, never_answered, no_lease_is_left, tiers};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use std::time::Duration;

#[test]
fn after_a_standstill_leases_may_be_forgotten_but_none_is_given_back_twice_or_stuck() {
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
    for pending in open {
        stack.hang_up(pending);
    }
    no_lease_is_left(&stack);
    let last = stack.begin(never_answered(Call::of("acme", "one")));
    in_process(&stack);
    assert_eq!(
        stack.send(Call::of("acme", "one")).code(),
        "concurrency",
        "the count had not gone below zero"
    );
    stack.hang_up(last);
    no_lease_is_left(&stack);
}
