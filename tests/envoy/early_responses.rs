//! Upstreams that answer before they have the body of a request, while the filter waits for it.

use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use crate::harness::{Config, Raw};
use serde_json::json;

/// A host that keeps bodies back, whose workers have found that out.
fn found_out(config: Config) -> Stack {
    let config = config.with(json!({"tokens": {"read_body": true}}));
    let stack = Stack::start(config);
    let mut accounts = (0..).map(|i| format!("first-{i}"));
    eventually("both workers know", || {
        let calls = accounts.by_ref().take(4).map(|name| Call::of(&name, "t"));
        stack.send_all(calls);
        let log = stack.envoy_log();
        log.matches("allow_on_headers_stop_iteration").count() == 2
    });
    stack
}

/// The status of a request of that account whose client sends the half of its body.
fn half_a_request(stack: &Stack, account: &str) -> String {
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-account-tier: t\r\n";
    let mut raw = Raw::open(stack.proxy, head);
    raw.send(&format!(
        "x-account-id: {account}\r\ncontent-length: 40\r\n\r\n{{\"messages\":["
    ));
    let reply = raw.read_to_end();
    reply.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_response_that_does_not_wait_for_the_body_counts_its_request() {
    let stack = found_out(Config::tier("t").rpm(2).concurrency(100));
    // The upstream is full, which it says at once.
    let none = Call::new().post("/capacity").body(r#"{"concurrent": 0}"#);
    assert_eq!(stack.upstream(none).status, 200);
    let statuses = [(); 4].map(|()| half_a_request(&stack, "acme"));
    assert_eq!(statuses, ["503", "503", "429", "429"]);
    eventually("they are counted", || {
        stack.stat(&["tiergate_limited", "limit.rpm"]) == 2
            && stack.stat(&["tiergate_in_flight"]) == 0
    });
    assert_eq!(half_a_request(&stack, "other"), "503");
}
