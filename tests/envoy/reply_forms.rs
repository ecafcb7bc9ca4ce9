//! Error bodies by API, ids of requests, and CORS, on a real Envoy.

use crate::harness::Config;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::Stack;
use serde_json::json;

fn one_a_minute() -> Config {
    Config::tier("t").rpm(1)
}

fn acme() -> Call {
    Call::of("acme", "t")
}

/// Uses the minute up.
fn used_up(config: Config) -> Stack {
    let stack = Stack::start(config);
    assert_eq!(stack.send(acme()).status, 200);
    stack
}

#[test]
fn auto_answers_in_the_body_of_the_api_that_is_called() {
    let stack = used_up(one_a_minute().with(json!({"errors": "auto"})));
    let at = |path: &str| stack.send(acme().method("POST", path));
    let openai = at("/v1/chat/completions").json();
    assert_eq!(openai["error"]["type"], "rate_limit_reached_error");
    let reply = at("/v1/messages");
    let anthropic = reply.json();
    assert_eq!(anthropic["type"], "error");
    assert_eq!(anthropic["error"]["type"], "rate_limit_error");
    assert!(reply.header("retry-after").is_some());
    let gemini = at("/v1beta/models/gemini-2.5-pro:generateContent?alt=sse").json();
    assert_eq!(gemini["error"]["status"], "RESOURCE_EXHAUSTED");
    // Envoy makes an id for each request.
    let id = anthropic["request_id"].as_str().unwrap();
    assert_eq!(id.len(), 36, "{id}");
    let message = anthropic["error"]["message"].as_str().unwrap();
    assert!(
        message.ends_with(&format!("(request id: {id})")),
        "{message}"
    );
}

#[test]
fn odd_ids_origins_and_paths_are_answered_in_valid_json() {
    let config = one_a_minute().with(json!({
        "errors": "auto", "cors": {"origins": ["https://app.example.com"]}
    }));
    let mut setup = crate::harness::bootstrap::Setup::new(config);
    setup.manager = json!({"preserve_external_request_id": true, "max_request_headers_kb": 256});
    let stack = Stack::with(&setup);
    stack.send(acme());
    let long = "x".repeat(60_000);
    let quoted = "https://app.example.com\"; DROP";
    let path = format!("/v1/messages/{}", "%2e%2e//\\".repeat(1_000));
    for (id, origin) in [
        (&*long, quoted),
        ("a\"\\b\u{e9}", &*long),
        ("\t<x>", "null"),
    ] {
        let call = acme()
            .method("POST", &path.replace('\\', "%5c"))
            .header("x-request-id", id)
            .header("origin", origin);
        let reply = stack.send(call);
        assert_eq!(reply.status, 429);
        assert_eq!(reply.json()["type"], "error");
        assert!(reply.body.len() < 1_000, "{}", reply.body.len());
        assert_eq!(reply.header("access-control-allow-origin"), None);
        assert_eq!(reply.header("vary"), Some("origin"));
    }
}

#[test]
fn a_browser_reads_refusals_and_usage() {
    let config = one_a_minute().with(json!({
        "cors": {"origins": ["https://app.example.com"]}, "usage_path": "/usage"
    }));
    let stack = used_up(config);
    let from_app = |call: Call| stack.send(call.header("origin", "https://app.example.com"));
    let allowed = |reply: &Reply| {
        reply
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let refused = from_app(acme());
    assert_eq!(refused.status, 429);
    assert_eq!(
        allowed(&refused).as_deref(),
        Some("https://app.example.com")
    );
    let exposed = refused.header("access-control-expose-headers").unwrap();
    for name in [
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset-requests",
    ] {
        assert!(exposed.split(", ").any(|one| one == name), "{exposed}");
    }
    let usage = from_app(acme().get("/usage"));
    assert_eq!(usage.status, 200);
    assert_eq!(allowed(&usage).as_deref(), Some("https://app.example.com"));
}

#[test]
fn a_jitter_comes_from_the_hosts_random_numbers() {
    let stack = used_up(one_a_minute().with(json!({"jitter": "60s"})));
    let waits: Vec<u64> = (0..8)
        .map(|_| stack.send(acme()).retry_after_ms())
        .collect();
    let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    // Without a jitter, each wait is shorter than the one before; with one, all in order is one
    // chance in 40,320.
    assert!(waits.windows(2).any(|pair| pair[0] < pair[1]), "{waits:?}");
    assert!(*least > 30_000 && *most < 121_000, "{waits:?}");
}
