//! Requests that are paused until their body is read: what they ask for is what is reserved.

use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use crate::harness::{Config, Raw};
use serde_json::{Value, json};

fn config(more: Value) -> Config {
    let tokens =
        json!({"read_body": true, "body_limit": 100_000, "prompt": 10, "completion": 1_000});
    let config = Config::tier("t").tpm(1_000_000);
    config
        .with(json!({"tokens": tokens}))
        .with(json!({"tokens": more}))
}

fn pausing(more: Value) -> Stack {
    Stack::with(&Setup::new(config(more)).bodies_while_headers_are_held())
}

/// What was reserved for the first request of an account.
fn reserved(stack: &Stack, call: Call) -> u64 {
    let reply = stack.send(call);
    assert_eq!(reply.status, 200);
    let left = reply.header("x-ratelimit-remaining-tokens").unwrap();
    1_000_000 - left.parse::<u64>().unwrap()
}

fn chat(account: &str, more: &str) -> Call {
    Call::of(account, "t")
        .header("content-type", "application/json")
        .body(format!(r#"{{"messages":[{{"content":"hi"}}]{more}}}"#))
}

#[test]
fn the_completion_that_a_request_asks_for_is_reserved() {
    let stack = pausing(json!({}));
    let prompt = |more: &str| (31 + more.len() as u64) / 4;
    for (account, more, completion) in [
        ("plain", "", 1000),
        ("max", r#","max_tokens":50"#, 50),
        ("newer", r#","max_tokens":5,"max_completion_tokens":70"#, 70),
        ("choices", r#","max_tokens":50,"n":3"#, 150),
        ("nonsense", r#","max_tokens":-1"#, 1000),
    ] {
        let call = chat(account, more);
        assert_eq!(reserved(&stack, call), prompt(more) + completion, "{more}");
    }
    let greedy = stack.send(chat("greedy", r#","max_tokens":1000000"#));
    assert_eq!(
        (greedy.status, &*greedy.code()),
        (400, "tokens_exceed_tier")
    );
}

#[test]
fn a_picture_inside_a_body_is_not_counted_by_its_length() {
    let stack = pausing(json!({"media": 700}));
    let data = "A".repeat(60_000);
    let part = |url: &str| {
        format!(r#"{{"messages":[{{"content":[{{"image_url":{{"url":"{url}"}}}}]}}]}}"#)
    };
    let frame = u64::try_from(part("").len()).unwrap() / 4;
    let body = part(&format!("data:image/png;base64,{data}"));
    let call = chat("picture", "").body(body.clone());
    assert_eq!(reserved(&stack, call), frame + 700 + 1_000);
    assert_eq!(stack.seen_body(), body.as_bytes());
    let call = chat("link", "").body(part(&format!("https://x/{data}")));
    assert_eq!(reserved(&stack, call), (frame * 4 + 60_010) / 4 + 1_000);
    let form = Call::of("form", "t")
        .header("content-type", "multipart/form-data; boundary=x")
        .body(vec![b'x'; 500_000]);
    assert_eq!(reserved(&stack, form), 700 + 1_000);
}

#[test]
fn every_kind_of_body_reaches_the_upstream_as_it_was_sent() {
    let stack = pausing(json!({"include_usage": true}));
    let large = vec![b'x'; 900_000];
    let at_the_limit = vec![b'y'; 100_000];
    let bodies: [(&str, &[u8]); 7] = [
        ("application/json", br#"{"messages":[],"max_tokens":5}"#),
        ("application/json", br#"{"messages":["#),
        ("application/json", b"\x1f\x8b\x08\x00\xff\xfe"),
        ("application/json", &large),
        ("text/plain", &at_the_limit),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        ("application/json", b""),
    ];
    for (kind, body) in bodies {
        let call = Call::of("acme", "t")
            .header("content-type", kind)
            .body(body);
        assert_eq!(stack.send(call.clone()).status, 200);
        assert_eq!(stack.seen_body(), body);
        assert_eq!(stack.send(call.http2()).status, 200);
        assert_eq!(stack.seen_body(), body);
    }
    let encoded = Call::of("acme", "t")
        .header("content-encoding", "gzip")
        .body("{}");
    stack.send(encoded);
    assert_eq!(stack.seen_body(), b"{}");
    assert_eq!(
        stack.send(Call::of("acme", "t").get("/v1/models")).status,
        200
    );
}

/// Sends raw bytes in parts, and reads until the server closes the connection.
fn raw(stack: &Stack, parts: &[&str]) -> String {
    let mut raw = Raw::open(stack.proxy, "");
    for part in parts {
        raw.send(part);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    raw.read_to_end()
}

#[test]
fn chunked_bodies_and_clients_that_wait_for_100_continue_are_understood() {
    let stack = pausing(json!({}));
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-account-tier: t\r\n";
    let reply = raw(
        &stack,
        &[
            &format!("{head}x-account-id: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
            "13\r\n{\"messages\":[],\"max\r\n",
            "f\r\n_tokens\": 50}  \r\n0\r\n\r\n",
        ],
    );
    assert!(
        reply.contains("x-ratelimit-remaining-tokens: 999942"),
        "{reply}"
    );
    let reply = raw(
        &stack,
        &[
            &format!(
                "{head}x-account-id: waits\r\ncontent-length: 33\r\nexpect: 100-continue\r\n\r\n"
            ),
            r#"{"messages":[], "max_tokens": 50}"#,
        ],
    );
    assert!(reply.starts_with("HTTP/1.1 100 Continue"), "{reply}");
    assert!(
        reply.contains("x-ratelimit-remaining-tokens: 999942"),
        "{reply}"
    );
}

#[test]
fn without_the_hosts_help_requests_still_work_and_are_judged_by_their_bodies() {
    let stack = Stack::start(config(json!({"include_usage": true})));
    // The first ones on each worker find out that Envoy keeps bodies back.
    eventually("both workers know", || {
        stack.send_all((0..4).map(|_| chat("first", r#","max_tokens":50"#)));
        stack
            .envoy_log()
            .matches("allow_on_headers_stop_iteration")
            .count()
            == 2
    });
    let call = chat("known", r#","max_tokens":50"#);
    assert_eq!(reserved(&stack, call.clone()), 11 + 50);
    assert_eq!(
        reserved(&stack, call.http2()),
        11 + 50 + 12 + 16,
        "one was settled before"
    );
    let greedy = stack.send(chat("greedy", r#","max_tokens":1000000"#));
    assert_eq!(
        (greedy.status, &*greedy.code()),
        (400, "tokens_exceed_tier")
    );
    let body = r#"{"messages":[],"stream":true}"#;
    let reply = stack.send(chat("streams", "").body(body));
    assert!(
        String::from_utf8(stack.seen_body())
            .unwrap()
            .contains("include_usage")
    );
    assert!(
        !String::from_utf8(reply.body)
            .unwrap()
            .contains("completion_tokens")
    );
    assert_eq!(stack.seen()["x-account-id"], json!(null));
}

/// Anthropic, the Responses API and others refuse a field that they do not know.
#[test]
fn streams_of_other_apis_are_not_asked_for_their_usage() {
    let stack = pausing(json!({"include_usage": true}));
    for (path, body) in [
        (
            "/v1/messages",
            r#"{"max_tokens":50,"messages":[],"stream":true}"#,
        ),
        (
            "/v1/responses",
            r#"{"prompt":{"id":"p"},"input":"x","stream":true}"#,
        ),
        (
            "/v1/images/generations",
            r#"{"prompt":"a cat","stream":true}"#,
        ),
        (
            "/v2/chat?x=/v1/chat/completions",
            r#"{"messages":[],"stream":true}"#,
        ),
    ] {
        let call = chat("acme", "").post(path).body(body);
        assert_eq!(stack.send(call).status, 200, "{path}");
        assert_eq!(stack.seen_body(), body.as_bytes(), "{path}");
    }
    let own = pausing(json!({"include_usage": ["/v2/complete"]}));
    let body = r#"{"messages":[],"stream":true}"#;
    for (path, is_asked) in [
        ("/v2/complete?a", true),
        ("/v2/complet%65/", true),
        ("/v1/chat/completions", false),
    ] {
        own.send(chat("acme", "").post(path).body(body));
        let seen = String::from_utf8(own.seen_body()).unwrap();
        assert_eq!(seen.contains("include_usage"), is_asked, "{path}");
    }
}

#[test]
fn a_stream_is_made_to_say_its_usage_and_the_client_does_not_see_it() {
    let stack = pausing(json!({"include_usage": true}));
    let body = r#"{ "messages":[],  "stream":true }"#;
    let asks = r#"{ "messages":[],  "stream":true,"stream_options":{"include_usage":true} }"#;
    for (account, frames) in [("whole", "1000000"), ("cut", "random:40")] {
        let call = |body: &str| {
            chat(account, "")
                .header("x-demo-chunk-bytes", frames)
                .body(body)
        };
        let hidden = stack.send(call(body));
        let seen = String::from_utf8(stack.seen_body()).unwrap();
        assert_eq!(
            seen,
            body.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1)
        );
        let shown = stack.send(call(asks));
        assert_eq!(stack.seen_body(), asks.as_bytes(), "nothing to add");
        let shown = String::from_utf8(shown.body).unwrap();
        let hidden = String::from_utf8(hidden.body).unwrap();
        let events: Vec<_> = shown.split_inclusive("\n\n").collect();
        let without: String = events
            .iter()
            .filter(|e| !e.contains("completion_tokens"))
            .copied()
            .collect();
        assert_eq!(events.len(), without.split_inclusive("\n\n").count() + 1);
        assert_eq!(hidden, without);
    }
    // Each of the four used 16 and its prompt, which the upstream takes for bytes / 4.
    eventually("it was counted", || {
        stack.stat(&["tiergate_tokens", "kind.used"]) >= 4 * 16
            && stack.stat(&["tiergate_tokens", "kind.estimated"]) == 0
    });
}

/// A filter can't add to a body once trailers are here; docs/tokens.md says so.
#[test]
fn an_event_without_its_end_is_lost_before_trailers_and_passes_at_a_plain_end() {
    let setup = Setup::new(config(json!({"include_usage": true})));
    let stack = Stack::with(&setup.bodies_while_headers_are_held().http2_upstream());
    let event = r#"data: {"choices":[{"delta":{"content":"hi"}}]}"#;
    let call = || {
        chat("acme", r#","stream":true"#)
            .header("x-demo-body", event)
            .header("x-demo-header", "content-type: text/event-stream")
            .http2()
    };
    assert_eq!(stack.send(call()).body, event.as_bytes());
    let with_trailer = call().header("x-demo-trailer", "x-end: 1");
    assert_eq!(stack.send(with_trailer).body, b"");
}

#[test]
fn fifty_at_once_never_pass_the_limit_where_counting_afterwards_does() {
    let burst = |stack: &Stack| {
        let usage = r#"{"usage":{"total_tokens":20000}}"#;
        let call = || {
            chat("acme", r#","max_tokens":19988"#)
                .header("x-demo-body", usage)
                .header("x-demo-latency-ms", "500")
        };
        let replies = stack.send_all((0..50).map(|_| call()));
        20_000 * crate::harness::client::count(&replies, 200)
    };
    let reserving = Setup::new(config(json!({})).tpm(500_000)).bodies_while_headers_are_held();
    assert_eq!(burst(&Stack::with(&reserving)), 500_000);
    let tokens = json!({"prompt": 0, "completion": 0, "bytes_per_token": 1_000_000});
    let afterwards = Config::tier("t").tpm(500_000);
    let afterwards = afterwards.with(json!({"tokens": tokens}));
    assert_eq!(
        burst(&Stack::start(afterwards)),
        1_000_000,
        "twice the limit"
    );
}
