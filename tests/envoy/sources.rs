//! Where account and tier come from.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::Call;
use crate::harness::stack::Stack;
use serde_json::json;

fn tier_of(stack: &Stack, call: Call) -> String {
    stack.send(call).rpm_or_code()
}

#[test]
fn the_tier_comes_by_name_or_by_cumulative_recharge() {
    let stack = Stack::start("{}");
    let recharged = |amount: &str| {
        let account = format!("with-{amount}");
        Call::new()
            .header("x-account-id", account)
            .header("x-account-recharge", amount)
    };
    assert_eq!(tier_of(&stack, Call::of("acme", "tier2")), "500");
    for (amount, rpm) in [
        ("0.99", "recharge_required"),
        ("1", "3"),
        ("9.99", "3"),
        ("10", "200"),
        ("20", "500"),
        ("100", "5000"),
        ("3000", "10000"),
        ("1e3", "tier_unknown"),
        ("-5", "tier_unknown"),
        ("NaN", "tier_unknown"),
    ] {
        assert_eq!(tier_of(&stack, recharged(amount)), rpm, "{amount}");
    }
    assert_eq!(tier_of(&stack, Call::of("acme", "gold")), "tier_unknown");
    assert_eq!(
        tier_of(&stack, Call::new().header("x-account-id", "acme")),
        "tier_unknown"
    );
    assert_eq!(tier_of(&stack, Call::new()), "account_missing");
}

#[test]
fn an_account_can_be_the_digest_of_a_credential() {
    let stack = Stack::start(r#"{"tier": [], "unknown_tier": "tier0"}"#);
    let with_key = |key: &str| Call::new().header("authorization", format!("Bearer {key}"));
    for _ in 0..3 {
        assert_eq!(stack.send(with_key("sk-one")).status, 200);
    }
    let refused = stack.send(with_key("sk-one"));
    assert_eq!(refused.status, 429);
    assert!(
        !String::from_utf8_lossy(&refused.body).contains("sk-one"),
        "no credential shows"
    );
    assert_eq!(
        stack.send(with_key("sk-two")).status,
        200,
        "another key, another account"
    );
    assert_eq!(
        stack.seen()["authorization"],
        json!(["Bearer sk-two"]),
        "the upstream needs it"
    );
}

#[test]
fn identity_headers_are_taken_off_unless_they_are_to_stay() {
    let stack = Stack::start("{}");
    stack.send(Call::of("acme", "tier1").header("x-other", "1"));
    let seen = stack.seen();
    assert_eq!(
        (&seen["x-account-id"], &seen["x-account-tier"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(seen["x-other"], json!(["1"]));

    let stack = Stack::start(r#"{"strip_headers": false}"#);
    stack.send(Call::of("acme", "tier1"));
    assert_eq!(stack.seen()["x-account-id"], json!(["acme"]));
}

#[test]
fn what_an_earlier_filter_put_into_metadata_is_used() {
    let setup = Setup::new(
        r#"{"account": [{"property": ["metadata", "filter_metadata", "auth", "account"]}],
            "tier": [{"property": ["metadata", "filter_metadata", "auth", "tier"]}]}"#,
    );
    let setup = setup.before(json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": "auth", "value": {"account": "acme", "tier": "tier0"}}]
        }
    }));
    let stack = Stack::with(&setup);
    // What a client sends in headers that are no source is nothing.
    let statuses: Vec<_> = (0..4)
        .map(|i| stack.send(Call::of(&format!("forged-{i}"), "tier5")).status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn another_plugin_can_write_the_tier_into_shared_data() {
    let setup =
        Setup::new(r#"{"tier": [{"shared_data": "tier-of/{account}"}], "unknown_tier": "refuse"}"#);
    let tiers = "tier-of/acme tier2\ntier-of/startup tier0\ntier-of/odd gold\n";
    let writer = wasm_filter("shared-writer", "shared_writer.wasm", tiers);
    let stack = Stack::with(&setup.before(writer));
    let of = |account: &str| Call::new().header("x-account-id", account);
    assert_eq!(tier_of(&stack, of("acme")), "500");
    assert_eq!(tier_of(&stack, of("startup")), "3");
    assert_eq!(tier_of(&stack, of("odd")), "tier_unknown");
    assert_eq!(tier_of(&stack, of("nobody")), "tier_unknown");
}

/// Envoy's address of a connection has a port, which is another one each time.
#[test]
fn an_address_is_one_account_over_all_its_connections() {
    let source = |source: serde_json::Value| {
        let config = Config::tier("t").rpm(3);
        Stack::start(config.with(json!({"account": [source], "unknown_tier": "t"})))
    };
    let statuses = |stack: &Stack, forwarded: &str| {
        let call = || Call::new().header("x-forwarded-for", forwarded);
        (0..4)
            .map(|_| stack.send(call()).status)
            .collect::<Vec<_>>()
    };
    let stack = source(json!({"address": "source"}));
    assert_eq!(statuses(&stack, "9.9.9.9"), [200, 200, 200, 429]);
    let stack = source(json!({"address": "x-forwarded-for"}));
    assert_eq!(statuses(&stack, "9.9.9.9"), [200, 200, 200, 429]);
    assert_eq!(statuses(&stack, "8.8.8.8")[0], 200, "another account");
}
