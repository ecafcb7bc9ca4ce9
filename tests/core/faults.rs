//! A host that fails: `on_fault` decides, nothing leaks, and shadow mode lets all through.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World};
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;

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
        "newer_layout" => world.overwrite("tiergate/p1.0", b"\xc8?newer"),
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

/// Leases in use and tokens of the last minute.
fn used(worker: &Worker) -> (u64, u64) {
    let limits = &worker.usage(&FakeRequest::acme(0))["limits"];
    let used = |name: &str| limits[name]["used"].as_u64().unwrap();
    (used("concurrency"), used("tpm"))
}

/// A worker whose host fails while these requests end, each a millisecond after the last and with
/// so many tokens used. Each has reserved 1,024.
fn ends_while_the_host_fails(world: &Arc<World>, tokens: &[u64]) -> Worker {
    let config = Config::tier("t").concurrency(5_000).tpm(1_000_000_000);
    let worker = Worker::new(world, config.tpd(1_000_000_000).open_admin());
    let admissions: Vec<_> = tokens
        .iter()
        .map(|_| {
            world.pass_ms(1);
            worker.admission(&FakeRequest::acme(0))
        })
        .collect();
    worker.host.failing.set(u32::MAX);
    for (admission, tokens) in admissions.into_iter().zip(tokens) {
        worker.settle(admission, Used::Tokens(*tokens));
    }
    worker.host.failing.set(0);
    worker
}

#[test]
fn no_settlement_is_dropped_however_many_there_are() {
    for (n, tokens) in [(1_030, 1_024), (3_000, 2_000), (3_000, 24)] {
        let world = World::new();
        let worker = ends_while_the_host_fails(&world, &vec![tokens; n]);
        let n = n as u64;
        assert_eq!(used(&worker), (n, n * 1_024));
        worker.tick();
        let (leases, counted) = used(&worker);
        assert_eq!(leases, 0, "of a VM that lives on");
        assert!(counted >= n * tokens, "{counted} of {}", n * tokens);
        assert!(counted <= n * tokens + n * 100, "{counted}");
    }
}

#[test]
fn settlements_that_are_merged_come_to_what_each_comes_to() {
    let tokens: Vec<u64> = (0..500).map(|n| n * 37 % 2_048).collect();
    let world = World::new();
    let worker = ends_while_the_host_fails(&world, &tokens);
    worker.tick();
    assert_eq!(used(&worker), (0, tokens.iter().sum()));
    world.pass_ms(61_000);
    assert_eq!(used(&worker), (0, 0));
}

#[test]
fn a_settlement_outlives_its_config() {
    let world = World::new();
    let old = ends_while_the_host_fails(&world, &[10, 20]);
    let new = old.beside(Config::tier("t").concurrency(1).tpm(50_000).open_admin());
    old.host.failing.set(u32::MAX);
    old.close();
    drop(old);
    assert_eq!(used(&new), (2, 2_048));
    new.tick();
    assert_eq!(used(&new), (0, 30));
}

/// One page is of newer code, the other is not.
#[test]
fn a_settlement_that_can_never_be_stored_holds_back_no_other() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").concurrency(1));
    let requests: Vec<_> = (0..20)
        .map(|n| FakeRequest::of(&format!("account-{n}"), "t", 0))
        .collect();
    let admissions: Vec<_> = requests.iter().map(|r| worker.admission(r)).collect();
    for page in 0..4 {
        world.overwrite(&format!("tiergate/p8.{page}"), b"\xc8?newer");
    }
    worker.host.failing.set(u32::MAX);
    for admission in admissions {
        worker.release(admission);
    }
    worker.host.failing.set(0);
    worker.tick();
    for request in &requests {
        let log = worker.check(request).log_line();
        assert!(log != "tier=t outcome=limited limit=concurrency", "{log}");
    }
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
        "tier=none outcome=shadowed code=account_missing \
         sources=header:x-account-id,header:authorization"
    );
    let metrics = worker.tick();
    assert_eq!(metrics.get("requests", "outcome.shadowed"), 2);
    assert_eq!(metrics.get("limited", "limit.rpm"), 1);
}

#[test]
fn a_shadow_filter_in_a_shared_namespace_counts_what_it_admits_and_nothing_else() {
    let world = World::new();
    let config = Config::tier("t").rpm(2);
    let enforces = Worker::new(&world, &config);
    let shadows = Worker::new(&world, config.with(json!({"mode": "shadow"})));
    enforces.admit(&FakeRequest::acme(0));
    shadows.admit(&FakeRequest::acme(0));
    enforces.refuse(&FakeRequest::acme(0));
    world.pass_ms(30_000);
    for _ in 0..10 {
        let log = shadows.check(&FakeRequest::acme(0)).log_line();
        assert_eq!(log, "tier=t outcome=shadowed limit=rpm");
    }
    world.pass_ms(30_001);
    enforces.admit(&FakeRequest::acme(0));
    enforces.admit(&FakeRequest::acme(0));
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

/// Regression: no tick follows that would log it.
#[test]
fn a_config_that_ends_says_what_it_could_not_store() {
    let worker = Worker::new(&World::new(), Config::tier("t").concurrency(5));
    let admission = worker.admission(&FakeRequest::acme(0));
    worker.host.failing.set(1_000);
    worker.release(admission);
    let (_, line) = worker.closed();
    let line = line.unwrap_or_default();
    assert!(line.contains("in shared data: "), "{line:?}");
    let quiet = Worker::new(&World::new(), Config::tier("t").concurrency(5));
    quiet.release(quiet.admission(&FakeRequest::acme(0)));
    assert_eq!(quiet.closed().1, None);
}
