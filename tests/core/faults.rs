//! A host that fails: `on_fault` decides, nothing leaks, and shadow mode lets all through.

use crate::harness::{Config, FakeRequest, Next, Worker, World};
use serde_json::json;
use std::rc::Rc;

fn deny() -> serde_json::Value {
    json!({"on_fault": "deny"})
}

#[test]
fn a_failing_host_lets_requests_through_by_default_and_counts_them() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").concurrency(1).rpm(1));
    worker.host.failing.set(100);
    for _ in 0..3 {
        let result = worker.check(&FakeRequest::acme(0));
        assert_eq!(result.log_line(), "tier=t outcome=faulted");
        assert!(matches!(result.next, Next::Forward(_)));
    }
    worker.host.failing.set(0);
    assert_eq!(worker.tick().get("requests", "outcome.faulted"), 3);
}

#[test]
fn on_fault_deny_answers_503() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").concurrency(1).rpm(1).with(deny()));
    worker.host.failing.set(1);
    let reply = worker.refuse(&FakeRequest::acme(0));
    assert_eq!(
        (reply.status, reply.grpc_status, reply.code),
        (503, 14, "limiter_unavailable")
    );
    worker.admit(&FakeRequest::acme(0));
}

#[test]
fn a_write_that_is_always_overtaken_is_a_fault_in_the_end() {
    let world = World::new();
    let json = Config::tier("t").rpm(1_000).with(deny());
    let worker = Worker::new(&world, &json);
    let rival = Rc::new(Worker::new(&world, &json));
    let request = FakeRequest::acme(0);
    // Each has a VM slot from here on.
    worker.admit(&request);
    rival.admit(&request);
    for _ in 0..100 {
        let (rival, request) = (Rc::clone(&rival), FakeRequest::acme(0));
        let overtake = move || drop(rival.admit(&request));
        worker.host.intrude(overtake);
    }
    worker.refuse(&request);
    let retries = worker.tick().get("cas_retries", "");
    assert_eq!(retries, 100);
}

/// The reply to a request for which shared data fails in that way; `None` when it is let through.
fn denied(cause: &str, on_fault: serde_json::Value) -> Option<u32> {
    let world = World::new();
    let config = || {
        let config = Config::tier("t").rpm(1_000);
        config.with(json!({"capacity": {"accounts": 8}}))
    };
    let worker = Worker::new(&world, config().with(json!({"on_fault": on_fault})));
    match cause {
        "host" => worker.host.failing.set(10),
        "newer_layout" => world.overwrite("tiergate/p0", b"\xc8?newer"),
        "lost_races" => {
            let rival = Rc::new(Worker::new(&world, config()));
            for _ in 0..100 {
                let rival = Rc::clone(&rival);
                let overtake = move || drop(rival.admit(&FakeRequest::acme(0)));
                worker.host.intrude(overtake);
            }
        }
        other => panic!("{other}"),
    }
    let result = worker.check(&FakeRequest::acme(0));
    assert_eq!(result.log_line(), "tier=t outcome=faulted", "{cause}");
    match result.next {
        Next::Reply(reply) => Some(reply.status),
        _ => None,
    }
}

#[test]
fn each_cause_of_a_fault_has_an_action_of_its_own() {
    let causes = ["host", "newer_layout", "lost_races"];
    for cause in causes {
        for named in causes.into_iter().chain(["no_slot"]) {
            let deny_one = json!({named: "deny"});
            let wanted = (named == cause).then_some(503);
            assert_eq!(denied(cause, deny_one), wanted, "{cause}, {named}");
        }
        assert_eq!(denied(cause, json!({})), None);
        assert_eq!(denied(cause, json!("allow")), None);
        assert_eq!(denied(cause, json!("deny")), Some(503));
    }
}

#[test]
fn a_settlement_that_failed_is_made_up_for_on_the_next_tick() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").concurrency(1));
    let admission = worker.admission(&FakeRequest::acme(0));
    worker.host.failing.set(1);
    worker.release(admission);
    worker.refuse(&FakeRequest::acme(0));
    worker.tick();
    worker.admit(&FakeRequest::acme(0));
}

#[test]
fn shadow_mode_decides_and_counts_but_lets_all_through() {
    let world = World::new();
    let worker = Worker::new(
        &world,
        Config::tier("t").rpm(1).with(json!({"mode": "shadow"})),
    );
    worker.admit(&FakeRequest::acme(0));
    let result = worker.check(&FakeRequest::acme(0));
    assert_eq!(result.log_line(), "tier=t outcome=shadowed limit=rpm");
    assert!(matches!(result.next, Next::Forward(pass) if pass.admission.is_none()));
    let result = worker.check(&FakeRequest::with(&[]));
    assert_eq!(
        result.log_line(),
        "tier=none outcome=shadowed code=account_missing"
    );
    let metrics = worker.tick();
    assert_eq!(metrics.get("requests", "outcome.shadowed"), 2);
    assert_eq!(metrics.get("limited", "limit.rpm"), 1);
}

#[test]
fn two_namespaces_do_not_share_and_one_does() {
    let world = World::new();
    let here = Worker::new(&world, Config::tier("t").rpm(1));
    let there = Worker::new(
        &world,
        Config::tier("t").rpm(1).with(json!({"namespace": "other"})),
    );
    let again = Worker::new(&world, Config::tier("t").rpm(1));
    here.admit(&FakeRequest::acme(0));
    there.admit(&FakeRequest::acme(0));
    again.refuse(&FakeRequest::acme(0));
}
