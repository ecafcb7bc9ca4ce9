//! The refusals of the config check: each says where, what is wrong, and what is allowed.

use crate::config::{LIMITS, refused, tiers};
use crate::harness::Config;
use serde_json::json;
use tiergate::config::parse;

/// Checks the refusal of each config: the path it begins with, and a part of its text.
pub fn are_refused(rows: &[(&str, &str, &str)]) {
    for (json, path, says) in rows {
        let message = refused(json);
        assert!(
            message.starts_with(&format!("{path}: ")),
            "{json}: {message}"
        );
        assert!(message.contains(says), "{json}: {message}");
    }
}

#[test]
fn a_config_that_is_no_object_or_has_a_wrong_word_is_refused() {
    are_refused(&[
        (r#"{"namespce": "x"}"#, "namespce", "unknown field"),
        (
            r#"{"teirs": []}"#,
            "teirs",
            "unknown field `teirs` (did you mean `tiers`?), expected one of `namespace`",
        ),
        (r#"{"mode": "on"}"#, "mode", "shadow"),
        (
            r#"{"on_fault": "denied"}"#,
            "on_fault",
            "\"allow\", \"deny\", or an object with no_slot",
        ),
        (r#"{"on_fault": ["deny"]}"#, "on_fault", "or an object"),
        (
            r#"{"on_fault": {"slot": "deny"}}"#,
            "on_fault.slot",
            "no_slot",
        ),
        (
            r#"{"on_fault": {"host": "denied"}}"#,
            "on_fault.host",
            "`allow` or `deny`",
        ),
        (
            r#"{"on_fault": {"host": "deny", "host": "allow"}}"#,
            "on_fault",
            "duplicate field",
        ),
        (r#"{"log_admitted": "no"}"#, "log_admitted", "a boolean"),
        (
            r#"{"mode": "enforce", "mode": "shadow"}"#,
            "$",
            "duplicate field",
        ),
        (r#"{"namespace": "a/b"}"#, "namespace", "A-Z a-z 0-9"),
        (
            r#"{"capacity": {"directory": 0}}"#,
            "capacity.directory",
            "1 to",
        ),
        (
            r#"{"capacity": {"accounts": 0}}"#,
            "capacity.accounts",
            "1 to",
        ),
        (
            r#"{"capacity": {"accounts": 99999999999}}"#,
            "capacity.accounts",
            "1 to",
        ),
        ("{", "$", "EOF"),
        ("{} {}", "$", "trailing"),
        ("[]", "$", "an object"),
    ]);
    let far = refused(r#"{"something_else": 1}"#);
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn tiers_that_no_account_could_have_are_refused() {
    let tier = |name: &str, recharge: &str| {
        format!(r#"{{"name": "{name}", "recharge": {recharge}, {LIMITS}}}"#)
    };
    are_refused(&[
        (
            &tiers(r#"{"name": "a", "recharge": 1, "limit": {}}"#),
            "tiers[0].limit",
            "did you mean `limits`?",
        ),
        (r#"{"tiers": []}"#, "tiers", "at least one"),
        (
            &tiers(
                r#"{"name": "a", "recharge": 1, "limits": {"concurrency": 1, "rpm": 0, "tpm": 3, "tpd": 4}}"#,
            ),
            "tiers[0].limits.rpm",
            "from 1 to",
        ),
        (
            &tiers(
                r#"{"name": "a", "recharge": 1, "limits": {"concurrency": 1, "rpm": 2, "tpm": 3}}"#,
            ),
            "tiers[0].limits",
            "missing field `tpd`",
        ),
        (
            &tiers(
                r#"{"name": "a", "recharge": 1, "limits": {"concurrency": 1, "rpm": -2, "tpm": 3, "tpd": 3}}"#,
            ),
            "tiers[0].limits.rpm",
            "unlimited",
        ),
        (
            &tiers(&tier("a", "\"1.999\"")),
            "tiers[0].recharge",
            "two decimals",
        ),
        (
            &tiers(&tier("a", "1e300")),
            "tiers[0].recharge",
            "two decimals",
        ),
        (
            &tiers(&format!("{}, {}", tier("a", "1"), tier("a", "2"))),
            "tiers[1].name",
            "already",
        ),
        (
            &tiers(&format!("{}, {}", tier("a", "2"), tier("b", "2"))),
            "tiers[1].recharge",
            "ascend",
        ),
        (
            &tiers(&tier("none", "1")),
            "tiers[0].name",
            "choose another",
        ),
        (&tiers(&tier("a b", "1")), "tiers[0].name", "A-Z a-z 0-9"),
        (
            &Config::tier("a").wait("61s").to_string(),
            "tiers[0].wait",
            "1m",
        ),
        (r#"{"unknown_tier": "gold"}"#, "unknown_tier", "refuse"),
        (
            r#"{"voucher": {"at": "0", "amount": "5"}}"#,
            "voucher.at",
            "over 0",
        ),
        (r#"{"not_ready": "gold"}"#, "not_ready", "refuse"),
        (&tiers(r#"["a", 1, [1, 2, 3, 4]]"#), "tiers[0]", "an object"),
    ]);
}

#[test]
fn a_source_that_says_nothing_is_refused() {
    are_refused(&[
        (r#"{"account": []}"#, "account", "at least one"),
        (
            &json!({"account": vec![json!({"header": "a"}); 9]}).to_string(),
            "account",
            "9 sources: at most 8",
        ),
        (
            &json!({"tier": vec!["directory"; 9]}).to_string(),
            "tier",
            "9 sources: at most 8",
        ),
        (r#"{"account": [{}]}"#, "account[0]", "exactly one place"),
        (
            r#"{"account": [{"header": "a", "property": ["b"]}]}"#,
            "account[0]",
            "exactly one",
        ),
        (
            r#"{"account": [{"header": "a b"}]}"#,
            "account[0].header",
            "name of a header",
        ),
        (
            r#"{"account": [{"header": "a", "query": "b"}]}"#,
            "account[0]",
            "exactly one",
        ),
        (
            r#"{"account": [{"query": ""}]}"#,
            "account[0].query",
            "without a name",
        ),
        (
            r#"{"account": [{"query": ["key"]}]}"#,
            "account[0].query",
            "string",
        ),
        (
            r#"{"tier": [{"query": "tier"}]}"#,
            "tier[0].query",
            "account sources",
        ),
        (r#"{"tier": ["header"]}"#, "tier[0]", "\"directory\""),
        (
            r#"{"tier": [{"shared_data": "{account}"}]}"#,
            "tier[0].shared_data",
            "fixed part",
        ),
        (
            r#"{"namespace": "n", "tier": ["directory", {"shared_data": "n/{account}"}]}"#,
            "tier[1].shared_data",
            "fixed part",
        ),
        (
            r#"{"tier": [{"shared_data": "x"}]}"#,
            "tier[0].shared_data",
            "{account}",
        ),
        (
            r#"{"tier": [{"header": "x", "digest": true}]}"#,
            "tier[0]",
            "account sources",
        ),
        (
            r#"{"account": [{"header": "Host"}]}"#,
            "account[0].header",
            ":authority",
        ),
    ]);
}

#[test]
fn windows_that_no_clock_has_are_refused() {
    are_refused(&[
        (
            r#"{"windows": {"minute": "60"}}"#,
            "windows.minute",
            "ms, s, m, h",
        ),
        (
            r#"{"windows": {"minute": "1ms"}}"#,
            "windows.minute",
            "60ms",
        ),
        (r#"{"windows": {"day": {}}}"#, "windows.day", "exactly one"),
        (
            r#"{"windows": {"day": {"rolling": "59ms"}}}"#,
            "windows.day",
            "60ms",
        ),
        (
            r#"{"windows": {"day": {"calendar": "08:00"}}}"#,
            "windows.day.calendar",
            "+23:59",
        ),
        (
            r#"{"windows": {"day": {"calendar": "America/Los_Angles"}}}"#,
            "windows.day.calendar",
            "did you mean \"America/Los_Angeles\"?",
        ),
        (
            r#"{"windows": {"day": {"calendar": "Asia/Gaza"}}}"#,
            "windows.day.calendar",
            "no yearly rule",
        ),
        (r#"{"windows": []}"#, "windows", "an object"),
    ]);
}

#[test]
fn token_settings_out_of_their_range_are_refused() {
    are_refused(&[
        (
            r#"{"tokens": {"bytes_per_token": 0}}"#,
            "tokens.bytes_per_token",
            "1 to",
        ),
        (
            r#"{"tokens": {"completion": 1.5}}"#,
            "tokens.completion",
            "whole number",
        ),
        (
            r#"{"tokens": {"media": 1000000001}}"#,
            "tokens.media",
            "0 to",
        ),
        (
            r#"{"tokens": {"include_usage": true}}"#,
            "tokens.include_usage",
            "read_body",
        ),
        (
            r#"{"tokens": {"cached": "half"}}"#,
            "tokens.cached",
            "`free`",
        ),
        (
            r#"{"tokens": {"header": "a b"}}"#,
            "tokens.header",
            "name of a header",
        ),
    ]);
}

#[test]
fn a_load_without_a_way_down_is_refused() {
    are_refused(&[
        (r#"{"load": {}}"#, "load", "missing field `from`"),
        (r#"{"load": "overload"}"#, "load", "an object"),
        (
            r#"{"load": {"from": "magic"}}"#,
            "load.from",
            "`header` or `overload`",
        ),
        (
            r#"{"load": {"from": {"header": "a b"}}}"#,
            "load.from.header",
            "not the name of a header",
        ),
        (
            r#"{"load": {"from": "overload", "start": 0.5}}"#,
            "load.full",
            "not over load.start",
        ),
        (
            r#"{"load": {"from": "overload", "full": 1.5}}"#,
            "load.full",
            "0 to 1",
        ),
        (
            r#"{"load": {"from": {"header": "x"}, "start": -1}}"#,
            "load.start",
            "0 to 10",
        ),
        (
            r#"{"load": {"from": "overload", "floor": 1.1}}"#,
            "load.floor",
            "0 to 1",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier9": 1}}}"#,
            "load.weights.tier9",
            "not the name of a tier",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier0": 1001}}}"#,
            "load.weights.tier0",
            "0 to 1000",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier0": 1, "tier0": 2}}}"#,
            "load.weights",
            "named twice",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier0": 0, "tier1": 0, "tier2": 0,
                "tier3": 0, "tier4": 0, "tier5": 0}}}"#,
            "load.weights",
            "all 0",
        ),
        (
            r#"{"load": {"from": "overload", "interval": "10s"}}"#,
            "load.interval",
            "500ms",
        ),
        (
            r#"{"load": {"from": "overload", "smooth": "1s"}}"#,
            "load.smooth",
            "of a load header",
        ),
    ]);
}

#[test]
fn a_config_has_at_most_a_mebibyte() {
    let config = r#"{"mode": "shadow"}"#;
    let most = config.to_owned() + &" ".repeat((1 << 20) - config.len());
    assert!(parse(most.as_bytes()).is_ok());
    are_refused(&[(
        &format!("{most} "),
        "$",
        "1048577 bytes: a config has at most 1 MiB",
    )]);
}
