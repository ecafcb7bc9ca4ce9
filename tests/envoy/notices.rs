//! Notices on a real Envoy: a receiver that is there, fails, is slow, comes back, or does not exist.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn config(cluster: &str) -> Config {
    let to = json!({"cluster": cluster, "authority": "mail.internal", "path": "/notices", "token": "a-token"});
    Config::tier("t").tpd(1_000).with(json!({
        "notices": {"at": [0.8, 1.0], "to": to},
        "tokens": {"bytes_per_token": 1_000_000, "completion": 0, "prompt": 0},
    }))
}

/// A request of an account that used so many tokens.
fn spend(stack: &Stack, account: &str, tokens: u64) -> crate::harness::client::Reply {
    let usage = format!(r#"{{"usage":{{"total_tokens":{tokens}}}}}"#);
    stack.send(Call::of(account, "t").header("x-demo-body", usage))
}

fn behave(stack: &Stack, status: u16, delay_ms: u64) {
    let body = json!({"status": status, "delay_ms": delay_ms}).to_string();
    let call = Call::new().post("/notices/behaviour").body(body);
    assert_eq!(stack.upstream(call).status, 200);
}

fn got(stack: &Stack) -> Vec<Value> {
    let all = stack.upstream(Call::new().get("/notices")).json();
    all.as_array().unwrap().clone()
}

fn notices(stack: &Stack, outcome: &str) -> u64 {
    stack.stat(&["tiergate_notices", &format!("outcome.{outcome}")])
}

#[test]
fn a_receiver_is_told_once_of_each_share_and_the_client_is_warned() {
    let stack = Stack::start(config("llm"));
    assert_eq!(
        spend(&stack, "acme", 790).header("x-ratelimit-warning"),
        None
    );
    spend(&stack, "acme", 30);
    let warned = spend(&stack, "acme", 180);
    assert_eq!(warned.header("x-ratelimit-warning"), Some("tpd=80"));
    for _ in 0..4 {
        // A request of a token, in which the day has no room.
        let body = vec![b'x'; 1_000_000];
        let over = Call::of("acme", "t").body(body);
        assert_eq!(stack.send(over).status, 429);
    }
    eventually("both notices", || got(&stack).len() == 2);
    // Each worker sends what it crossed, so they come in any order.
    let mut all = got(&stack);
    all.sort_by_key(|notice| notice["share"].to_string());
    let shares: Vec<_> = all.iter().map(|n| n["share"].as_f64().unwrap()).collect();
    assert_eq!(shares, [0.8, 1.0]);
    let first = &all[0];
    assert_eq!(first["account"], "acme");
    assert_eq!(first["used"], 820);
    assert_eq!(first["authorization"], "Bearer a-token");
    eventually("counted", || notices(&stack, "delivered") == 2);
    assert_eq!((notices(&stack, "failed"), notices(&stack, "lost")), (0, 0));
}

/// An upstream that is behind a limiter too: its warnings are about the gateway's account.
#[test]
fn a_warning_of_the_upstream_is_not_taken_for_the_filters() {
    let spend = |stack: &Stack, tokens: u64| {
        let usage = format!(r#"{{"usage":{{"total_tokens":{tokens}}}}}"#);
        let call = Call::of("acme", "t").header("x-demo-body", usage);
        let reply = stack.send(call.header("x-demo-header", "x-ratelimit-warning: tpd=99"));
        let all = reply.headers.get_all("x-ratelimit-warning").iter();
        all.map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let stack = Stack::start(config("llm"));
    assert_eq!(spend(&stack, 820), [""; 0]);
    assert_eq!(spend(&stack, 1), ["tpd=80"]);
    let without = Stack::start(Config::tier("t").tpd(1_000));
    assert_eq!(spend(&without, 1), ["tpd=99"], "not ours to touch");
}

#[test]
fn a_receiver_that_fails_or_is_slow_costs_no_request_and_no_notice() {
    let stack = Stack::start(config("llm"));
    behave(&stack, 503, 0);
    for n in 0..20 {
        assert_eq!(spend(&stack, &format!("account-{n}"), 900).status, 200);
    }
    eventually("failures", || notices(&stack, "failed") >= 20);
    assert_eq!(got(&stack).len(), 0);
    behave(&stack, 200, 300);
    let accounts = || -> BTreeSet<String> {
        let all = got(&stack);
        all.iter().map(|n| n["account"].to_string()).collect()
    };
    eventually("all notices", || accounts().len() == 20);
    assert_eq!(notices(&stack, "lost"), 0);
    assert!(
        stack
            .envoy_log()
            .contains("notices: the receiver answered with 503")
    );
}

#[test]
fn a_config_that_replaces_another_sends_what_that_could_not() {
    let stack = Stack::start(config("llm"));
    behave(&stack, 503, 0);
    spend(&stack, "acme", 900);
    eventually("a failure", || notices(&stack, "failed") > 0);
    stack.reconfigure(
        &Setup::new(config("llm").with(json!({"concurrency_retry_after": "2s"}))),
        true,
    );
    behave(&stack, 200, 0);
    eventually("the notice", || got(&stack).len() == 1);
}

/// Two listeners of one namespace count together, and each has its own routes, notices and mode.
#[test]
fn two_listeners_of_a_namespace_differ_in_routes_notices_and_modes() {
    let exempt = |path: &str| json!([{"match": {"path": path}, "limits": "none"}]);
    let tokens = json!({"bytes_per_token": 1_000_000, "completion": 0, "prompt": 0});
    let common = Config::tier("t")
        .rpm(4)
        .tpd(1_000)
        .with(json!({"tokens": tokens}));
    let first = config("llm").with(json!({"routes": exempt("/first"), "usage_path": "/usage"}));
    let first = first.with_tier(json!({"limits": {"rpm": 4}}));
    let second = common.with(json!({"routes": exempt("/second"), "mode": "shadow"}));
    let mut setup = Setup::new(first);
    setup.second = vec![wasm_filter("second", "tiergate.wasm", second)];
    let stack = Stack::with(&setup);
    let mut to = None;
    eventually("the second listener is there", || {
        to = stack.listener("second");
        to.is_some()
    });
    let by_second = |call: Call| stack.runtime.block_on(call.send(to.unwrap())).unwrap();
    let acme = || Call::of("acme", "t");
    let used = || {
        let limits = &stack.send(acme().get("/usage")).json()["limits"];
        ["rpm", "tpd"].map(|name| limits[name]["used"].as_u64().unwrap())
    };
    // Shadow counts, and shows nothing; it has no notices either.
    let usage = r#"{"usage":{"total_tokens":900}}"#;
    let reply = by_second(acme().header("x-demo-body", usage));
    assert_eq!(
        (reply.status, reply.header("x-ratelimit-limit-requests")),
        (200, None)
    );
    eventually("the tokens are counted", || used() == [1, 900]);
    assert_eq!(got(&stack).len(), 0);
    // Each listener exempts its own path.
    assert_eq!(stack.send(Call::new().post("/first")).status, 200);
    assert_eq!(stack.send(Call::new().post("/second")).status, 401);
    by_second(acme().post("/second"));
    assert_eq!(used(), [1, 900]);
    by_second(acme().post("/first"));
    assert_eq!(used()[0], 2);
    // The first listener tells of the share that the account came to through the second.
    let reply = spend(&stack, "acme", 1);
    assert_eq!(reply.header("x-ratelimit-warning"), Some("tpd=80"));
    eventually("the notice", || got(&stack).len() == 1);
    assert!(got(&stack)[0]["used"].as_u64().unwrap() >= 900);
    // The account's minute is used up for both; one of them lets it through.
    spend(&stack, "acme", 1);
    assert_eq!(spend(&stack, "acme", 1).status, 429);
    assert_eq!(by_second(acme()).status, 200);
    eventually("the other is counted too", || {
        stack.stat(&["tiergate_requests", "outcome.shadowed"]) == 1
    });
}

#[test]
fn a_cluster_that_does_not_exist_is_said_once_and_requests_go_on() {
    let stack = Stack::start(config("nowhere"));
    assert_eq!(spend(&stack, "acme", 900).status, 200);
    eventually("a failure", || notices(&stack, "failed") > 1);
    let log = stack.envoy_log();
    let said = log
        .lines()
        .filter(|line| line.contains("notices: a call to cluster nowhere"));
    assert_eq!(said.count(), 1, "{log}");
    assert_eq!(spend(&stack, "other", 1).status, 200);
}
