//! The config check: the path, what is wrong, what is allowed.

use proptest::prelude::*;
use tiergate::config::parse;

pub fn refused(json: &str) -> String {
    parse(json.as_bytes()).expect_err(json).to_string()
}

pub fn tiers(tier: &str) -> String {
    format!(r#"{{"tiers": [{tier}]}}"#)
}

pub const LIMITS: &str = r#""limits": {"concurrency": 1, "rpm": 2, "tpm": 3, "tpd": "unlimited"}"#;

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

proptest! {
    #[test]
    fn any_bytes_are_a_config_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}

/// A config with a feed that has this field for its own.
pub fn feed(name: &str, value: &str) -> String {
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
