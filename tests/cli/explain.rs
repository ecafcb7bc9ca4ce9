//! `tiergate explain`: the published table, configs of one's own, and configs that are refused.

use crate::{file, tiergate, tiergate_reads};
use serde_json::{Value, json};

fn explained(args: &[&str]) -> Value {
    let ran = tiergate(&[&["explain", "--json"], args].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_recharge_gives_the_published_tier() {
    for (recharge, tier, missing) in [
        ("0.99", None, Some("0.01")),
        ("1", Some("tier0"), Some("9.00")),
        ("4.99", Some("tier0"), Some("5.01")),
        ("5", Some("tier0"), Some("5.00")),
        ("9.99", Some("tier0"), Some("0.01")),
        ("10", Some("tier1"), Some("10.00")),
        ("20", Some("tier2"), Some("80.00")),
        ("100", Some("tier3"), Some("900.00")),
        ("999.99", Some("tier3"), Some("0.01")),
        ("1000", Some("tier4"), Some("2000.00")),
        ("3000", Some("tier5"), None),
    ] {
        let explained = explained(&["--recharge", recharge]);
        assert_eq!(explained["tier"]["name"].as_str(), tier, "{recharge}");
        assert_eq!(explained["next"]["missing"].as_str(), missing, "{recharge}");
    }
}

#[test]
fn the_table_has_the_tier_its_limits_and_the_next_tier() {
    let ran = tiergate(&["explain", "--recharge", "20"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let table = "\
recharge     $20
tier         tier2, from $20
concurrency  100 concurrent requests
RPM          500 requests per minute
TPM          3,000,000 tokens per minute
TPD          unlimited
next tier    tier3, from $100: $80 missing
";
    assert_eq!(ran.out, table);
    let last = tiergate(&["explain", "--tier", "tier5"]).out;
    assert!(
        last.contains("next tier    none: this is the last"),
        "{last}"
    );
    let below = tiergate(&["explain", "--recharge", "0.99"]).out;
    assert!(
        below.contains("none: refused with recharge_required"),
        "{below}"
    );
    assert!(below.contains("tier0, from $1: $0.01 missing"), "{below}");
}

#[test]
fn json_has_the_same() {
    let tier = json!({"name": "tier0", "recharge": "1.00", "limits":
        {"concurrency": 1, "rpm": 3, "tpm": 500_000, "tpd": 1_500_000}});
    let next = json!({"name": "tier1", "recharge": "10.00", "missing": "9.00"});
    assert_eq!(
        explained(&["--tier", "tier0"]),
        json!({"tier": tier, "next": next})
    );
    assert_eq!(
        explained(&["--recharge", "0"])["tier"],
        Value::Null,
        "below the first tier"
    );
}

#[test]
fn a_config_of_ones_own_is_what_counts() {
    let config = r#"{"tiers": [{"name": "only", "recharge": 4.99, "wait": "1s",
        "limits": {"concurrency": 1, "rpm": "unlimited", "tpm": 3, "tpd": 4}}]}"#;
    let path = file("own.json", config);
    let table = "\
recharge     $5
tier         only, from $4.99
concurrency  1 concurrent requests
RPM          unlimited
TPM          3 tokens per minute
TPD          4 tokens per day
wait         up to 1000 ms over its concurrency
next tier    none: this is the last
";
    let args = ["explain", "--recharge", "5", "--config"];
    assert_eq!(tiergate(&[&args[..], &[&path]].concat()).out, table);
    let piped = tiergate_reads(&[&args[..], &["-"]].concat(), config.as_bytes());
    assert_eq!(piped.out, table);
}

#[test]
fn a_config_that_is_refused_says_where_and_what_is_allowed() {
    let tier = r#"{"tiers": [{"name": "a", "recharge": "1",
        "limits": {"concurrency": 1, "rpm": 0, "tpm": 3, "tpd": 4}}]}"#;
    for (config, said) in [
        (tier, "config at tiers[0].limits.rpm: "),
        (r#"{"mode": "on"}"#, "config at mode: "),
        (r#"{"tiers": ["#, "config at tiers"),
        ("mode: shadow", "config at $: "),
    ] {
        let path = file("refused.json", config);
        let ran = tiergate(&["explain", "--recharge", "20", "--config", &path]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{config}");
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(ran.err.contains("refused.json"), "{}", ran.err);
    }
}

#[test]
fn arguments_that_can_not_be_used_say_so() {
    for (args, said) in [
        (&["explain"][..], "--recharge"),
        (&["explain", "--recharge", "1e3"], "not an amount in USD"),
        (&["explain", "--recharge", "-0.001"], "not an amount in USD"),
        (&["explain", "--recharge", "NaN"], "not an amount in USD"),
        (&["explain", "--recharge", "٣"], "not an amount in USD"),
        (
            &["explain", "--recharge", "1", "--tier", "tier0"],
            "cannot be used",
        ),
        (
            &["explain", "--tier", "gold"],
            "no tier \"gold\": the config has tier0, tier1",
        ),
        (
            &["explain", "--tier", "tier0", "--config", "/nowhere.json"],
            "can't read /nowhere.json",
        ),
    ] {
        let ran = tiergate(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
}
