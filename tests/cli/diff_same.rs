//! `tiergate diff` of configs that mean the same in other words, and of configs that do not.

use crate::schema::{files, full, pointers};
use crate::{file, tiergate, tiergate_reads};
use serde_json::{Value, json};
use tiergate::config::json_schema::defaults;
use tiergate::config::{Config, parse};

/// Compares two configs: the exit code and the output.
fn compared(old: &Value, new: &Value) -> (i32, String) {
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let name = format!("same_{process}_{thread:?}.json");
    let old = file(&name, old.to_string());
    let ran = tiergate_reads(&["diff", &old, "-"], new.to_string().as_bytes());
    assert_eq!(ran.err, "", "{new}");
    (ran.code, ran.out)
}

fn assert_same(one: &Value, other: &Value) {
    for (old, new) in [(one, other), (other, one), (one, one)] {
        assert_eq!(
            compared(old, new),
            (0, "no change\n".to_owned()),
            "{old} {new}"
        );
    }
}

/// A config with one field, by its path.
fn with_field(path: &str, value: Value) -> Value {
    let names = path.rsplit('.');
    names.fold(value, |value, name| json!({ name: value }))
}

#[test]
fn a_default_that_is_written_out_is_no_change() {
    for (path, default) in defaults() {
        assert_same(&json!({}), &with_field(path, default));
    }
    let all = tiergate(&["config", "--defaults"]).out;
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_same(&json!({}), &all);
    for (name, default) in all.as_object().unwrap() {
        assert_same(&json!({}), &json!({ name: default }));
        let mut others = all.clone();
        others.as_object_mut().unwrap().remove(name);
        assert_same(&others, &all);
    }
}

#[test]
fn a_null_is_an_absent_field() {
    for (path, _) in defaults()
        .into_iter()
        .filter(|(path, _)| *path != "voucher")
    {
        assert_same(&json!({}), &with_field(path, Value::Null));
    }
}

#[test]
fn another_spelling_is_no_change() {
    let feed = |more: Value| {
        let mut feed = json!({"cluster": "c", "authority": "a", "path": "/f", "interval": "60s"});
        feed.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "directory": feed })
    };
    let admin = |more: Value| {
        let mut token = json!({"name": "n", "sha256": "2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea"});
        token
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"mode": "shadow", "admin": {"path": "/-/tiergate", "tokens": [token]}})
    };
    for (one, other) in [
        (
            json!({}),
            json!({"windows": {}, "tokens": {}, "capacity": {}}),
        ),
        (json!({}), json!({"windows": {"minute": "1m"}})),
        (
            json!({"windows": {"hour": "60m"}}),
            json!({"windows": {"hour": "3600s"}}),
        ),
        (json!({}), json!({"windows": {"day": {"calendar": "UTC"}}})),
        (
            json!({"windows": {"day": {"rolling": "24h"}}}),
            json!({"windows": {"day": {"rolling": "1d", "calendar": null}}}),
        ),
        (json!({}), json!({"tokens": {"weights": {"cached": 1}}})),
        (
            json!({}),
            json!({"tokens": {"weights": {}, "prompt": 1024.0}}),
        ),
        (
            json!({"tokens": {"cached": "free"}}),
            json!({"tokens": {"weights": {"cached": 0}}}),
        ),
        (json!({}), json!({"voucher": {"at": 5, "amount": 5}})),
        (
            json!({}),
            json!({"voucher": {"at": "5.00", "amount": "5.0"}}),
        ),
        (json!({}), json!({"on_fault": {}})),
        (json!({}), json!({"on_fault": {"host": "allow"}})),
        (
            json!({"on_fault": "deny"}),
            json!({"on_fault": {"no_slot": "deny", "lost_races": "deny", "host": "deny", "newer_layout": "deny"}}),
        ),
        (
            json!({"capacity": {"accounts": 1}}),
            json!({"capacity": {"accounts": 1.0}}),
        ),
        (feed(json!({})), feed(json!({"removes": false}))),
        (feed(json!({})), feed(json!({"interval": "1m"}))),
        (admin(json!({})), admin(json!({"read_only": false}))),
        (
            json!({"fleet": {"cluster": "c", "authority": "a"}}),
            json!({"fleet": {"cluster": "c", "authority": "a", "sync": "250ms", "on_failure": "share", "edges": null}}),
        ),
        (
            json!({"account": [{"header": "X-Key"}]}),
            json!({"account": [{"header": "x-key"}]}),
        ),
    ] {
        assert_same(&one, &other);
    }
}

#[test]
fn a_spelling_that_changes_beside_a_setting_is_not_shown() {
    let old = json!({"tokens": {"cached": "free"}, "windows": {"minute": "60s"}});
    let new =
        json!({"tokens": {"weights": {"cached": 0}, "prompt": 5}, "windows": {"minute": "1m"}});
    let expected = "settings\n  tokens.prompt  1024 -> 5\n".to_owned();
    assert_eq!(compared(&old, &new), (1, expected));
    let new = json!({"tokens": {"weights": {"cached": 0, "output": 2}}});
    let (_, out) = compared(&old, &new);
    let weights = r#"{"cache_write":1,"cached":0,"input":1,"output":1} -> {"cached":0,"output":2}"#;
    assert!(out.contains(weights), "{out}");
}

#[test]
fn a_whole_config_in_the_place_of_an_admin_alone_is_a_change() {
    let admin = json!({"admin": {"path": "/-/tiergate", "insecure": true}});
    let mut whole = admin.clone();
    whole["mode"] = json!("enforce");
    let (code, out) = compared(&admin, &whole);
    assert_eq!(code, 1);
    assert!(
        out.contains("settings\n  admin  alone -> in a whole config\n"),
        "{out}"
    );
    assert!(
        out.contains("the admin API may answer by this config"),
        "{out}"
    );
    let (code, out) = compared(&whole, &admin);
    assert_eq!(code, 1);
    assert!(
        out.contains("the admin API answers by another config"),
        "{out}"
    );
}

/// Each field of the schema, in a config of its own, with values of its type that the parser takes.
#[test]
fn no_change_is_said_where_the_parser_reads_the_same_alone() {
    let words = [
        "shadow", "deny", "reserve", "adaptive", "free", "auto", "tier0", "30s", "/x", "refuse",
    ];
    let words = words.iter().map(|word| json!(word));
    let others = [
        json!(true),
        json!(false),
        json!(7),
        json!(["x-a"]),
        json!([]),
        json!(["ietf"]),
    ];
    let values: Vec<Value> = words.chain(others).collect();
    let nothing = meaning(&json!({})).unwrap();
    let mut changes = 0;
    for (path, _) in defaults() {
        for value in &values {
            let config = with_field(path, value.clone());
            let Some(meant) = meaning(&config) else {
                continue;
            };
            let is_change = meant != nothing;
            changes += usize::from(is_change);
            let (code, out) = compared(&json!({}), &config);
            assert_eq!(code == 1, is_change, "{config} {out}");
            assert_eq!(
                out.contains(&format!("  {path}  ")),
                is_change,
                "{config} {out}"
            );
        }
    }
    assert!(changes > 40, "{changes}");
}

#[test]
fn each_config_of_the_examples_is_itself() {
    let all = files("envoy", "yaml");
    assert!(all.len() > 10);
    for path in all {
        let path = path.to_str().unwrap();
        let ran = tiergate(&["diff", path, path]);
        let is_same = ran
            .out
            .lines()
            .all(|line| line == "no change" || line.starts_with("config "));
        assert!(
            ran.code == 2 || ran.code == 0 && is_same,
            "{path} {}",
            ran.out
        );
    }
}

/// A full config with another value, or none, in each place that has one.
fn neighbours() -> Vec<Value> {
    let full = full();
    let mut all = Vec::new();
    pointers(&full, "", &mut all);
    let others = [
        json!(null),
        json!(true),
        json!(false),
        json!(1),
        json!(64.0),
        json!(0.5),
        json!("1m"),
    ];
    let words = [
        "60s", "5.00", "x-tokens", "local", "share", "refuse", "free", "enforce", "allow", "x",
    ];
    let others: Vec<Value> = others.into_iter().chain(words.map(Value::from)).collect();
    let mut found = Vec::new();
    for pointer in all.iter().filter(|pointer| !pointer.is_empty()) {
        let written = full.pointer(pointer).unwrap();
        let kind = std::mem::discriminant(written);
        let fitting = |other: &&Value| other.is_null() || std::mem::discriminant(*other) == kind;
        for other in others.iter().filter(fitting) {
            let mut config = full.clone();
            *config.pointer_mut(pointer).unwrap() = other.clone();
            found.push(config);
        }
        let (around, name) = pointer.rsplit_once('/').unwrap();
        let mut config = full.clone();
        if let Some(Value::Object(members)) = config.pointer_mut(around) {
            members.remove(name);
            found.push(config);
        }
    }
    let is_taken = |config: &Value| parse(config.to_string().as_bytes()).is_ok();
    found.retain(is_taken);
    found
}

/// Returns what the parser reads, without the text.
fn meaning(config: &Value) -> Option<Config> {
    let mut config = parse(config.to_string().as_bytes()).ok()?;
    (config.digest, config.shareable) = (String::new(), String::new());
    Some(config)
}

/// Compares many pairs in one run: the changes of each.
fn all_compared(name: &str, old: &[Value], new: &[Value]) -> Vec<Value> {
    let lines = |all: &[Value]| {
        all.iter()
            .map(|one| format!("---\n{one}\n"))
            .collect::<String>()
    };
    let (old, new) = (lines(old), lines(new));
    let old = file(&format!("{name}_old.yaml"), old);
    let new = file(&format!("{name}_new.yaml"), new);
    let ran = tiergate(&["diff", "--json", &old, &new]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn what_the_parser_tells_apart_is_a_change_wherever_it_stands() {
    let changed = neighbours();
    let full = vec![full(); changed.len()];
    let meant = meaning(&full[0]).unwrap();
    let is_same = |config: &Value| meaning(config).unwrap() == meant;
    let fewer: Vec<Value> = changed.iter().step_by(4).cloned().collect();
    let there = all_compared("there", &full, &changed);
    let back = all_compared("back", &fewer, &full[..fewer.len()]);
    assert_eq!((there.len(), back.len()), (changed.len(), fewer.len()));
    let mut same = 0;
    for (config, changes) in changed.iter().chain(&fewer).zip(there.iter().chain(&back)) {
        let is_same = is_same(config);
        same += usize::from(is_same);
        let is_empty = |of: &str| changes[of].as_array().unwrap().is_empty();
        let is_shown = !is_empty("tiers") || !is_empty("settings");
        assert_eq!(is_shown, !is_same, "{config} {changes}");
        let settings = changes["settings"].as_array().unwrap();
        let differs = |s: &Value| s["old"] != s["new"] || s["new"] == "(secret)";
        assert!(settings.iter().all(differs), "{changes}");
    }
    assert!(
        same > 20 && changed.len() > 300,
        "{same} of {}",
        changed.len()
    );
}
