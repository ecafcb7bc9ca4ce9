//! The config check: the path, what is wrong, what is allowed.

use crate::harness::Config;
use proptest::prelude::*;
use serde_json::json;
use tiergate::config::parse;

fn refused(json: &str) -> String {
    parse(json.as_bytes()).expect_err(json).to_string()
}

fn tiers(tier: &str) -> String {
    format!(r#"{{"tiers": [{tier}]}}"#)
}

const LIMITS: &str = r#""limits": {"concurrency": 1, "rpm": 2, "tpm": 3, "tpd": "unlimited"}"#;

#[test]
fn nothing_and_an_empty_object_are_the_defaults() {
    // The digest is of the text, so it is not compared.
    let parse = |json: &[u8]| tiergate::config::Config {
        digest: String::new(),
        ..parse(json).unwrap()
    };
    let nothing = parse(b"");
    assert_eq!(nothing, parse(b" {} "));
    let contract = include_str!("../../src/bin/tiergate/defaults.json");
    let mut same = parse(contract.as_bytes());
    // Without numbers, a config takes the sizes that the process has; 65,536 where it has none.
    let sizes = (same.accounts.take(), same.directory_accounts.take());
    assert_eq!(sizes, (Some(65_536), Some(65_536)));
    same.shareable.clone_from(&nothing.shareable);
    assert_eq!(nothing, same);
}

#[test]
fn on_fault_is_a_word_or_an_action_by_cause() {
    let on_fault = |value: &str| {
        let json = format!(r#"{{"on_fault": {value}}}"#);
        parse(json.as_bytes()).unwrap().on_fault
    };
    let (allow, deny) = (on_fault(r#""allow""#), on_fault(r#""deny""#));
    for all in [
        "{}",
        "null",
        r#"{"host": null}"#,
        r#"{"no_slot": "allow", "lost_races": "allow", "host": "allow", "newer_layout": "allow"}"#,
    ] {
        assert_eq!(on_fault(all), allow);
    }
    let all =
        r#"{"no_slot": "deny", "lost_races": "deny", "host": "deny", "newer_layout": "deny"}"#;
    assert_eq!(on_fault(all), deny);
    let one = tiergate::config::OnFault {
        host: tiergate::config::FaultAction::Deny,
        ..allow
    };
    assert_eq!(on_fault(r#"{"host": "deny"}"#), one);
}

#[test]
fn numbers_may_come_as_a_struct_config_writes_them() {
    let tier = r#"{"name": "a", "recharge": 4.99, "limits":
        {"concurrency": 1.0, "rpm": 2.0, "tpm": 500000.0, "tpd": "unlimited"}}"#;
    let config = parse(tiers(tier).as_bytes()).unwrap();
    assert_eq!(
        config
            .tiers
            .above(None)
            .unwrap()
            .recharge
            .unwrap()
            .to_string(),
        "$4.99"
    );
    let tpm = tiergate::limits::LimitKind::known("tpm").unwrap();
    let limits = &config.tiers.above(None).unwrap().limits;
    assert_eq!(limits.of(tpm).finite(), Some(500_000));
}

#[test]
fn each_refusal_says_where_what_and_what_is_allowed() {
    let tier = |name: &str, recharge: &str| {
        format!(r#"{{"name": "{name}", "recharge": {recharge}, {LIMITS}}}"#)
    };
    let rows = [
        (
            r#"{"namespce": "x"}"#.to_owned(),
            "namespce",
            "unknown field",
        ),
        (
            r#"{"teirs": []}"#.to_owned(),
            "teirs",
            "unknown field `teirs` (did you mean `tiers`?), expected one of `namespace`",
        ),
        (
            tiers(r#"{"name": "a", "recharge": 1, "limit": {}}"#),
            "tiers[0].limit",
            "did you mean `limits`?",
        ),
        (r#"{"mode": "on"}"#.to_owned(), "mode", "shadow"),
        (
            r#"{"on_fault": "denied"}"#.to_owned(),
            "on_fault",
            "\"allow\", \"deny\", or an object with no_slot",
        ),
        (
            r#"{"on_fault": ["deny"]}"#.to_owned(),
            "on_fault",
            "or an object",
        ),
        (
            r#"{"on_fault": {"slot": "deny"}}"#.to_owned(),
            "on_fault.slot",
            "no_slot",
        ),
        (
            r#"{"on_fault": {"host": "denied"}}"#.to_owned(),
            "on_fault.host",
            "`allow` or `deny`",
        ),
        (
            r#"{"on_fault": {"host": "deny", "host": "allow"}}"#.to_owned(),
            "on_fault",
            "duplicate field",
        ),
        (
            r#"{"log_admitted": "no"}"#.to_owned(),
            "log_admitted",
            "a boolean",
        ),
        (
            r#"{"mode": "enforce", "mode": "shadow"}"#.to_owned(),
            "$",
            "duplicate field",
        ),
        (
            r#"{"namespace": "a/b"}"#.to_owned(),
            "namespace",
            "A-Z a-z 0-9",
        ),
        (r#"{"tiers": []}"#.to_owned(), "tiers", "at least one"),
        (
            tiers(
                r#"{"name": "a", "recharge": 1, "limits": {"concurrency": 1, "rpm": 0, "tpm": 3, "tpd": 4}}"#,
            ),
            "tiers[0].limits.rpm",
            "from 1 to",
        ),
        (
            tiers(
                r#"{"name": "a", "recharge": 1, "limits": {"concurrency": 1, "rpm": 2, "tpm": 3}}"#,
            ),
            "tiers[0].limits",
            "missing field `tpd`",
        ),
        (
            tiers(
                r#"{"name": "a", "recharge": 1, "limits": {"concurrency": 1, "rpm": -2, "tpm": 3, "tpd": 3}}"#,
            ),
            "tiers[0].limits.rpm",
            "unlimited",
        ),
        (
            tiers(&tier("a", "\"1.999\"")),
            "tiers[0].recharge",
            "two decimals",
        ),
        (
            tiers(&tier("a", "1e300")),
            "tiers[0].recharge",
            "two decimals",
        ),
        (
            tiers(&format!("{}, {}", tier("a", "1"), tier("a", "2"))),
            "tiers[1].name",
            "already",
        ),
        (
            tiers(&format!("{}, {}", tier("a", "2"), tier("b", "2"))),
            "tiers[1].recharge",
            "ascend",
        ),
        (tiers(&tier("none", "1")), "tiers[0].name", "choose another"),
        (tiers(&tier("a b", "1")), "tiers[0].name", "A-Z a-z 0-9"),
        (
            Config::tier("a").wait("61s").to_string(),
            "tiers[0].wait",
            "1m",
        ),
        (r#"{"account": []}"#.to_owned(), "account", "at least one"),
        (
            json!({"account": vec![json!({"header": "a"}); 9]}).to_string(),
            "account",
            "9 sources: at most 8",
        ),
        (
            json!({"tier": vec!["directory"; 9]}).to_string(),
            "tier",
            "9 sources: at most 8",
        ),
        (
            r#"{"account": [{}]}"#.to_owned(),
            "account[0]",
            "exactly one place",
        ),
        (
            r#"{"account": [{"header": "a", "property": ["b"]}]}"#.to_owned(),
            "account[0]",
            "exactly one",
        ),
        (
            r#"{"account": [{"header": "a b"}]}"#.to_owned(),
            "account[0].header",
            "name of a header",
        ),
        (
            r#"{"account": [{"header": "a", "query": "b"}]}"#.to_owned(),
            "account[0]",
            "exactly one",
        ),
        (
            r#"{"account": [{"query": ""}]}"#.to_owned(),
            "account[0].query",
            "without a name",
        ),
        (
            r#"{"account": [{"query": ["key"]}]}"#.to_owned(),
            "account[0].query",
            "string",
        ),
        (
            r#"{"tier": [{"query": "tier"}]}"#.to_owned(),
            "tier[0].query",
            "account sources",
        ),
        (
            r#"{"tier": ["header"]}"#.to_owned(),
            "tier[0]",
            "\"directory\"",
        ),
        (
            r#"{"tier": [{"shared_data": "{account}"}]}"#.to_owned(),
            "tier[0].shared_data",
            "fixed part",
        ),
        (
            r#"{"namespace": "n", "tier": ["directory", {"shared_data": "n/{account}"}]}"#
                .to_owned(),
            "tier[1].shared_data",
            "fixed part",
        ),
        (
            r#"{"tier": [{"shared_data": "x"}]}"#.to_owned(),
            "tier[0].shared_data",
            "{account}",
        ),
        (
            r#"{"tier": [{"header": "x", "digest": true}]}"#.to_owned(),
            "tier[0]",
            "account sources",
        ),
        (
            r#"{"unknown_tier": "gold"}"#.to_owned(),
            "unknown_tier",
            "refuse",
        ),
        (
            r#"{"windows": {"minute": "60"}}"#.to_owned(),
            "windows.minute",
            "ms, s, m, h",
        ),
        (
            r#"{"windows": {"minute": "1ms"}}"#.to_owned(),
            "windows.minute",
            "60ms",
        ),
        (
            r#"{"windows": {"day": {}}}"#.to_owned(),
            "windows.day",
            "exactly one",
        ),
        (
            r#"{"windows": {"day": {"rolling": "59ms"}}}"#.to_owned(),
            "windows.day",
            "60ms",
        ),
        (
            r#"{"windows": {"day": {"calendar": "08:00"}}}"#.to_owned(),
            "windows.day.calendar",
            "+23:59",
        ),
        (
            r#"{"windows": {"day": {"calendar": "America/Los_Angles"}}}"#.to_owned(),
            "windows.day.calendar",
            "did you mean \"America/Los_Angeles\"?",
        ),
        (
            r#"{"windows": {"day": {"calendar": "Asia/Gaza"}}}"#.to_owned(),
            "windows.day.calendar",
            "no yearly rule",
        ),
        (
            r#"{"tokens": {"bytes_per_token": 0}}"#.to_owned(),
            "tokens.bytes_per_token",
            "1 to",
        ),
        (
            r#"{"tokens": {"completion": 1.5}}"#.to_owned(),
            "tokens.completion",
            "whole number",
        ),
        (
            r#"{"tokens": {"media": 1000000001}}"#.to_owned(),
            "tokens.media",
            "0 to",
        ),
        (
            r#"{"tokens": {"include_usage": true}}"#.to_owned(),
            "tokens.include_usage",
            "read_body",
        ),
        (
            r#"{"tokens": {"cached": "half"}}"#.to_owned(),
            "tokens.cached",
            "`free`",
        ),
        (
            r#"{"tokens": {"header": "a b"}}"#.to_owned(),
            "tokens.header",
            "name of a header",
        ),
        (
            r#"{"admin": {"path": "/x"}}"#.to_owned(),
            "admin",
            "token_sha256",
        ),
        (
            r#"{"admin": {"path": "x/", "insecure": true}}"#.to_owned(),
            "admin.path",
            "/-/tiergate",
        ),
        (
            r#"{"admin": {"path": "/x", "token_sha256": "abc"}}"#.to_owned(),
            "admin.token_sha256",
            "64 hex digits",
        ),
        (
            r#"{"voucher": {"at": "0", "amount": "5"}}"#.to_owned(),
            "voucher.at",
            "over 0",
        ),
        (r#"{"not_ready": "gold"}"#.to_owned(), "not_ready", "refuse"),
        (
            r#"{"usage_path": "v1/limits"}"#.to_owned(),
            "usage_path",
            "is not a path",
        ),
        (
            r#"{"usage_path": "/v1/limits?x"}"#.to_owned(),
            "usage_path",
            "is not a path",
        ),
        (r#"{"load": {}}"#.to_owned(), "load", "missing field `from`"),
        (r#"{"load": "overload"}"#.to_owned(), "load", "an object"),
        (
            r#"{"load": {"from": "magic"}}"#.to_owned(),
            "load.from",
            "`header` or `overload`",
        ),
        (
            r#"{"load": {"from": {"header": "a b"}}}"#.to_owned(),
            "load.from.header",
            "not the name of a header",
        ),
        (
            r#"{"load": {"from": "overload", "start": 0.5}}"#.to_owned(),
            "load.full",
            "not over load.start",
        ),
        (
            r#"{"load": {"from": "overload", "full": 1.5}}"#.to_owned(),
            "load.full",
            "0 to 1",
        ),
        (
            r#"{"load": {"from": {"header": "x"}, "start": -1}}"#.to_owned(),
            "load.start",
            "0 to 10",
        ),
        (
            r#"{"load": {"from": "overload", "floor": 1.1}}"#.to_owned(),
            "load.floor",
            "0 to 1",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier9": 1}}}"#.to_owned(),
            "load.weights.tier9",
            "not the name of a tier",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier0": 1001}}}"#.to_owned(),
            "load.weights.tier0",
            "0 to 1000",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier0": 1, "tier0": 2}}}"#.to_owned(),
            "load.weights",
            "named twice",
        ),
        (
            r#"{"load": {"from": "overload", "weights": {"tier0": 0, "tier1": 0, "tier2": 0,
                "tier3": 0, "tier4": 0, "tier5": 0}}}"#
                .to_owned(),
            "load.weights",
            "all 0",
        ),
        (
            r#"{"load": {"from": "overload", "interval": "10s"}}"#.to_owned(),
            "load.interval",
            "500ms",
        ),
        (
            r#"{"load": {"from": "overload", "smooth": "1s"}}"#.to_owned(),
            "load.smooth",
            "of a load header",
        ),
        (
            r#"{"capacity": {"directory": 0}}"#.to_owned(),
            "capacity.directory",
            "1 to",
        ),
        (
            r#"{"directory": {"cluster": "c"}}"#.to_owned(),
            "directory",
            "missing field `authority`",
        ),
        (
            feed("cluster", ""),
            "directory.cluster",
            "name of a cluster",
        ),
        (feed("authority", "a/b"), "directory.authority", "host"),
        (feed("path", "accounts"), "directory.path", "begins with /"),
        (feed("path", "/a b"), "directory.path", "begins with /"),
        (feed("interval", "999ms"), "directory.interval", "\"1s\""),
        (feed("interval", "25h"), "directory.interval", "\"24h\""),
        (
            r#"{"directory": {"cluster": "c", "authority": "a", "path": "/v1/directory/changes",
                "interval": "1s", "removes": true}, "tier": ["directory"]}"#
                .to_owned(),
            "directory.removes",
            "changes alone",
        ),
        (feed("every", "1s"), "directory.every", "unknown field"),
        (r#"{"headers": "all"}"#.to_owned(), "headers", "\"auto\""),
        (
            r#"{"account": [{"header": "Host"}]}"#.to_owned(),
            "account[0].header",
            ":authority",
        ),
        (r#"{"headers": ["x"]}"#.to_owned(), "headers[0]", "openai"),
        (
            r#"{"headers": ["openai", "openai"]}"#.to_owned(),
            "headers[1]",
            "twice",
        ),
        (r#"{"errors": "ollama"}"#.to_owned(), "errors", "`gemini`"),
        (
            r#"{"errors": "antropic"}"#.to_owned(),
            "errors",
            "did you mean `anthropic`?",
        ),
        (
            r#"{"error": "auto"}"#.to_owned(),
            "error",
            "did you mean `errors`?",
        ),
        (r#"{"jitter": "0ms"}"#.to_owned(), "jitter", "\"1ms\""),
        (
            r#"{"jitter": "61s"}"#.to_owned(),
            "jitter",
            "\"1ms\" to \"1m\"",
        ),
        (
            r#"{"cors": {}}"#.to_owned(),
            "cors",
            "missing field `origins`",
        ),
        (r#"{"cors": ["*"]}"#.to_owned(), "cors", "an object"),
        (
            r#"{"cors": {"origin": ["*"]}}"#.to_owned(),
            "cors.origin",
            "did you mean `origins`?",
        ),
        (origins("[]"), "cors.origins", "1 to 64"),
        (origins(r#"["*", "*"]"#), "cors.origins[1]", "twice"),
        (
            origins(r#"["app.example.com"]"#),
            "cors.origins[0]",
            "https://",
        ),
        (
            origins(r#"["https://a.com/"]"#),
            "cors.origins[0]",
            "without a path",
        ),
        (
            origins(r#"["HTTPS://a.com"]"#),
            "cors.origins[0]",
            "lower case",
        ),
        (origins(r#"["https://"]"#), "cors.origins[0]", "https://"),
        (
            origins(r#"["https://a\"b"]"#),
            "cors.origins[0]",
            "https://",
        ),
        (origins(r#"["null"]"#), "cors.origins[0]", "https://"),
        (origins(r#"["*.a.com"]"#), "cors.origins[0]", "https://"),
        (
            r#"{"capacity": {"accounts": 0}}"#.to_owned(),
            "capacity.accounts",
            "1 to",
        ),
        (
            r#"{"capacity": {"accounts": 99999999999}}"#.to_owned(),
            "capacity.accounts",
            "1 to",
        ),
        ("{".to_owned(), "$", "EOF"),
        ("{} {}".to_owned(), "$", "trailing"),
        ("[]".to_owned(), "$", "an object"),
        (tiers(r#"["a", 1, [1, 2, 3, 4]]"#), "tiers[0]", "an object"),
        (r#"{"windows": []}"#.to_owned(), "windows", "an object"),
    ];
    for (json, path, says) in rows {
        let message = refused(&json);
        assert!(
            message.starts_with(&format!("{path}: ")),
            "{json}: {message}"
        );
        assert!(message.contains(says), "{json}: {message}");
    }
    let far = refused(r#"{"something_else": 1}"#);
    assert!(!far.contains("did you mean"), "{far}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_config_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}

/// A config with a feed that has this field for its own.
fn origins(list: &str) -> String {
    format!(r#"{{"cors": {{"origins": {list}}}}}"#)
}

fn feed(name: &str, value: &str) -> String {
    let mut feed = serde_json::json!({
        "cluster": "billing", "authority": "billing.internal", "path": "/accounts", "interval": "60s"
    });
    feed[name] = value.into();
    serde_json::json!({ "directory": feed }).to_string()
}

#[test]
fn a_feed_is_taken_as_it_is_written() {
    let config = parse(feed("path", "/v2/accounts?edge=1").as_bytes()).unwrap();
    let feed = config.feed.unwrap();
    assert_eq!(feed.endpoint.path, "/v2/accounts?edge=1");
    assert_eq!(feed.interval.as_millis(), 60_000);
    assert_eq!(parse(b"{}").unwrap().feed, None);
}

#[test]
fn headers_to_strip_are_those_of_the_identity_or_a_list() {
    let digest = r#"{"header": "x-api-key", "digest": true}"#;
    let with =
        |strip: &str| format!(r#"{{"account": [{digest}, {{"header": "x-account-id"}}]{strip}}}"#);
    let stripped = |json: &str| {
        let config = parse(json.as_bytes()).map_err(|error| error.to_string())?;
        Ok::<_, String>(config.strip)
    };
    let default = stripped(&with("")).unwrap();
    assert!(default.contains(&"x-account-id".to_owned()));
    assert!(!default.contains(&"x-api-key".to_owned()), "a credential");
    let listed = stripped(&with(r#", "strip_headers": ["X-Api-Key"]"#)).unwrap();
    assert_eq!(listed, ["x-api-key", "accept-encoding"]);
    let none = stripped(&with(r#", "strip_headers": false"#)).unwrap();
    assert_eq!(none, ["accept-encoding"]);
    for wrong in [r#", "strip_headers": 7"#, r#", "strip_headers": ["a b"]"#] {
        assert!(stripped(&with(wrong)).is_err(), "{wrong}");
    }
}
