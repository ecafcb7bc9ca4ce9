//! Ends that are not ends: what is counted when a request does not simply come to its response.

use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::Stack;
use crate::harness::{Config, Raw};
use crate::tokens::{tpm, used};
use serde_json::json;

fn tpm_setup() -> Setup {
    Setup::new(tpm(1_000_000))
}

#[test]
fn a_request_that_times_out_used_nothing() {
    let mut setup = tpm_setup();
    setup.route["route"]["timeout"] = json!("0.2s");
    let stack = Stack::with(&setup);
    let late = stack.send(Call::of("acme", "t").header("x-demo-latency-ms", "5000"));
    assert_eq!(late.status, 504);
    assert_eq!(used(&stack, "acme"), 0);
}

#[test]
fn a_stream_that_is_cut_by_a_timeout_is_charged_with_what_came() {
    let mut setup = tpm_setup();
    setup.route["route"]["timeout"] = json!("0.5s");
    let stack = Stack::with(&setup);
    let call = Call::of("acme", "t").streamed(1_000, 20);
    assert!(stack.try_send(call).is_err());
    let used = used(&stack, "acme");
    assert!((3..60).contains(&used), "{used}");
}

#[test]
fn retries_inside_envoy_are_one_request() {
    let config = Config::tier("t").concurrency(1).rpm(10).tpm(1_000_000);
    let config = config.with(json!({"tokens": {"completion": 100}}));
    let mut setup = Setup::new(config);
    setup.route["route"]["retry_policy"] = json!({
        "retry_on": "5xx", "num_retries": 3,
        "retry_back_off": {"base_interval": "0.01s"}
    });
    let stack = Stack::with(&setup);
    let failed = stack.send(Call::of("acme", "t").header("x-demo-status", "500"));
    assert_eq!(failed.status, 500);
    assert!(stack.stat(&["cluster.llm.upstream_rq_retry"]) >= 3);
    let next = stack.send(Call::of("acme", "t"));
    assert_eq!(next.header("x-ratelimit-remaining-requests"), Some("8"));
    assert_eq!(next.header("x-ratelimit-remaining-tokens"), Some("999885"));
}

#[test]
fn a_reply_of_a_later_filter_used_nothing() {
    let mut setup = tpm_setup();
    setup.filters.push(json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 503, "percentage": {"numerator": 100}},
            "headers": [{"name": "x-abort", "present_match": true}]
        }
    }));
    let stack = Stack::with(&setup);
    let aborted = stack.send(Call::of("acme", "t").header("x-abort", "1"));
    assert_eq!(aborted.status, 503);
    assert_eq!(used(&stack, "acme"), 0);
}

#[test]
fn a_response_larger_than_any_buffer_passes_and_is_counted() {
    let stack = Stack::start(tpm(1_000_000));
    let body = format!(
        r#"{{"text":"{}","usage":{{"total_tokens":777}}}}"#,
        "x".repeat(30_000_000)
    );
    let call = Call::of("acme", "t")
        .header("x-demo-echo", "application/json")
        .body(body.clone());
    let reply = stack.send(call);
    assert!(reply.body == body.as_bytes(), "byte for byte");
    assert_eq!(used(&stack, "acme"), 777);
}

#[test]
fn every_version_of_http_is_counted() {
    let stack = Stack::with(&tpm_setup().http2_upstream());
    let usage = r#"{"usage":{"total_tokens":777}}"#;
    let http2 = Call::of("two", "t").header("x-demo-body", usage).http2();
    assert_eq!(stack.send(http2).status, 200);
    let request = format!(
        "POST / HTTP/1.0\r\nhost: x\r\ncontent-length: 0\r\nx-account-id: zero\r\nx-account-tier: t\r\nx-demo-body: {usage}\r\n\r\n"
    );
    let reply = Raw::open(stack.proxy, &request).read_to_end();
    assert!(reply.contains(usage), "{reply}");
    assert_eq!((used(&stack, "two"), used(&stack, "zero")), (777, 777));
}

#[test]
fn a_grpc_response_does_not_say_so_the_reserve_stands() {
    let stack = Stack::with(&tpm_setup().http2_upstream());
    let call = Call::of("acme", "t")
        .header("x-demo-echo", "application/grpc")
        .header("x-demo-trailer", "grpc-status: 0")
        .body([0, 0, 0, 0, 2, 8, 1])
        .http2();
    assert_eq!(stack.send(call).status, 200);
    assert_eq!(used(&stack, "acme"), 100);
}
