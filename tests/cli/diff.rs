//! `tiergate diff`: limits and settings that change, and what becomes of counters.

use crate::{file, tiergate, tiergate_reads};
use serde_json::{Value, json};

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
