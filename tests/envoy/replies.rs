//! What a refused client reads, and the headers of those that are admitted.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::Stack;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

#[test]
fn a_429_explains_itself() {
    let stack = Stack::start("{}");
    for _ in 0..3 {
        stack.send(Call::of("acme", "tier0"));
    }
    let reply = stack.send(Call::of("acme", "tier0"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let error = &reply.json()["error"];
    assert_eq!(
        (&error["type"], &error["param"]),
        (&json!("rate_limit_reached_error"), &json!(null))
    );
    let wait = reply.retry_after_ms();
    assert_eq!(
        error["limit"],
        json!({"name": "rpm", "limit": 3, "used": 3, "retry_after_ms": wait})
    );
    let message = error["message"].as_str().unwrap();
    for part in ["acme", "tier0", "requests per minute", "used 3 of 3"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), Some("500000"));
}

#[test]
fn admitted_replies_carry_openai_headers_in_place_of_the_upstreams() {
    let stack = Stack::start("{}");
    let call = Call::of("acme", "tier1").header("x-demo-header", "x-ratelimit-limit-requests: 9");
    let reply = stack.send(call);
    let all: Vec<_> = reply
        .headers
        .get_all("x-ratelimit-limit-requests")
        .iter()
        .collect();
    assert_eq!(all, ["200"]);
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("199"));
    assert_eq!(reply.header("x-ratelimit-reset-requests"), Some("1m0.001s"));
    assert_eq!(
        reply.header("x-ratelimit-remaining-tokens"),
        Some("1998961")
    );

    let stack = Stack::start(r#"{"headers": []}"#);
    let call = Call::of("acme", "tier1").header("x-demo-header", "x-ratelimit-limit-requests: 9");
    assert_eq!(
        stack.send(call).header("x-ratelimit-limit-requests"),
        Some("9"),
        "not ours to touch"
    );
}

#[test]
fn a_request_larger_than_its_tier_is_told_that_waiting_is_no_use() {
    let config = r#"{"tokens": {"completion": 600000, "bytes_per_token": 1, "context": 1000000,
        "read_body": true, "body_limit": 600000}}"#;
    let stack = Stack::with(&Setup::new(config).bodies_while_headers_are_held());
    let text = "x".repeat(510_000);
    let large = Call::of("acme", "tier0").body(format!(r#"{{"prompt":"{text}"}}"#));
    let reply = stack.send(large);
    assert_eq!((reply.status, &*reply.code()), (400, "tokens_exceed_tier"));
    assert_eq!(reply.header("retry-after"), None);
    let assumed = stack.send(Call::of("acme", "tier0"));
    assert_eq!(
        assumed.status, 200,
        "an assumed completion refuses nobody for good"
    );
}

/// Envoy's doing, as docs/operations.md says: it answers before the body has come.
#[test]
fn a_refusal_before_the_body_closes_an_http_1_connection() {
    let closes = |setup: &Setup, call: &dyn Fn() -> Call| {
        let stack = Stack::with(setup);
        let refused = (0..5).map(|_| stack.send(call())).find(|r| r.status == 429);
        refused.unwrap().header("connection").map(str::to_owned)
    };
    let post = || Call::of("acme", "tier0");
    let get = || post().get("/v1/models");
    let plain = Setup::new("{}");
    let read_body = Setup::new(r#"{"tokens": {"read_body": true}}"#);
    let read_body = read_body.bodies_while_headers_are_held();
    assert_eq!(closes(&plain, &post).as_deref(), Some("close"));
    assert_eq!(closes(&plain, &get), None);
    assert_eq!(closes(&read_body, &post), None);
}

#[test]
fn grpc_clients_get_a_trailers_only_reply() {
    let stack = Stack::start(Config::tier("t").concurrency(1).rpm(1));
    let grpc = |call: Call| call.header("content-type", "application/grpc").http2();
    stack.send(grpc(Call::of("acme", "t")));
    let reply = stack.send(grpc(Call::of("acme", "t")));
    assert_eq!(
        (reply.status, reply.header("grpc-status")),
        (200, Some("8"))
    );
    let message = reply.header("grpc-message").unwrap();
    assert!(
        message.starts_with("Rate limit reached for account acme"),
        "{message}"
    );
    assert!(reply.retry_after_ms() > 0);
    assert!(reply.body.is_empty());
    for (call, status) in [(Call::new(), "16"), (Call::of("acme", "gold"), "7")] {
        assert_eq!(stack.send(grpc(call)).header("grpc-status"), Some(status));
    }
}

#[test]
fn shadow_mode_refuses_nobody() {
    let stack = Stack::start(r#"{"mode": "shadow"}"#);
    for _ in 0..6 {
        assert_eq!(stack.send(Call::of("acme", "tier0")).status, 200);
    }
    assert_eq!(stack.send(Call::new()).status, 200);
    crate::harness::stack::eventually("shadowed are counted", || {
        stack.stat(&["tiergate_requests", "outcome.shadowed"]) == 4
    });
    assert_eq!(stack.stat(&["tiergate_limited", "limit.rpm"]), 3);
}

#[test]
fn a_shadow_tier_is_invisible_beside_one_that_is_enforced() {
    let limits = json!({"concurrency": 5, "rpm": 2, "tpm": "unlimited", "tpd": "unlimited"});
    let stack = Stack::start(json!({"tiers": [
        {"name": "tries", "recharge": 1, "limits": limits, "mode": "shadow"},
        {"name": "holds", "recharge": 2, "limits": limits},
    ]}));
    for (tier, last) in [("tries", 200), ("holds", 429)] {
        let replies: Vec<_> = (0..3).map(|_| stack.send(Call::of(tier, tier))).collect();
        assert_eq!(replies[2].status, last);
        for reply in &replies {
            let told = reply.header("x-ratelimit-limit-requests").is_some();
            assert_eq!(told, tier == "holds", "{tier}");
        }
        assert_eq!(
            stack.seen()["x-account-id"],
            json!(null),
            "strip_headers applies"
        );
    }
}

/// The status, code and message that a gRPC client reads in the headers of a trailers-only reply.
fn grpc_of(reply: &Reply) -> (u16, &str, &str) {
    let header = |name| reply.header(name).unwrap_or("-");
    (reply.status, header("grpc-status"), header("content-type"))
}

#[test]
fn grpc_clients_are_told_when_to_come_again() {
    let stack = Stack::start(Config::tier("t").rpm(1));
    let call = || {
        Call::of("acme", "t")
            .header("content-type", "application/grpc")
            .http2()
    };
    stack.send(call());
    let reply = stack.send(call());
    assert_eq!(grpc_of(&reply), (200, "8", "application/grpc"));
    let pushback = reply.header("grpc-retry-pushback-ms").unwrap();
    assert_eq!(pushback.parse::<u64>().unwrap(), reply.retry_after_ms());
    assert_eq!(reply.header("x-envoy-ratelimited"), Some("true"));
}

/// A browser behind Envoy's own filter for gRPC-web, and without that filter.
#[test]
fn grpc_web_clients_read_the_status_and_not_unavailable() {
    let types = "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3";
    let grpc_web = json!({"name": "envoy.filters.http.grpc_web",
        "typed_config": {"@type": format!("{types}.GrpcWeb")}});
    let config = || Config::tier("t").rpm(1);
    for translated in [false, true] {
        let setup = Setup::new(config());
        let setup = if translated {
            setup.before(grpc_web.clone())
        } else {
            setup
        };
        let stack = Stack::with(&setup);
        for kind in [
            "application/grpc-web+proto",
            "application/grpc-web-text+proto",
        ] {
            let call = || {
                Call::of(kind, "t")
                    .header("content-type", kind)
                    .header("accept", kind)
                    .header("x-grpc-web", "1")
            };
            // The upstream speaks no gRPC, so another client uses the minute up.
            stack.send(Call::of(kind, "t"));
            let reply = stack.send(call());
            if translated {
                let status = (reply.status, reply.header("grpc-status"));
                assert_eq!(status, (200, Some("8")));
                let message = reply.header("grpc-message").unwrap();
                assert!(message.contains("used 1 of 1"), "{message}");
                let web = reply.header("content-type").unwrap();
                assert!(web.starts_with("application/grpc-web"), "{web}");
                continue;
            }
            let is = (reply.status, reply.header("content-type"));
            assert_eq!(is, (200, Some(kind)));
            let frame = match kind.contains("text") {
                true => BASE64.decode(&reply.body).unwrap(),
                false => reply.body.clone(),
            };
            let length = u32::from_be_bytes(frame[1..5].try_into().unwrap());
            assert_eq!((frame[0], length as usize), (0x80, frame.len() - 5));
            let trailers = String::from_utf8(frame[5..].to_vec()).unwrap();
            let lines: Vec<_> = trailers.split("\r\n").collect();
            assert_eq!(lines[0], "grpc-status: 8");
            assert!(lines[1].contains("used 1 of 1"), "{trailers}");
            assert!(reply.header("grpc-retry-pushback-ms").is_some());
        }
    }
}

/// Regression: a client that only its content type tells, which Envoy's own filter has replaced, read
/// `UNAVAILABLE`. Clients of gRPC that send the encoding of that filter are not taken for it.
#[test]
fn behind_envoys_filter_a_plain_grpc_web_client_reads_the_status_too() {
    let types = "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3";
    let grpc_web = json!({"name": "envoy.filters.http.grpc_web",
        "typed_config": {"@type": format!("{types}.GrpcWeb")}});
    let stack = Stack::with(&Setup::new(Config::tier("t").rpm(1)).before(grpc_web));
    stack.send(Call::of("acme", "t"));
    let web = Call::of("acme", "t").header("content-type", "application/grpc-web+proto");
    let reply = stack.send(web);
    let read = grpc_of(&reply);
    assert_eq!(read, (200, "8", "application/grpc-web+proto"));
    assert!(reply.header("grpc-retry-pushback-ms").is_some());
    let native = Call::of("acme", "t")
        .header("content-type", "application/grpc")
        .header("grpc-accept-encoding", "identity")
        .header("user-agent", "grpc-node-js/1.13.0")
        .http2();
    let reply = stack.send(native);
    assert_eq!(grpc_of(&reply), (200, "8", "application/grpc"));
}

#[test]
fn a_proxy_in_front_that_retries_429_tries_once() {
    let gate = Stack::start(Config::tier("t").rpm(1));
    let mut front = Setup::new("{}");
    front.filters.clear();
    front.route = json!({"route": {"cluster": "llm", "retry_policy": {
        "retry_on": "retriable-status-codes", "retriable_status_codes": [429], "num_retries": 3}}});
    let front = Stack::in_front_of(&gate, &front);
    assert_eq!(front.send(Call::of("acme", "t")).status, 200);
    assert_eq!(front.send(Call::of("acme", "t")).status, 429);
    crate::harness::stack::eventually("the refusal is counted", || {
        gate.stat(&["tiergate_requests", "outcome.limited"]) == 1
    });
    assert_eq!(front.send(Call::of("acme", "t")).status, 429);
    crate::harness::stack::eventually("each was one try", || {
        gate.stat(&["tiergate_requests", "outcome.limited"]) == 2
    });
}
