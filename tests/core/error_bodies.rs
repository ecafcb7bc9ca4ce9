//! The error bodies of OpenAI, Anthropic and Gemini, and who gets which.

use crate::harness::{Config, FakeRequest, Worker, World, line, retry_after_ms};
use serde_json::{Value, json};
use tiergate::reply::Reply;

/// One request a minute.
fn one_a_minute() -> Config {
    Config::tier("t").rpm(1)
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn acme(headers: &[(&str, &str)]) -> FakeRequest {
    let mut request = FakeRequest::acme(0);
    let more = FakeRequest::with(headers);
    request.headers.extend(more.headers);
    request
}

/// The second request of a minute, with these headers.
fn limited(config: Config, headers: &[(&str, &str)]) -> Reply {
    let world = World::new();
    let worker = Worker::new(&world, config);
    worker.admit(&FakeRequest::acme(0));
    worker.refuse(&acme(headers))
}

fn with_errors(style: &str) -> Config {
    one_a_minute().with(json!({"errors": style}))
}

const SENTENCE: &str = "Rate limit reached for account acme in t on requests per minute (rpm): used 1 of 1. \
     Please try again in 1m0.001s.";

/// The form of docs.anthropic.com, "Errors", with the code and the limit added.
#[test]
fn anthropics_error_has_its_type_and_the_requests_id_at_the_top() {
    let reply = limited(with_errors("anthropic"), &[("x-request-id", "req-7")]);
    assert_eq!(
        body(&reply),
        json!({
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": format!("{SENTENCE} (request id: req-7)"),
                "code": "rpm",
                "limit": {"name": "rpm", "limit": 1, "used": 1, "retry_after_ms": 60_001}
            },
            "request_id": "req-7"
        })
    );
    assert_eq!(line(&reply, "retry-after"), Some("61"));
    let nameless = limited(with_errors("anthropic"), &[]);
    assert_eq!(body(&nameless)["request_id"], Value::Null);
    assert_eq!(body(&nameless)["error"]["message"], SENTENCE);
}

/// The form of google.rpc.Status in JSON (googleapis, google/rpc/error_details.proto).
#[test]
fn geminis_error_has_the_quota_and_the_delay_as_details() {
    let reply = limited(with_errors("gemini"), &[]);
    assert_eq!(
        body(&reply),
        json!({"error": {
            "code": 429,
            "message": SENTENCE,
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "tiergate",
                    "metadata": {
                        "code": "rpm", "type": "rate_limit_reached_error", "limit": "1",
                        "used": "1", "retry_after_ms": "60001"
                    }
                },
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{
                        "quotaMetric": "tiergate/requests", "quotaId": "RequestsPerMinute",
                        "quotaDimensions": {}, "quotaValue": "1"
                    }]
                },
                {
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": "60.001s"
                }
            ]
        }})
    );
}

#[test]
fn each_status_has_the_type_of_its_api() {
    let config = |style: &str| {
        with_errors(style).with(json!({
            "tokens": {"read_body": true}, "on_fault": "deny",
            "tiers": [{"name": "t", "recharge": "1",
                "limits": {"concurrency": "unlimited", "rpm": 100, "tpm": 10, "tpd": "unlimited"}}],
            "models": [{"name": "k2", "match": ["k2*"]}], "unknown_model": "refuse",
            "model": [{"header": "x-model"}]
        }))
    };
    let rows = [
        (
            FakeRequest::with(&[]),
            401,
            "authentication_error",
            "UNAUTHENTICATED",
        ),
        (
            FakeRequest::of("acme", "gold", 0),
            403,
            "permission_error",
            "PERMISSION_DENIED",
        ),
        (FakeRequest::acme(0), 404, "not_found_error", "NOT_FOUND"),
        (
            acme(&[("x-model", "k2")]).reading_tokens(100),
            400,
            "invalid_request_error",
            "INVALID_ARGUMENT",
        ),
    ];
    for (request, status, anthropic, gemini) in rows {
        let world = World::new();
        let refuse = |style: &str| Worker::new(&world, config(style)).refuse(&request);
        let reply = refuse("anthropic");
        assert_eq!(reply.status, status);
        assert_eq!(body(&reply)["error"]["type"], anthropic);
        assert_eq!(body(&reply)["error"]["code"], reply.code);
        let reply = refuse("gemini");
        let error = &body(&reply)["error"];
        assert_eq!(
            (&error["code"], &error["status"]),
            (&json!(status), &json!(gemini))
        );
        assert_eq!(error["details"][0]["metadata"]["code"], reply.code);
        assert_eq!(error["details"].as_array().unwrap().len(), 1);
    }
    for (style, pointer, wanted) in [
        ("openai", "/error/type", "server_error"),
        ("anthropic", "/error/type", "overloaded_error"),
        ("gemini", "/error/status", "UNAVAILABLE"),
    ] {
        let worker = Worker::new(&World::new(), config(style));
        worker.host.failing.set(1);
        let reply = worker.refuse(&acme(&[("x-model", "k2")]));
        assert_eq!(reply.status, 503);
        assert_eq!(body(&reply).pointer(pointer).unwrap(), wanted);
        assert_eq!(line(&reply, "retry-after"), Some("1"));
    }
}

#[test]
fn auto_follows_the_api_that_a_request_calls() {
    let long = format!("/v1/messages/{}", "x".repeat(60_000));
    let paths = [
        ("/v1/messages", "anthropic"),
        ("/v1/messages?beta=true", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        (&*long, "anthropic"),
        ("/v1/messagesx", "openai"),
        ("/V1/messages", "openai"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini"),
        ("/v1beta/anything", "gemini"),
        ("/v1beta", "openai"),
        ("/google/v1/models/x:generateContent?alt=sse", "gemini"),
        ("/x:streamGenerateContent", "gemini"),
        ("/x:countTokens", "gemini"),
        ("/x:embedContent", "gemini"),
        ("/x:batchEmbedContents", "gemini"),
        ("/x:generatecontent", "openai"),
        ("/v1/chat/completions?path=/v1/messages", "openai"),
        ("/v1/chat/completions#:generateContent", "openai"),
        ("", "openai"),
        ("*", "openai"),
    ];
    for (path, wanted) in paths {
        let reply = limited(with_errors("auto"), &[(":path", path)]);
        assert_eq!(api(&reply), wanted, "{path:.80}");
        let fixed = limited(one_a_minute(), &[(":path", path)]);
        assert_eq!(api(&fixed), "openai", "the default is the same for all");
    }
    let version = ("anthropic-version", "2023-06-01");
    let path = (":path", "/v1beta/x");
    assert_eq!(
        api(&limited(with_errors("auto"), &[path, version])),
        "anthropic"
    );
    let twice = [version, version];
    assert_eq!(api(&limited(with_errors("auto"), &twice)), "anthropic");
}

fn api(reply: &Reply) -> &'static str {
    let body = body(reply);
    match (body.get("type"), body["error"].get("details")) {
        (Some(_), _) => "anthropic",
        (_, Some(_)) => "gemini",
        _ => "openai",
    }
}

#[test]
fn a_requests_id_is_in_the_message_cut_and_safe_to_show() {
    let message = |id: &[u8]| {
        let mut request = FakeRequest::acme(0);
        request.headers.push(("x-request-id".into(), id.to_vec()));
        let worker = Worker::new(&World::new(), one_a_minute());
        worker.admit(&FakeRequest::acme(0));
        let message = &body(&worker.refuse(&request))["error"]["message"];
        message.as_str().unwrap().to_owned()
    };
    assert_eq!(message(b""), SENTENCE, "none");
    let odd = message(b"a\"b\x00\x1b[31m\r\n\xff");
    let shown = r#"a"b\u{0}\u{1b}[31m\u{d}\u{a}\xff"#;
    assert_eq!(odd, format!("{SENTENCE} (request id: {shown})"));
    let cut = format!("{SENTENCE} (request id: {}…)", "x".repeat(64));
    assert_eq!(message(&[b'x'; 60_000]), cut);
}

#[test]
fn a_jitter_makes_waits_longer_and_never_shorter() {
    let world = World::new();
    let config = with_errors("gemini").with(json!({"jitter": "500ms"}));
    let worker = Worker::new(&world, config);
    worker.admit(&FakeRequest::acme(0));
    for (random, added) in [(0, 0), (500, 500), (501, 0), (u64::MAX, u64::MAX % 501)] {
        world.set_random(random);
        let reply = worker.refuse(&FakeRequest::acme(0));
        let wait = 60_001 + added;
        assert_eq!(retry_after_ms(&reply), wait);
        let seconds = wait.div_ceil(1_000).to_string();
        assert_eq!(line(&reply, "retry-after"), Some(&*seconds));
        let delay = &body(&reply)["error"]["details"][2]["retryDelay"];
        let (whole, part) = (wait / 1_000, wait % 1_000);
        assert_eq!(delay, &json!(format!("{whole}.{part:03}s")));
    }
    // The wait alone is worth a retry. But a client does not wait for what it is told, and comes early.
    let config = one_a_minute().with(json!({"jitter": "60s"}));
    let worker = Worker::new(&World::new(), config);
    worker.admit(&FakeRequest::acme(0));
    worker.host.world.set_random(60_000);
    let reply = worker.refuse(&FakeRequest::acme(0));
    assert_eq!(retry_after_ms(&reply), 120_001);
    assert_eq!(line(&reply, "x-should-retry"), Some("false"));
    worker.host.world.set_random(0);
    let reply = worker.refuse(&FakeRequest::acme(0));
    assert_eq!(line(&reply, "x-should-retry"), None);
}
