//! The admin API on a real Envoy: who may use it, what it takes, and that both workers see it.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// The SHA-256 of "secret".
const TOKEN: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

fn start(more: Value) -> Stack {
    let config = Config::new().with(json!({
        "tier": ["directory"],
        "capacity": {"accounts": 64, "directory": 1024},
        "admin": {"path": "/-/tiergate", "token_sha256": TOKEN}
    }));
    Stack::with(&Setup::new(config.with(more)).bodies_while_headers_are_held())
}

fn call(method: &str, path: &str, body: &str) -> Call {
    Call::new()
        .method(method, &format!("/-/tiergate{path}"))
        .header("authorization", "Bearer secret")
        .body(body)
}

fn admin(stack: &Stack, method: &str, path: &str, body: &str) -> Value {
    let reply = stack.send(call(method, path, body));
    assert_eq!(
        reply.status,
        200,
        "{:?}",
        String::from_utf8_lossy(&reply.body)
    );
    reply.json()
}

fn recharge(stack: &Stack, account: &str, id: &str, amount: &str, kind: &str) -> Value {
    let body = json!({"id": id, "amount": amount, "kind": kind}).to_string();
    admin(
        stack,
        "POST",
        &format!("/accounts/{account}/recharges"),
        &body,
    )
}

fn of(account: &str) -> Call {
    Call::new().header("x-account-id", account)
}

#[test]
fn recharges_lead_to_the_published_tiers_and_the_voucher_is_due_once() {
    let stack = start(json!({}));
    for (amount, tier, limit) in [
        ("0.99", json!(null), "recharge_required"),
        ("1", json!("tier0"), "3"),
        ("4.99", json!("tier0"), "3"),
        ("5", json!("tier0"), "3"),
        ("9.99", json!("tier0"), "3"),
        ("10", json!("tier1"), "200"),
        ("20", json!("tier2"), "500"),
        ("100", json!("tier3"), "5000"),
        ("999.99", json!("tier3"), "5000"),
        ("1000", json!("tier4"), "5000"),
        ("3000", json!("tier5"), "10000"),
    ] {
        let account = format!("with-{amount}");
        recharge(&stack, &account, "gift", "500", "voucher");
        let written = recharge(&stack, &account, "first", amount, "cash");
        assert_eq!(written["tier"], tier, "{amount}");
        let mut due = vec![written["voucher_due"] == true];
        for (id, amount) in [("more", "0.01"), ("back", "-0.01")] {
            due.push(recharge(&stack, &account, id, amount, "cash")["voucher_due"] == true);
        }
        let reached = amount.parse::<f64>().unwrap() >= 4.99;
        assert_eq!(
            due.iter().filter(|d| **d).count(),
            usize::from(reached),
            "{amount}"
        );
        assert_eq!(stack.send(of(&account)).rpm_or_code(), limit, "{amount}");
    }
}

#[test]
fn a_write_is_seen_by_both_workers() {
    let stack = start(json!({}));
    admin(&stack, "PUT", "/accounts/acme", r#"{"tier": "tier2"}"#);
    // Each request comes on a connection of its own, to one worker or the other.
    for _ in 0..20 {
        assert_eq!(stack.send(of("acme")).rpm_or_code(), "500");
    }
    admin(
        &stack,
        "PUT",
        "/accounts/acme",
        r#"{"tier": "tier2", "disabled": true}"#,
    );
    for _ in 0..20 {
        assert_eq!(stack.send(of("acme")).rpm_or_code(), "account_disabled");
    }
    let view = admin(&stack, "GET", "/accounts/acme", "");
    assert_eq!(
        (&view["tier"], &view["usage"]["rpm"]["used"]),
        (&json!("tier2"), &json!(20))
    );
    admin(&stack, "POST", "/accounts/acme/reset", "");
    let view = admin(&stack, "GET", "/accounts/acme", "");
    assert_eq!(view["usage"]["rpm"]["used"], 0);
    admin(&stack, "DELETE", "/accounts/acme", "");
    assert_eq!(stack.send(call("GET", "/accounts/acme", "")).status, 404);
}

#[test]
fn eight_writers_times_a_thousand_recharges_lose_nothing() {
    let stack = start(json!({}));
    let events: Vec<_> = (0..8_000)
        .map(|i| {
            let body = json!({"id": format!("e{i}"), "amount": "0.25", "kind": "cash"});
            call("POST", "/accounts/acme/recharges", &body.to_string())
        })
        .collect();
    let replies = stack.flood(8, events);
    assert_eq!(count(&replies, 200), 8_000);
    assert_eq!(
        admin(&stack, "GET", "/accounts/acme", "")["recharge"],
        "2000.00"
    );
    // The last 64 are remembered; the same again, on both workers, change nothing.
    let seen: Vec<_> = (0..60)
        .map(|i| json!({"id": format!("again-{i}"), "amount": "1", "kind": "cash"}).to_string())
        .map(|body| call("POST", "/accounts/acme/recharges", &body))
        .collect();
    stack.flood(8, seen.clone());
    let replies = stack.flood(8, seen);
    assert!(replies.iter().all(|r| r.json()["new"] == false));
    assert_eq!(
        admin(&stack, "GET", "/accounts/acme", "")["recharge"],
        "2060.00"
    );
}

#[test]
fn only_the_token_gets_in_and_a_password_only_reads() {
    let stack = start(json!({}));
    let with = |method: &str, authorization: &str| {
        Call::new()
            .method(method, "/-/tiergate/accounts/acme")
            .header("authorization", authorization)
            .body(r#"{"tier": "tier2"}"#)
    };
    let long = format!("Bearer {}", "x".repeat(50_000));
    for wrong in ["", "Bearer", "Bearer wrong", "Basic wrong", "secret", &long] {
        let reply = stack.send(with("PUT", wrong));
        assert_eq!(
            (reply.status, &*reply.code()),
            (401, "token_invalid"),
            "{wrong}"
        );
        assert!(reply.header("www-authenticate").is_some());
    }
    assert_eq!(
        stack.send(Call::new().get("/-/tiergate/status")).status,
        401
    );
    let basic = "Basic YnJvd3NlcjpzZWNyZXQ=";
    assert_eq!(stack.send(with("PUT", basic)).code(), "bearer_only");
    let read = Call::new()
        .get("/-/tiergate/status")
        .header("authorization", basic);
    let status = stack.send(read);
    assert_eq!(status.status, 200);
    assert!(status.json()["live_vms"].as_u64().is_some());
    // Nothing of this went on to the upstream.
    assert_eq!(stack.seen(), json!({}));
}

#[test]
fn awkward_paths_bodies_and_ids_get_a_clear_answer_and_change_nothing() {
    let stack = start(json!({}));
    for (method, path, body, status) in [
        ("POST", "/", "", 405),
        ("GET", "/page", "", 404),
        ("GET", "//status", "", 404),
        ("GET", "/accounts/../status", "", 404),
        ("GET", "/accounts/..", "", 400),
        ("GET", "/accounts/%", "", 400),
        ("POST", "/status", "", 405),
        ("PUT", "/accounts/acme", "", 400),
        ("PUT", "/accounts/acme", "{\"tier\":", 400),
        ("PUT", "/accounts/acme", r#"{"recharge": "1e3"}"#, 400),
        (
            "POST",
            "/accounts/acme/recharges",
            r#"{"id": "e", "amount": "NaN", "kind": "cash"}"#,
            400,
        ),
        ("POST", "/accounts/acme/recharges", "\u{663}", 400),
    ] {
        let reply = stack.send(call(method, path, body));
        assert_eq!(reply.status, status, "{method} {path} {body}");
        assert!(
            !reply.json()["error"]["message"]
                .as_str()
                .unwrap()
                .is_empty()
        );
    }
    let long = format!("{{\"tier\": \"{}\"}}", "x".repeat(100_000));
    assert_eq!(stack.send(call("PUT", "/accounts/acme", &long)).status, 413);
    assert_eq!(
        stack.send(call("GET", "/accounts/acme", "")).status,
        404,
        "nothing was applied"
    );
    admin(
        &stack,
        "PUT",
        "/accounts/a%2Fb%20%ff",
        r#"{"tier": "tier2"}"#,
    );
    let odd = Call::new().header("x-account-id", b"a/b \xff");
    assert_eq!(stack.send(odd).rpm_or_code(), "500");
    assert!(!stack.envoy_log().contains("panicked"));
}

#[test]
fn before_anything_was_pushed_not_ready_says_what_accounts_get() {
    let stack = start(json!({}));
    let refused = stack.send(of("acme"));
    assert_eq!(
        (refused.status, &*refused.code()),
        (503, "limiter_unavailable")
    );
    let stack = start(json!({"not_ready": "tier1"}));
    assert_eq!(stack.send(of("acme")).rpm_or_code(), "200");
    let written = admin(&stack, "PUT", "/accounts/other", r#"{"tier": "tier2"}"#);
    assert_eq!(written["ready"], false);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(stack.send(of("acme")).rpm_or_code(), "200");
    admin(&stack, "POST", "/ready", "");
    stack.both_workers("both workers know", || {
        stack.send(of("acme")).rpm_or_code() == "tier_unknown"
    });
}

#[test]
fn without_the_bodies_of_held_requests_a_write_says_what_to_set() {
    let config = Config::new().open_admin();
    let stack = Stack::start(config.with(json!({"tier": ["directory"]})));
    let reply = stack.send(call("PUT", "/accounts/acme", r#"{"tier": "tier2"}"#));
    assert_eq!((reply.status, &*reply.code()), (501, "body_unavailable"));
    assert!(
        reply.json()["error"]["message"]
            .to_string()
            .contains("allow_on_headers_stop_iteration")
    );
}

/// Istio's WasmPlugin and Envoy Gateway can't set the filter's flag: the body comes in a header.
#[test]
fn a_write_can_bring_its_body_in_a_header() {
    let config = Config::new().open_admin();
    let stack = Stack::start(config.with(json!({"tier": ["directory"]})));
    let write = |method: &str, path: &str, body: &str| {
        let call = Call::new().method(method, &format!("/-/tiergate{path}"));
        stack.send(call.body("").header("x-tiergate-body", body))
    };
    let written = write("PUT", "/accounts/acme", r#"{"tier": "tier2"}"#);
    assert_eq!(
        (written.status, &written.json()["tier"]),
        (200, &json!("tier2"))
    );
    let bulk = write(
        "PUT",
        "/accounts",
        r#"[{"id": "\u00fc", "tier": "tier1"}, {"id": "b"}]"#,
    );
    assert_eq!((bulk.status, &bulk.json()["accepted"]), (200, &json!(1)));
    let listed = stack
        .send(Call::new().get("/-/tiergate/accounts?limit=1000"))
        .json();
    assert_eq!(listed["ready"], false);
    let long = format!(r#"{{"tier": "{}"}}"#, "x".repeat(33_000));
    for (reply, status) in [
        (write("PUT", "/accounts/acme", "{"), 400),
        (
            write("PUT", "/accounts/acme", "{\"tier\": \"\u{fc}\"}"),
            400,
        ),
        (write("PUT", "/accounts/acme", &long), 413),
        (write("DELETE", "/accounts/acme", "{}"), 400),
        (write("GET", "/accounts/acme", "{}"), 400),
    ] {
        assert_eq!(
            reply.status,
            status,
            "{:?}",
            String::from_utf8_lossy(&reply.body)
        );
    }
    let both = call("PUT", "/accounts/acme", "{}").header("x-tiergate-body", "{}");
    assert_eq!(stack.send(both).status, 400);
}

#[test]
fn a_token_that_may_only_read_reads_and_writes_are_logged_with_the_tokens_name() {
    let support = "4a6bf2f8cbb53ef1bc3a8bd4e4e4f7cf6d8e5b1a5b2b9f1e6bb1a6ba4f9a3a66";
    let tokens = json!({"admin": {"path": "/-/tiergate", "token_sha256": null, "tokens": [
        {"name": "ops", "sha256": TOKEN},
        {"name": "support", "sha256": tiergate::http::sha256::sha256_hex(b"look"), "read_only": true},
        {"name": "other", "sha256": support}]}});
    let stack = start(tokens);
    let put = |token: &str| {
        let call = Call::new().method("PUT", "/-/tiergate/accounts/acme");
        let bearer = format!("Bearer {token}");
        stack.send(
            call.header("authorization", &bearer)
                .body(r#"{"tier": "tier2"}"#),
        )
    };
    assert_eq!(
        (put("look").status, &*put("look").code()),
        (403, "read_only")
    );
    assert_eq!(
        (put("wrong").status, &*put("wrong").code()),
        (401, "token_invalid")
    );
    assert_eq!(put("secret").status, 200);
    let read = Call::new().get("/-/tiergate/accounts/acme");
    assert_eq!(
        stack
            .send(read.header("authorization", "Bearer look"))
            .status,
        200
    );
    eventually("the write is logged", || {
        stack
            .envoy_log()
            .contains("admin ops: PUT account acme: before null, after {")
    });
    assert!(!stack.envoy_log().contains("Bearer secret"));
}
