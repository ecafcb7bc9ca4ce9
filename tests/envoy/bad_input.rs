//! Whatever clients send: a clear refusal, and a worker that lives on.

use crate::harness::client::Call;
use crate::harness::stack::Stack;

fn lives_on(stack: &Stack) {
    for i in 0..8 {
        let reply = stack.send(Call::of(&format!("honest-{i}"), "tier1"));
        assert_eq!(reply.status, 200);
    }
    assert!(!stack.envoy_log().contains("panicked"));
    assert_eq!(
        stack.stat(&["vm_reload"]),
        0,
        "no VM had to be loaded again"
    );
}

#[test]
fn identity_that_comes_twice_is_refused_not_guessed() {
    let stack = Stack::start("{}");
    let account_twice = Call::of("acme", "tier1").header("x-account-id", "other");
    let tier_twice = Call::of("acme", "tier1").header("x-account-tier", "tier5");
    let joined = Call::of("acme,other", "tier1");
    for (call, status, code) in [
        (account_twice, 401, "account_missing"),
        (joined, 401, "account_missing"),
        (tier_twice, 403, "tier_unknown"),
        (Call::of("acme", "tier1,tier5"), 403, "tier_unknown"),
        (Call::of("", "tier1"), 401, "account_missing"),
        (Call::of("acme", ""), 403, "tier_unknown"),
    ] {
        let reply = stack.send(call.clone());
        assert_eq!((reply.status, &*reply.code()), (status, code), "{call:?}");
    }
    lives_on(&stack);
}

#[test]
fn any_header_bytes_are_borne() {
    let stack = Stack::start("{}");
    let of = |account: &[u8], tier: &[u8]| {
        Call::new()
            .header("x-account-id", account)
            .header("x-account-tier", tier)
    };
    let long = vec![b'x'; 58_000];
    for (account, status) in [
        (&b"\xff\xfe\x80"[..], 200),
        (b"\xc3\x28 \xf0\x9f\x92", 200),
        (b"\"quote\\and\tslash", 200),
        (&long, 200),
    ] {
        for _ in 0..3 {
            assert_eq!(stack.send(of(account, b"tier0")).status, status);
        }
        let refused = stack.send(of(account, b"tier0"));
        assert_eq!((refused.status, &*refused.code()), (429, "rpm"));
        assert!(refused.body.len() < 2_000, "a long id is cut");
    }
    for tier in [&b"\xff\xfe"[..], b"tier0 \x80", &long] {
        assert_eq!(stack.send(of(b"acme", tier)).code(), "tier_unknown");
    }
    let recharge = Call::new()
        .header("x-account-id", "acme")
        .header("x-account-recharge", b"\xff");
    assert_eq!(stack.send(recharge).code(), "tier_unknown");
    lives_on(&stack);
}

#[test]
fn any_response_body_is_borne() {
    let stack = Stack::start("{}");
    let deep = format!(r#"{{"usage":{}"#, "[".repeat(8_000));
    for body in [
        &deep,
        "\u{fffd}\u{0}",
        r#"{"usage":{"usage":{"usage":"#,
        r#""usage""#,
        "[1e999]",
    ] {
        let body: Vec<u8> = body.bytes().filter(|b| *b != 0).collect();
        let call = Call::of("acme", "tier3").header("x-demo-body", &body);
        let reply = stack.send(call);
        assert_eq!((reply.status, reply.body), (200, body));
    }
    lives_on(&stack);
}
