//! Limits that follow the load, on a real Envoy: set by an operator, or by what the upstream reports.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn setup(config: Config) -> Setup {
    let capacity = json!({"accounts": 64, "directory": 64});
    let config = config.open_admin().with(json!({"capacity": capacity}));
    Setup::new(config).bodies_while_headers_are_held()
}

fn start(config: Config) -> Stack {
    Stack::with(&setup(config))
}

/// Waits until both workers have that in force.
fn both_have(stack: &Stack, tier: &str, scale: f64) {
    stack.both_workers("both workers have the scale", || {
        in_force(stack)[tier] == scale
    });
}

fn call(stack: &Stack, method: &str, body: &str) -> Reply {
    let call = Call::new().method(method, "/-/tiergate/load").body(body);
    stack.send(call)
}

fn put(stack: &Stack, body: &str) -> Value {
    let reply = call(stack, "PUT", body);
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    reply.json()
}

/// What is in force, as one of the workers knows it.
fn in_force(stack: &Stack) -> Value {
    call(stack, "GET", "").json()["in_force"].clone()
}

fn of_acme(tier: &str) -> Call {
    Call::of("acme", tier)
}

#[test]
fn a_scale_is_in_force_in_both_workers_and_ends_by_itself() {
    // The window is longer than the test, so what is admitted adds up.
    let hour = json!({"windows": {"minute": "1h"}});
    let stack = start(Config::tier("t").rpm(40).with(hour));
    put(&stack, r#"{"scale": 0.25, "ttl": "1h"}"#);
    both_have(&stack, "t", 0.25);
    let replies = stack.send_all((0..48).map(|_| of_acme("t")));
    assert_eq!(count(&replies, 200), 10, "lowered to 10");
    for refused in replies.iter().filter(|reply| reply.status == 429) {
        assert_eq!(refused.json()["error"]["limit"]["limit"], 40, "as bought");
    }
    put(&stack, r#"{"scale": 0.25, "ttl": "1s"}"#);
    both_have(&stack, "t", 1.0);
    let replies = stack.send_all((0..48).map(|_| of_acme("t")));
    assert_eq!(count(&replies, 200), 30, "as bought again, without a word");
    eventually("one of the workers logs its end", || {
        stack.envoy_log().contains("manual limits ended")
    });
    let log = stack.envoy_log();
    assert_eq!(log.matches("manual limits ended").count(), 1);
}

#[test]
fn a_lowered_limit_is_said_to_be_the_engine_in_reply_log_and_metrics() {
    let stack = start(Config::tier("t").rpm(4));
    put(&stack, r#"{"scale": 0.5, "ttl": "1h"}"#);
    both_have(&stack, "t", 0.5);
    let replies: Vec<_> = (0..4).map(|_| stack.send(of_acme("t"))).collect();
    assert_eq!(count(&replies, 200), 2);
    let refused = &replies[3];
    assert_eq!((refused.status, &*refused.code()), (429, "rpm"));
    assert_eq!(refused.json()["error"]["type"], "engine_overloaded_error");
    assert_eq!(refused.json()["error"]["limit"]["limit"], 4);
    assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("4"));
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let line = "tier=t outcome=limited limit=rpm overloaded=true";
    eventually("the access log", || stack.access_log().contains(line));
    let overloaded = ["tiergate_overloaded", "tier.t", "limit.rpm"];
    eventually("it is counted", || stack.stat(&overloaded) == 2);
    let scale = ["tiergate_limit_scale", "tier.t"];
    assert_eq!(stack.stat(&scale), 500);
    assert_eq!(call(&stack, "DELETE", "").json()["scale"], 1.0);
    eventually("the gauge is back", || stack.stat(&scale) == 1_000);
    both_have(&stack, "t", 1.0);
    assert_eq!(stack.send(of_acme("t")).status, 200);
}

#[test]
fn two_operators_at_once_the_last_wins_and_both_are_logged() {
    let stack = start(Config::new());
    put(&stack, r#"{"scale": 0.5, "ttl": "10m"}"#);
    put(&stack, r#"{"tiers": {"tier0": 0.1}, "ttl": "20m"}"#);
    let view = call(&stack, "GET", "").json();
    assert_eq!(
        (&view["scale"], &view["in_force"]["tier0"]),
        (&json!(1.0), &json!(0.1))
    );
    for said in [
        "limits set manually to × 0.5 for 600000 ms",
        "limits set manually to × 1, tier0 × 0.1 for 1200000 ms, in place of × 0.5 for 600000 ms",
    ] {
        eventually(said, || stack.envoy_log().contains(said));
    }
    for (body, says) in [
        (r#"{"scale": 0.5, "ttl": "0s"}"#, "body at ttl: "),
        (r#"{"scale": 0.5, "ttl": "8760h"}"#, "body at ttl: "),
        (r#"{"scale": 1e9}"#, "body at scale: "),
        (r#"{"scale": nan}"#, "body at scale: "),
    ] {
        let reply = call(&stack, "PUT", body);
        assert_eq!(
            (reply.status, &*reply.code()),
            (400, "body_invalid"),
            "{body}"
        );
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(says), "{body}: {message}");
    }
    assert_eq!(call(&stack, "GET", "").json()["in_force"]["tier0"], 0.1);
}

/// The upstream reports that load in its answers, for so long.
fn reports(stack: &Stack, load: &str, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let header = format!("x-cluster-load: {load}");
        let report = || Call::of("acme", "tier5").header("x-demo-header", &header);
        for reply in stack.send_all((0..4).map(|_| report())) {
            // Under pressure, some may be refused.
            assert!([200, 429].contains(&reply.status), "{}", reply.status);
            assert_eq!(
                reply.header("x-cluster-load"),
                None,
                "not the client's business"
            );
        }
    }
}

#[test]
fn limits_follow_the_load_that_the_upstream_reports_and_clients_do_not_see_it() {
    let from = json!({"header": "X-Cluster-Load"});
    let load = json!({"from": from, "start": 0.8, "full": 1.0, "floor": 0.2,
        "interval": "500ms", "smooth": "200ms", "hold": "500ms"});
    let stack = start(Config::new().with(json!({"load": load})));
    for wrong in ["nan", "-1", "1e9"] {
        reports(&stack, wrong, Duration::from_millis(700));
    }
    assert_eq!(in_force(&stack)["tier0"], 1.0);
    let unreadable = ["tiergate_load_unreadable", "namespace.tiergate"];
    eventually("they are counted", || stack.stat(&unreadable) > 0);
    reports(&stack, "0.9", Duration::from_secs(3));
    let lowered = in_force(&stack);
    assert_eq!(lowered["tier0"], 0.2, "{lowered}");
    assert_eq!(lowered["tier5"], 1.0, "{lowered}");
    reports(&stack, "0.1", Duration::from_millis(500));
    // It goes on coming back while nobody reports anything.
    eventually("all are back", || in_force(&stack)["tier0"] == 1.0);
    assert!(stack.envoy_log().contains("limits lowered at load 0."));
    eventually("it is logged", || {
        stack.envoy_log().contains("all are at their base")
    });
}

/// A stream that outlives its config keeps the old root ticking.
#[test]
fn after_a_reload_limits_follow_the_new_rule_alone() {
    let with = |floor: f64| {
        let load = json!({"from": {"header": "x-cluster-load"}, "floor": floor, "interval": "500ms",
            "smooth": "200ms", "hold": "500ms"});
        let tiers = Config::tier("tier0").rpm(1_000_000);
        let tiers = tiers.and_tier("tier5").rpm(1_000_000);
        setup(tiers.with(json!({"load": load})))
    };
    let stack = Stack::with(&with(0.2));
    let old = stack.begin(crate::ends::never_answered(Call::of("old", "tier5")));
    reports(&stack, "1.5", Duration::from_secs(3));
    assert_eq!(in_force(&stack)["tier0"], 0.2);
    stack.reconfigure(&with(0.8), true);
    reports(&stack, "1.5", Duration::from_secs(3));
    let mut seen = Vec::new();
    for _ in 0..40 {
        reports(&stack, "1.5", Duration::from_millis(200));
        seen.push(in_force(&stack)["tier0"].as_f64().unwrap());
    }
    stack.hang_up(old);
    assert!(
        seen.iter().all(|scale| *scale >= 0.8),
        "the floor is 0.8: {seen:?}"
    );
}
