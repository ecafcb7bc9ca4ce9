//! Tokens of plain responses: reserved before a request runs, settled by what its response says.

use crate::harness::Config;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::json;

/// A config with one tier, of that many tokens per minute, that reserves 100 for a request.
pub fn tpm(limit: u64) -> Config {
    let tokens = json!({"bytes_per_token": 1_000_000, "completion": 100});
    let config = Config::tier("t").concurrency(1).tpm(limit);
    config.with(json!({"tokens": tokens}))
}

/// What a next request of the account sees used, its own reserve of 100 not counted.
pub fn used(stack: &Stack, account: &str) -> u64 {
    let reply = stack.send(Call::of(account, "t").header("x-demo-status", "500"));
    let left: u64 = reply
        .header("x-ratelimit-remaining-tokens")
        .unwrap()
        .parse()
        .unwrap();
    1_000_000 - left - 100
}

fn settled(answer: impl Fn(Call) -> Call) -> u64 {
    let stack = Stack::start(tpm(1_000_000));
    stack.send(answer(Call::of("acme", "t")));
    used(&stack, "acme")
}

#[test]
fn usage_replaces_the_reserve() {
    let stack = Stack::start(tpm(1_000_000));
    let rows = [
        (
            r#"{"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":99}}"#,
            99,
        ),
        (r#"{"usage":{"total_tokens":2500}}"#, 2_500),
        (r#"{"choices":[],"usage":null}"#, 100),
        (r#"{"no":"usage"}"#, 100),
        ("", 0),
        (r#"{"usage":{"total_tokens":-5}}"#, 100),
        (r#"{"usage":{"total_tokens":1.5}}"#, 2),
        (r#"{"usage":{"total_tokens":NaN}}"#, 100),
        (r#"{"usage":{"total_tokens":18446744073709551999}}"#, 100),
        (r#"{"usage":{"total_tokens":12"#, 100),
        (r#"{"usage":{"total_tokens":"12"}}"#, 100),
    ];
    for (i, (body, tokens)) in rows.into_iter().enumerate() {
        let account = format!("account-{i}");
        stack.send(Call::of(&account, "t").header("x-demo-body", body));
        assert_eq!(used(&stack, &account), tokens, "{body}");
    }
}

#[test]
fn usage_behind_a_long_answer_in_many_frames_is_found() {
    assert_eq!(
        settled(|call| call
            .header("x-demo-completion-tokens", "50000")
            .header("x-demo-chunk-bytes", "1777")),
        50_015
    );
}

#[test]
fn a_refused_or_failed_request_used_nothing() {
    for status in ["400", "429", "500", "503"] {
        assert_eq!(
            settled(|call| call.header("x-demo-status", status)),
            0,
            "{status}"
        );
    }
}

#[test]
fn a_failure_used_nothing_whatever_its_body_reports() {
    let stack = Stack::start(tpm(1_000_000));
    let body = r#"{"error":{"message":"no"},"usage":{"total_tokens":777}}"#;
    let says = |account, status| {
        let call = Call::of(account, "t").header("x-demo-body", body);
        stack.send(call.header("x-demo-status", status));
        used(&stack, account)
    };
    assert_eq!((says("failed", "500"), says("done", "200")), (0, 777));
}

#[test]
fn a_response_without_usage_is_counted_as_estimated() {
    let stack = Stack::start(tpm(1_000_000));
    stack.send(Call::of("acme", "t").header("x-demo-body", "{}"));
    eventually("it is counted", || {
        stack.stat(&["tiergate_tokens", "kind.estimated"]) == 100
    });
}

#[test]
fn an_upstream_that_breaks_off_gives_the_lease_back() {
    let stack = Stack::start(tpm(1_000_000));
    let breaks = Call::of("acme", "t")
        .header("x-demo-completion-tokens", "500")
        .header("x-demo-chunk-bytes", "100")
        .header("x-demo-reset-after-chunks", "3");
    assert!(stack.try_send(breaks).is_err());
    assert_eq!(
        stack.send(Call::of("acme", "t")).status,
        200,
        "one at a time is allowed"
    );
}

#[test]
fn a_client_that_hangs_up_gives_the_lease_back() {
    let stack = Stack::start(tpm(1_000_000));
    let slow = stack.begin(Call::of("acme", "t").header("x-demo-latency-ms", "10000"));
    eventually("it is in process", || {
        stack.stat(&["tiergate_in_flight"]) == 1
    });
    assert_eq!(stack.send(Call::of("acme", "t")).code(), "concurrency");
    stack.hang_up(slow);
    eventually("the lease is back", || {
        stack.send(Call::of("acme", "t")).status == 200
    });
    eventually("none is in process", || {
        stack.stat(&["tiergate_in_flight"]) == 0
    });
}

/// Lists of models and polls of finished responses: what only reads costs its requests alone.
#[test]
fn a_get_costs_no_tokens_whatever_its_response_says() {
    let stack = Stack::start(
        Config::tier("t")
            .rpm(100)
            .tpm(10_000)
            .with(json!({"usage_path": "/usage"})),
    );
    let poll = || Call::of("acme", "t").get("/v1/responses/r");
    let body = r#"{"id":"r","usage":{"input_tokens":1000,"output_tokens":500}}"#;
    for reply in stack.send_all((0..5).map(|_| poll().header("x-demo-body", body))) {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-ratelimit-remaining-tokens"), Some("10000"));
    }
    let usage = || stack.send(Call::of("acme", "t").get("/usage")).json();
    assert_eq!(usage()["limits"]["rpm"]["used"], 5);
    assert_eq!(usage()["limits"]["tpm"]["used"], 0);
    let event = r#"data: {"response":{"usage":{"input_tokens":1000,"output_tokens":500}}}"#;
    let stream = poll().header("x-demo-body", event);
    let stream = stream.header("x-demo-header", "content-type: text/event-stream");
    assert_eq!(stack.send(stream).status, 200);
    eventually("the stream of a background response is charged", || {
        usage()["limits"]["tpm"]["used"] == 1_500
    });
}
