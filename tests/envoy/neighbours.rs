//! What access logs and a scheduler behind Envoy are told of a request.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};

const OBJECTIVE: &str = "x-gateway-inference-objective";
const FAIRNESS_ID: &str = "x-gateway-inference-fairness-id";

/// The line of the access log that has this word.
fn line(stack: &Stack, word: &str) -> String {
    let find = || {
        let log = stack.access_log();
        let line = log.lines().find(|line| line.contains(word));
        line.map(str::to_owned)
    };
    eventually(word, || find().is_some());
    find().unwrap()
}

#[test]
fn the_access_log_has_the_usage_of_each_request_and_says_what_is_estimated() {
    let config = Config::tier("t").rpm(3).with(json!({
        "log_account": true, "log_usage": true, "tokens": {"completion": 100, "bytes_per_token": 1_000_000},
    }));
    let stack = Stack::start(config);
    let of = |account: &str| Call::of(account, "t");
    let usage = r#"{"usage":{"prompt_tokens":70,"completion_tokens":5,"total_tokens":75,
        "prompt_tokens_details":{"cached_tokens":30}}}"#;
    stack.send(of("whole").header("x-demo-body", usage.replace('\n', "")));
    stack.send(of("silent").header("x-demo-body", r#"{"no":"usage"}"#));
    let mut broken = stack.read_slowly(of("broken").streamed(1_000, 20));
    assert!(broken.next_frame().is_some());
    drop(broken);
    stack.send(of("streamed").streamed(4, 1));
    for _ in 0..4 {
        stack.send(of("refused"));
    }
    for (account, usage) in [
        (
            "whole",
            "input=40 cached=30 cache_write=0 output=5 estimated=false",
        ),
        ("silent", "output=100 estimated=true"),
        ("broken", "output=100 estimated=true"),
        ("streamed", "estimated=true"),
    ] {
        let line = line(&stack, &format!("account={account}"));
        assert!(
            line.contains("outcome=admitted") && line.contains(" at=1"),
            "{line}"
        );
        assert!(line.contains(usage), "{line}");
    }
    let refused = line(&stack, "outcome=limited limit=rpm account=refused");
    assert!(
        refused.trim_end().ends_with('-') && !refused.contains("at="),
        "{refused}"
    );
}

#[test]
fn a_scheduler_is_told_and_a_client_can_not_speak_for_the_edge() {
    let scheduler = json!({"objective": {"tier0": "batch"}, "fairness": true});
    let config = json!({"scheduler": scheduler, "routes": [{"match": {"path": "/open"}, "limits": "none"}],
        "tiers": [tier("tier0"), tier("tier1")]});
    let stack = Stack::start(config.to_string());
    let forged = |call: Call| {
        call.header(OBJECTIVE, "critical")
            .header(FAIRNESS_ID, "someone")
    };
    let seen = |call: Call| {
        assert_eq!(stack.send(forged(call)).status, 200);
        let seen = stack.seen();
        (seen[OBJECTIVE].clone(), seen[FAIRNESS_ID].clone())
    };
    let (objective, id) = seen(Call::of("acme", "tier0"));
    assert_eq!(objective, json!(["batch"]));
    let (objective, same) = seen(Call::of("acme", "tier1"));
    assert_eq!((objective, &same), (Value::Null, &id));
    let (_, other) = seen(Call::of("other", "tier0"));
    assert!(
        other != id && !id.to_string().contains("acme"),
        "{id} {other}"
    );
    assert_eq!(seen(Call::new().post("/open")), (Value::Null, Value::Null));
}

/// Where the host keeps bodies back, the headers go on before the body is read.
#[test]
fn a_scheduler_is_told_before_a_body_that_is_read() {
    let config = json!({"scheduler": {"objective": {"tier0": "batch"}, "fairness": true},
        "tokens": {"read_body": true}, "tiers": [tier("tier0")]});
    for held in [true, false] {
        let setup = Setup::new(config.to_string());
        let stack = Stack::with(&if held {
            setup.bodies_while_headers_are_held()
        } else {
            setup
        });
        let call = Call::of("acme", "tier0").header("content-type", "application/json");
        let call = call
            .header(OBJECTIVE, "critical")
            .body(r#"{"messages":[]}"#);
        assert_eq!(stack.send(call).status, 200);
        let seen = stack.seen();
        assert_eq!(seen[OBJECTIVE], json!(["batch"]), "held: {held}");
        assert_eq!(seen[FAIRNESS_ID][0].as_str().unwrap().len(), 32);
    }
}

/// An internal redirect runs the filter again on the headers that the first run has set.
#[test]
fn a_redirected_request_has_one_objective_and_each_of_its_two_has_a_usage() {
    let config = json!({"scheduler": {"objective": {"tier0": "batch"}, "fairness": true},
        "log_usage": true, "strip_headers": false, "tiers": [tier("tier0")],
        "tokens": {"completion": 100, "bytes_per_token": 1_000_000}});
    let mut setup = Setup::new(config);
    setup.route = json!({"route": {"cluster": "llm",
        "internal_redirect_policy": {"redirect_response_codes": [307]}}});
    let stack = Stack::with(&setup);
    let call = Call::of("acme", "tier0")
        .header("x-demo-status", "307")
        .header("x-demo-header", "location: http://llm/elsewhere")
        .header(OBJECTIVE, "critical");
    assert_eq!(stack.send(call).status, 307, "the second is not followed");
    let seen = stack.seen();
    assert_eq!(seen[OBJECTIVE], json!(["batch"]));
    assert_eq!(seen[FAIRNESS_ID].as_array().unwrap().len(), 1);
    eventually("two requests", || {
        stack.stat(&["tiergate_requests", "outcome.admitted"]) == 2
    });
    let redirected = ["cluster.llm.upstream_internal_redirect_succeeded_total"];
    assert_eq!(stack.stat(&redirected), 1);
    eventually("two lines", || stack.access_log().lines().count() == 2);
    let log = stack.access_log();
    let with = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(with("outcome=admitted"), 2, "{log}");
    // The filter sees no response of the first, and reads that of the second.
    assert_eq!(with("output=100 estimated=true"), 1, "{log}");
    assert_eq!(with("output=16 estimated=false"), 1, "{log}");
}

fn tier(name: &str) -> Value {
    let recharge = if name == "tier0" { 1 } else { 2 };
    json!({"name": name, "recharge": recharge, "limits": {"concurrency": 5, "rpm": 100,
        "tpm": "unlimited", "tpd": "unlimited"}})
}
