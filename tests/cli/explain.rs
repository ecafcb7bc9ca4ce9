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

/// A WasmPlugin of Istio with these tiers.
fn wasm_plugin(name: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{name: tiergate}}
spec:
  url: oci://registry.example.com/tiergate
  pluginConfig:
    tiers:
    - name: {name}
      limits: {{concurrency: 1, rpm: 2, tpm: 3000, tpd: unlimited}}
"
    )
}

#[test]
fn a_config_is_read_as_tiergate_check_does_it() {
    let plugin = wasm_plugin("gold");
    let path = file("explain-plugin.yaml", &plugin);
    let args = ["explain", "--tier", "gold", "--config"];
    let ran = tiergate(&[&args[..], &[&path]].concat());
    assert!(ran.out.contains("2 requests per minute"), "{}", ran.err);
    let piped = tiergate_reads(&[&args[..], &["-"]].concat(), plugin.as_bytes());
    assert_eq!((piped.code, piped.out), (0, ran.out));

    let log = "[2026-01-01T00:00:00.000Z] \"GET /v1 HTTP/1.1\" 200 - 0 0 0 0 \"-\" \"-\" \"-\" \"acme\"\n";
    let log = file("explain.log", log);
    let simulate = ["simulate", &log, "--account", "authority", "--config"];
    let ran = tiergate_reads(&[&simulate[..], &["-"]].concat(), plugin.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("gold  enforce"), "{}", ran.out);
    assert_eq!(tiergate(&[&simulate[..], &[&path]].concat()).out, ran.out);
    let ran = tiergate(&["simulate", "-", "--config", "-"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("standard input can't be a log and the config"),
        "{}",
        ran.err
    );
}

#[test]
fn a_file_without_one_sound_config_says_so() {
    let two = wasm_plugin("gold") + "---\n" + &wasm_plugin("iron");
    let wrong = wasm_plugin("gold").replace("rpm: 2", "rpm: 0");
    let log = file("explain-any.log", "");
    for (text, said) in [
        (
            two.as_str(),
            "several.yaml has 2 configs: write the one that is meant into a file of its own",
        ),
        (&wrong, "several.yaml: config at tiers[0].limits.rpm: "),
        ("kind: Service\n", "several.yaml: no tiergate config found"),
        ("a: [\n", "several.yaml: config at $: not YAML: "),
    ] {
        let path = file("several.yaml", text);
        for args in [&["explain", "--tier", "gold"][..], &["simulate", &log]] {
            let ran = tiergate(&[args, &["--config", &path]].concat());
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{text}");
            assert!(ran.err.contains(said), "{}", ran.err);
        }
    }
}

/// go-yaml merges in the order of the text, so a member before `<<` gives way to the merged one.
#[test]
fn a_merge_key_of_kubernetes_replaces_what_stands_before_it() {
    let plugin = |limits: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: tiergate}}\nspec:\n  \
             pluginConfig:\n    tiers:\n    - name: free\n      limits: &free {{concurrency: 1, rpm: 3, tpm: 5000, \
             tpd: unlimited}}\n    - name: paid\n      limits: {limits}\n"
        )
    };
    for (limits, rpm) in [
        ("{rpm: 20, <<: *free}", "3 requests"),
        ("{<<: *free, rpm: 20}", "20 requests"),
    ] {
        let config = file("merge.yaml", plugin(limits));
        let ran = tiergate(&["explain", "--tier", "paid", "--config", &config]);
        assert!(ran.out.contains(rpm), "{limits}: {} {}", ran.out, ran.err);
    }
}
