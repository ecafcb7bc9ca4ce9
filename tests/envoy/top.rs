//! `tiergate top` against a real filter.

use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::Value;
use std::process::Command;

/// What `tiergate top --once` says, with these arguments more.
fn top(stack: &Stack, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args([
            "top",
            "--admin",
            &format!("http://{}/-/tiergate", stack.proxy),
        ])
        .arg("--once")
        .args(more)
        .env("TIERGATE_ADMIN_TOKEN", "secret")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_tells_who_is_refused_and_what_lowers_limits() {
    let config = r#"{"capacity": {"accounts": 64, "directory": 64}, "load": {"from": "overload"},
        "admin": {"path": "/-/tiergate",
            "token_sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}}"#;
    let stack = Stack::with(&Setup::new(config).bodies_while_headers_are_held());
    let load = |method: &str, body: &str| {
        let call = Call::new().method(method, "/-/tiergate/load").body(body);
        stack.send(call.header("authorization", "Bearer secret"))
    };
    let put = load("PUT", r#"{"tiers": {"tier0": 0.4}, "ttl": "10m"}"#);
    assert_eq!(put.status, 200);
    let knows = || load("GET", "").json()["in_force"]["tier0"] == 0.4;
    stack.both_workers("both workers know", knows);
    let awkward = Call::new()
        .header("x-account-id", "ac\u{202e}me\\x".as_bytes())
        .header("x-account-tier", "tier0");
    let replies: Vec<_> = (0..5).map(|_| stack.send(awkward.clone())).collect();
    assert_eq!((count(&replies, 200), count(&replies, 429)), (1, 4));
    eventually("it is told", || {
        top(&stack, &[]).contains(r"ac\u{202e}me\\x")
    });
    let text = top(&stack, &[]);
    for part in [
        "tiergate",
        "enforce",
        "tier0 x0.4, the others in full",
        "rpm*",
        "by overload",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let status: Value = serde_json::from_str(&top(&stack, &["--json"])).unwrap();
    assert_eq!(status["load"]["in_force"]["tier0"], 0.4);
    assert_eq!(status["refusals"]["accounts"][0]["tier"], "tier0");
    assert_eq!(status["tiers"][0]["in_force"]["rpm"], 1);
}
