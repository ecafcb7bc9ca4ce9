//! Edges of a fleet on real Envoys, with a service that answers, is slow, fails or lies.

use crate::ends::never_finished;
use crate::fleet_service::{Behaviour, Service};
use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::json;
use std::time::Duration;

fn setup(service: &Service, config: Config, on_failure: &str) -> Setup {
    within("50ms", service, config, on_failure)
}

/// An edge that waits so long for an answer.
fn within(timeout: &str, service: &Service, config: Config, on_failure: &str) -> Setup {
    let fleet = json!({
        "cluster": "fleet", "authority": "fleet", "on_failure": on_failure, "edges": 2,
        "timeout": timeout
    });
    let config = config.with(json!({"fleet": fleet, "tokens": {"completion": 0, "prompt": 0}}));
    Setup::new(config).cluster("fleet", service.address)
}

/// Edges whose service answers. The machine of a test may be slow.
fn edges(service: &Service, config: &Config) -> [Stack; 2] {
    [(); 2].map(|()| Stack::with(&within("1s", service, config.clone(), "deny")))
}

fn call() -> Call {
    Call::of("acme", "t")
}

fn failures(stack: &Stack) -> u64 {
    stack.stat(&["tiergate_fleet_failures"])
}

#[test]
fn a_limit_is_one_limit_for_two_envoys() {
    let service = Service::start();
    let stacks = edges(&service, &Config::tier("t").rpm(20));
    let mut replies: Vec<Reply> = Vec::new();
    for n in 0..60 {
        replies.push(stacks[n % 2].send(call()));
    }
    assert_eq!(count(&replies, 200), 20);
    assert_eq!(count(&replies, 429), 40);
    let refused = &replies[59];
    assert_eq!(refused.code(), "rpm");
    assert!(refused.retry_after_ms() > 50_000);
    eventually("all is told", || {
        service.used_and_out("requests/60000/-") == (20, 0)
    });
}

#[test]
fn a_burst_of_both_workers_of_both_envoys_stays_within_the_limit() {
    let service = Service::start();
    let stacks = edges(&service, &Config::tier("t").rpm(100));
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let all = stacks
            .each_ref()
            .map(|stack| scope.spawn(move || stack.flood(8, (0..150).map(|_| call()).collect())));
        all.into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    assert_eq!(count(&replies, 200), 100);
    let stats = stacks.each_ref().map(failures);
    assert_eq!(stats, [0, 0], "{}", stacks[0].envoy_log());
}

#[test]
fn one_request_at_a_time_goes_to_one_envoy_after_another() {
    let service = Service::start();
    let stacks = edges(&service, &Config::tier("t").concurrency(1));
    for n in 0..12 {
        let reply = stacks[n % 2].send(call());
        assert_eq!(reply.status, 200, "request {n}: {reply:?}");
    }
}

#[test]
fn tokens_beyond_the_reserve_count_for_the_other_envoy() {
    let service = Service::start();
    let stacks = edges(&service, &Config::tier("t").tpm(10_000));
    let usage = r#"{"usage":{"total_tokens":9990}}"#;
    assert_eq!(
        stacks[0].send(call().header("x-demo-body", usage)).status,
        200
    );
    eventually("the report", || {
        service.used_and_out("tokens/60000/-").0 == 9_990
    });
    let body = vec![b'x'; 400];
    assert_eq!(stacks[1].send(call().body(body)).status, 429);
}

#[test]
fn a_service_that_fails_stalls_nobody_and_on_failure_decides() {
    let slow = || Behaviour::After(Duration::from_secs(5));
    let cut = || Behaviour::Says(b"{\"v\": 1".to_vec());
    let huge = || Behaviour::Says(vec![b' '; 2_000_000]);
    for (on_failure, admitted, behaviour) in [
        ("deny", 0, Behaviour::Fails(503)),
        ("deny", 0, slow()),
        ("deny", 0, cut()),
        ("deny", 0, huge()),
        ("deny", 0, Behaviour::Lies),
        ("share", 10, slow()),
        ("local", 20, Behaviour::Fails(503)),
    ] {
        let service = Service::start();
        service.behave(behaviour.clone());
        let stack = Stack::with(&setup(&service, Config::tier("t").rpm(20), on_failure));
        let replies: Vec<Reply> = (0..30).map(|_| stack.send(call())).collect();
        assert_eq!(
            count(&replies, 200),
            admitted,
            "{on_failure}, {behaviour:?}"
        );
        if on_failure == "deny" {
            let error = &replies[29].json()["error"]["type"];
            assert_eq!(error, "engine_overloaded_error");
        }
        eventually("the failures are counted", || failures(&stack) > 0);
        let log = stack.envoy_log();
        let said = log.lines().filter(|line| line.contains("fleet: "));
        assert!(
            (1..=2).contains(&said.count()),
            "each worker says it once: {log}"
        );
    }
}

#[test]
fn an_edge_that_was_cut_off_tells_all_when_the_service_is_back() {
    let service = Service::start();
    let config = Config::tier("t").rpm(20);
    let stack = Stack::with(&setup(&service, config, "local"));
    service.behave(Behaviour::Fails(503));
    let replies: Vec<Reply> = (0..12).map(|_| stack.send(call())).collect();
    assert_eq!(count(&replies, 200), 12);
    service.behave(Behaviour::Answers);
    eventually("all is told", || {
        service.used_and_out("requests/60000/-").0 == 12
    });
}

/// A request in flight on an edge that is cut off; returns true if it is still there when the other edge
/// has its lease.
fn goes_on_when_cut_off(cut_off: &str) -> bool {
    let services = Service::start();
    let services = [services.another(), services];
    let config = Config::tier("t").concurrency(1);
    let stacks = services.each_ref().map(|service| {
        let fleet = json!({
            "cluster": "fleet", "authority": "fleet", "on_failure": "deny", "cut_off": cut_off,
            "timeout": "1s"
        });
        let config = config.clone().with(json!({"fleet": fleet}));
        Stack::with(&Setup::new(config).cluster("fleet", service.address))
    });
    let in_flight = || stacks[0].stat(&["tiergate_in_flight"]);
    let open = stacks[0].begin(never_finished(call()));
    eventually("it is in flight", || in_flight() == 1);
    assert_eq!(stacks[1].send(call()).code(), "concurrency");
    services[0].behave(Behaviour::Fails(503));
    eventually("the other edge has the lease", || {
        stacks[1].send(call()).status == 200
    });
    let goes_on = in_flight() == 1;
    stacks[0].hang_up(open);
    goes_on
}

#[test]
fn a_request_on_an_edge_that_is_cut_off_goes_on_or_is_ended_before_another_edge_has_its_lease() {
    std::thread::scope(|scope| {
        let kept = scope.spawn(|| goes_on_when_cut_off("keep"));
        assert!(!goes_on_when_cut_off("reset"));
        assert!(kept.join().unwrap());
    });
}
