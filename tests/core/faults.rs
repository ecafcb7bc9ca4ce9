//! A host that fails: `on_fault` decides, nothing leaks, and shadow mode lets all through.

use crate::fake_host::{FakeRequest, Worker, World, one_tier};
use std::rc::Rc;
use tiergate::limiter::Next;
use tiergate::tokens::Used;

const DENY: &str = r#", "on_fault": "deny""#;

#[test]
fn a_failing_host_lets_requests_through_by_default_and_counts_them() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(1, 1, 0, 0, ""));
    worker.host.failing.set(100);
    for _ in 0..3 {
        let result = worker.check(&FakeRequest::of("acme", "t", 0));
        assert_eq!(result.log, "tier=t outcome=faulted");
        assert!(matches!(result.next, Next::Forward(_)));
    }
    worker.host.failing.set(0);
    assert_eq!(worker.tick().get("requests", "outcome.faulted"), 3);
}

#[test]
fn on_fault_deny_answers_503() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(1, 1, 0, 0, DENY));
    worker.host.failing.set(1);
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 0));
    assert_eq!(
        (reply.status, reply.grpc_status, reply.code),
        (503, 14, "limiter_unavailable")
    );
    worker.admit(&FakeRequest::of("acme", "t", 0));
}

#[test]
fn a_write_that_is_always_overtaken_is_a_fault_in_the_end() {
    let world = World::new();
    let json = one_tier(0, 1_000, 0, 0, DENY);
    let worker = Worker::new(&world, &json);
    let rival = Rc::new(Worker::new(&world, &json));
    let request = FakeRequest::of("acme", "t", 0);
    // Each has a VM slot from here on.
    worker.admit(&request);
    rival.admit(&request);
    for _ in 0..100 {
        let (rival, request) = (Rc::clone(&rival), FakeRequest::of("acme", "t", 0));
        let overtake = move || drop(rival.admit(&request));
        worker.host.before_set.borrow_mut().push(Box::new(overtake));
    }
    worker.refuse(&request);
    let retries = worker.tick().get("cas_retries", "");
    assert_eq!(retries, 100);
}

#[test]
fn a_settlement_that_failed_is_made_up_for_on_the_next_tick() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(1, 0, 0, 0, ""));
    let held = worker
        .admit(&FakeRequest::of("acme", "t", 0))
        .admission
        .unwrap();
    worker.host.failing.set(1);
    worker
        .limiter
        .borrow_mut()
        .settle(&worker.host, held, Used::Unknown);
    worker.refuse(&FakeRequest::of("acme", "t", 0));
    worker.tick();
    worker.admit(&FakeRequest::of("acme", "t", 0));
}

#[test]
fn shadow_mode_decides_and_counts_but_lets_all_through() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 1, 0, 0, r#", "mode": "shadow""#));
    worker.admit(&FakeRequest::of("acme", "t", 0));
    let result = worker.check(&FakeRequest::of("acme", "t", 0));
    assert_eq!(result.log, "tier=t outcome=shadowed limit=rpm");
    assert!(matches!(result.next, Next::Forward(pass) if pass.admission.is_none()));
    let result = worker.check(&FakeRequest::with(&[]));
    assert_eq!(
        result.log,
        "tier=none outcome=shadowed code=account_missing"
    );
    let metrics = worker.tick();
    assert_eq!(metrics.get("requests", "outcome.shadowed"), 2);
    assert_eq!(metrics.get("limited", "limit.rpm"), 1);
}

#[test]
fn two_namespaces_do_not_share_and_one_does() {
    let world = World::new();
    let here = Worker::new(&world, &one_tier(0, 1, 0, 0, ""));
    let there = Worker::new(&world, &one_tier(0, 1, 0, 0, r#", "namespace": "other""#));
    let again = Worker::new(&world, &one_tier(0, 1, 0, 0, ""));
    here.admit(&FakeRequest::of("acme", "t", 0));
    there.admit(&FakeRequest::of("acme", "t", 0));
    again.refuse(&FakeRequest::of("acme", "t", 0));
}
