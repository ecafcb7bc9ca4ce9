//! `tiergate diff`: limits and settings that change, and what becomes of counters.

use crate::{file, tiergate, tiergate_reads};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const OLD: &str = r#"{
  "tiers": [
    {"name": "free", "recharge": "1", "limits": {"concurrency": 1, "rpm": 3, "tpm": 5000, "tpd": 9000}},
    {"name": "paid", "recharge": "10", "limits": {"concurrency": 9, "rpm": 30, "tpm": 50000, "tpd": "unlimited"}},
    {"name": "gone", "recharge": "99", "limits": {"concurrency": 9, "rpm": 30, "tpm": 50000, "tpd": "unlimited"}}
  ],
  "admin": {"path": "/-/tiergate", "token_sha256": "2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea"}
}"#;

const NEW: &str = r#"{
  "namespace": "prod",
  "tiers": [
    {"name": "free", "recharge": "1", "limits": {"concurrency": 2, "rpm": 6, "tpm": "unlimited", "tpd": 9000,
      "burst": {"unit": "requests", "per": "10s", "limit": 5}}},
    {"name": "paid", "recharge": "20", "wait": "1s", "mode": "shadow",
      "limits": {"concurrency": 9, "rpm": 30, "tpm": 50000, "tpd": 1000000}},
    {"name": "large", "recharge": "99", "limits": {"concurrency": 9, "rpm": 30, "tpm": 50000, "tpd": "unlimited"}}
  ],
  "windows": {"minute": "30s", "day": {"rolling": "24h"}},
  "tokens": {"completion": 1024, "weights": {"cached": 0.1}},
  "admin": {"path": "/-/tiergate", "token_sha256": "3a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea"}
}"#;

#[test]
fn each_change_says_what_becomes_of_counters() {
    let (old, new) = (file("diff_old.json", OLD), file("diff_new.json", NEW));
    let ran = tiergate(&["diff", &old, &new]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let expected = r#"tier free
  burst        none -> 5 requests in 10s
                 starts from what is counted of its unit in that window, else at zero
  concurrency  1 concurrent requests -> 2 concurrent requests
                 what is counted stays
  rpm          3 requests per minute -> 6 requests per minute
                 what is counted stays
  tpm          5,000 tokens per minute -> unlimited
                 is not counted any more
tier paid
  recharge  $10 -> $20
  wait      none -> 1000 ms
  mode      none -> shadow
  tpd       unlimited -> 1,000,000 tokens per day
              starts from what is counted of its unit in that window, else at zero
tier large: new
  recharge     $99
  concurrency  9 concurrent requests
  rpm          30 requests per minute
  tpd          unlimited
  tpm          50,000 tokens per minute
tier gone: gone; its accounts need another
  recharge     $99
  concurrency  9 concurrent requests
  rpm          30 requests per minute
  tpd          unlimited
  tpm          50,000 tokens per minute
settings
  admin.token_sha256  (secret) -> (secret)
  namespace           tiergate -> prod
                        all begins anew under the new prefix: counters, leases, directory, lowered limits
  tokens.weights      {"cache_write":1,"cached":1,"input":1,"output":1} -> {"cached":0.1}
                        what is counted stays; new requests count by the new weights
  windows.day         {"calendar":"+00:00"} -> {"rolling":"24h"}
                        days, weeks and months begin anew
  windows.minute      60s -> 30s
                        what is counted stays, and counts for the new length
"#;
    assert_eq!(ran.out, expected);
}

#[test]
fn json_has_the_same() {
    let (old, new) = (file("json_old.json", OLD), file("json_new.json", NEW));
    let ran = tiergate(&["diff", "--json", &old, &new]);
    let changes: Value = serde_json::from_str(&ran.out).unwrap();
    let free = &changes[0]["tiers"][0];
    assert_eq!(
        (&free["tier"], &free["fate"]),
        (&json!("free"), &json!("changed"))
    );
    assert_eq!(
        free["limits"][0],
        json!({"name": "burst", "model": null, "old": null,
            "new": "5 requests in 10s", "counters": "starts from what is counted of its unit in that window, else at zero"})
    );
    let settings = changes[0]["settings"].as_array().unwrap();
    let of = |path: &str| settings.iter().find(|s| s["path"] == path).cloned();
    let day = of("windows.day").unwrap();
    assert_eq!(day["old"], json!({"calendar": "+00:00"}));
    assert_eq!(day["counters"], "days, weeks and months begin anew");
    assert_eq!(of("admin.token_sha256").unwrap()["new"], "(secret)");
    assert_eq!(of("tokens.completion"), None, "a default in so many words");
}

#[test]
fn the_same_config_in_another_form_is_no_change() {
    let written =
        r#"{"mode": "enforce", "windows": {"day": {"calendar": "+00:00"}}, "routes": null}"#;
    let yaml = "vm_config: {}\nname: tiergate\n";
    let (old, new) = (file("same.json", written), file("same.yaml", yaml));
    let ran = tiergate(&["diff", &old, &new]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "no change\n"));
    let ran = tiergate_reads(&["diff", &old, "-"], b"{}");
    assert_eq!((ran.code, ran.out.as_str()), (0, "no change\n"));
}

#[test]
fn configs_that_can_not_be_compared_say_so() {
    let sound = file("diff_sound.json", "{}");
    let broken = file("diff_broken.json", r#"{"mode": "on"}"#);
    let two = "- {name: tiergate, vm_config: {}}\n- {name: tiergate, vm_config: {}}\n";
    let two = file("diff_two.yaml", two);
    for (args, said) in [
        (
            [&sound, &broken],
            "has a config with errors: see tiergate check",
        ),
        (
            [&sound, &"/nowhere.json".to_owned()],
            "can't read /nowhere.json",
        ),
        ([&two, &sound], "they can't be compared one by one"),
    ] {
        let ran = tiergate(&["diff", args[0], args[1]]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

/// The effect on counters that the diff shows for each setting that changes.
fn effects(old: &Value, new: &Value) -> Vec<(String, Option<String>)> {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let run = RUN.fetch_add(1, Relaxed);
    let old = file(&format!("effects_{run}.json"), old.to_string());
    let ran = tiergate_reads(&["diff", "--json", &old, "-"], new.to_string().as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{new}");
    let changes: Value = serde_json::from_str(&ran.out).unwrap();
    let settings = changes[0]["settings"].as_array().unwrap();
    let effect = |s: &Value| s["counters"].as_str().map(str::to_owned);
    let path = |s: &Value| s["path"].as_str().unwrap().to_owned();
    settings.iter().map(|s| (path(s), effect(s))).collect()
}

#[test]
fn a_change_of_the_fleet_says_which_counters_begin_anew() {
    let fleet = |more: Value| {
        let mut fleet = json!({"cluster": "c", "authority": "a"});
        let members = more.as_object().unwrap().clone();
        fleet.as_object_mut().unwrap().extend(members);
        json!({"fleet": fleet})
    };
    let usual = fleet(json!({}));
    for (old, new, path, said) in [
        (
            json!({}),
            usual.clone(),
            "fleet",
            "the store grants from its own counters",
        ),
        (
            usual.clone(),
            json!({}),
            "fleet",
            "the store's counters limit no more",
        ),
        (
            fleet(json!({"key": "0123456789abcdef"})),
            fleet(json!({"key": "another-0123456789"})),
            "fleet.key",
            "the store's counters begin anew",
        ),
        (
            usual.clone(),
            fleet(json!({"key": "0123456789abcdef"})),
            "fleet.key",
            "the store's counters begin anew",
        ),
        (
            usual.clone(),
            fleet(json!({"cluster": "d"})),
            "fleet.cluster",
            "another store",
        ),
        (
            usual.clone(),
            fleet(json!({"authority": "d"})),
            "fleet.authority",
            "another store",
        ),
        (
            usual.clone(),
            fleet(json!({"edges": 3})),
            "fleet.edges",
            "counters stay",
        ),
        (
            usual.clone(),
            fleet(json!({"on_failure": "deny"})),
            "fleet.on_failure",
            "counters stay",
        ),
        (
            usual.clone(),
            fleet(json!({"after_loss": "strict"})),
            "fleet.after_loss",
            "counters stay",
        ),
        (
            usual.clone(),
            fleet(json!({"cut_off": "reset"})),
            "fleet.cut_off",
            "counters stay",
        ),
    ] {
        let changed = effects(&old, &new);
        assert_eq!(changed.len(), 1, "{new}");
        assert_eq!(changed[0].0, path);
        let effect = changed[0].1.clone().unwrap_or_default();
        assert!(effect.contains(said), "{path}: {effect}");
    }
    let sync = effects(&usual, &fleet(json!({"sync": "500ms"})));
    assert_eq!(sync, [("fleet.sync".to_owned(), None)]);
}

#[test]
fn in_a_fleet_another_window_begins_anew_at_the_store() {
    let in_fleet =
        |windows: Value| json!({"fleet": {"cluster": "c", "authority": "a"}, "windows": windows});
    for windows in [
        json!({"minute": "30s"}),
        json!({"day": {"calendar": "+08:00"}}),
        // The same days, by another name, which is a part of the meters' names.
        json!({"day": {"calendar": "UTC"}}),
        json!({"day": {"rolling": "24h"}}),
    ] {
        let changed = effects(&in_fleet(json!({})), &in_fleet(windows.clone()));
        let effect = changed[0].1.clone().unwrap_or_default();
        assert!(effect.contains("begin anew at the store"), "{effect}");
    }
    let alone = effects(&json!({}), &json!({"windows": {"minute": "30s"}}));
    assert!(!alone[0].1.clone().unwrap().contains("store"), "{alone:?}");
}

#[test]
fn a_change_of_the_capacity_says_what_the_ledger_does() {
    let grows = "the ledger grows, and counters stay";
    let keeps = "the ledger keeps its size, and counters stay";
    let refused =
        "a process refuses this config, unless it had the size before; then counters stay";
    let dropped = "the ledger keeps its size, and counters stay; a new process has 65,536";
    let from_none = "a ledger of 65,536 accounts, as a new process has it, ";
    let larger = "; a larger one refuses this config, unless the process had the size before";
    let added_large = format!("{from_none}grows, and counters stay{larger}");
    let added_equal = format!("{from_none}keeps its size, and counters stay{larger}");
    let added_small =
        format!("{from_none}refuses this config, unless the process had the size before");
    for (old, new, said) in [
        (json!(1000), json!(2000), grows),
        (json!(1000), json!(2000.0), grows),
        (json!(2000), json!(1000), refused),
        (json!(2000), json!(1999), keeps),
        (json!(65536), json!(32768), refused),
        (json!(1000), Value::Null, dropped),
        (Value::Null, json!(1000), &added_small),
        (Value::Null, json!(65535), &added_equal),
        (Value::Null, json!(100_000), &added_large),
    ] {
        let config =
            |accounts: &Value| json!({"capacity": {"directory": 1000, "accounts": accounts}});
        let expected = ("capacity.accounts".to_owned(), Some(said.to_owned()));
        assert_eq!(
            effects(&config(&old), &config(&new)),
            [expected],
            "{old} {new}"
        );
    }
    let from_nothing = effects(
        &json!({}),
        &json!({"capacity": {"accounts": 32768, "directory": 9}}),
    );
    let directory = "the directory keeps its size until Envoy restarts";
    assert_eq!(
        from_nothing,
        [
            ("capacity.accounts".to_owned(), Some(added_small)),
            ("capacity.directory".to_owned(), Some(directory.to_owned())),
        ]
    );
}

#[test]
fn standard_input_is_either_side() {
    let shadow = file("diff_stdin.json", r#"{"mode": "shadow"}"#);
    let ran = tiergate_reads(&["diff", "-", &shadow], b"{}");
    let expected = "settings\n  mode  enforce -> shadow\n          counters stay\n";
    assert_eq!((ran.code, ran.out.as_str()), (1, expected), "{}", ran.err);
    let ran = tiergate_reads(&["diff", "-", &shadow], br#"{"mode": "on"}"#);
    assert_eq!(ran.code, 2);
    let said = "tiergate: standard input has a config with errors: see tiergate check -\n";
    assert_eq!(ran.err, said);
}
