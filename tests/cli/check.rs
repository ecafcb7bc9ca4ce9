//! `tiergate check`: each broken config of `check/` with the findings beside it, and no error behind
//! another.
//!
//! `TIERGATE_BLESS=1` writes the findings anew; read the difference before it is committed.

use crate::{Ran, file, tiergate, tiergate_reads};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/check")
}

/// Checks a file of the folder, by its name alone.
fn check(name: &str) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["check", name])
        .current_dir(folder())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".txt")).collect();
    names.sort();
    names
}

#[test]
fn each_broken_config_has_the_findings_beside_it() {
    let names = names();
    let mut wrong = Vec::new();
    for name in &names {
        let ran = check(name);
        let said = format!("{}{}exit code {}\n", ran.out, ran.err, ran.code);
        let path = folder().join(format!("{name}.txt"));
        if std::env::var_os("TIERGATE_BLESS").is_some() {
            std::fs::write(&path, &said).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != said {
            wrong.push(format!("{name}:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(names.len() >= 55, "{} configs", names.len());
}

#[test]
fn each_finding_names_file_line_path_and_problem() {
    for name in names() {
        let path = folder().join(&name);
        let ran = tiergate(&["check", "--json", path.to_str().unwrap()]);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        for finding in findings {
            assert!(
                finding["file"].as_str().unwrap().ends_with(&name),
                "{finding}"
            );
            assert!(finding["line"].as_u64().unwrap() > 0, "{finding}");
            assert!(finding["column"].as_u64().unwrap() > 0, "{finding}");
            assert_ne!(finding["path"], "", "{finding}");
            assert_ne!(finding["problem"], "", "{finding}");
        }
        let errors = findings.iter().filter(|f| f["severity"] == "error").count();
        assert_eq!(report["errors"], errors, "{name}");
        let code = if ran.err.is_empty() {
            i32::from(errors > 0)
        } else {
            2
        };
        assert_eq!(ran.code, code, "{name}");
    }
}

/// A config that is right, and changes of it that are each one error.
const SOUND: &str = r#"{
  "namespace": "prod", "mode": "shadow", "on_fault": "deny",
  "tiers": [
    {"name": "free", "recharge": "1", "limits": {"concurrency": 1, "rpm": 3, "tpm": 5000, "tpd": 9000}},
    {"name": "paid", "recharge": "10", "limits": {"concurrency": 9, "rpm": 30, "tpm": 50000, "tpd": 90000}, "wait": "1s"}
  ],
  "account": [{"header": "x-account-id"}],
  "tier": [{"header": "x-account-tier"}, "directory"],
  "unknown_tier": "free",
  "windows": {"minute": "60s", "day": {"calendar": "+08:00"}},
  "tokens": {"completion": 512, "read_body": true, "include_usage": true},
  "headers": ["openai"],
  "jitter": "500ms",
  "admin": {"path": "/-/tiergate", "insecure": true},
  "load": {"from": "overload", "weights": {"free": 2}},
  "routes": [{"match": {"path": "/healthz"}, "limits": "none"}]
}"#;

/// The JSON pointer of a value, a wrong one, and the path that the finding has.
const ERRORS: [(&str, &str, &str); 20] = [
    ("/namespace", r#""a b""#, "namespace"),
    ("/mode", r#""on""#, "mode"),
    ("/on_fault", r#""denied""#, "on_fault"),
    ("/tiers/0/limits/rpm", "0", "tiers[0].limits.rpm"),
    ("/tiers/0/limits/tpm", r#""many""#, "tiers[0].limits.tpm"),
    ("/tiers/1/name", r#""b c""#, "tiers[1].name"),
    ("/tiers/1/limits/tpd", "-1", "tiers[1].limits.tpd"),
    ("/tiers/1/wait", r#""61s""#, "tiers[1].wait"),
    ("/account/0/header", r#""a b""#, "account[0].header"),
    ("/tier/1", r#""directry""#, "tier[1]"),
    ("/unknown_tier", r#""gold""#, "unknown_tier"),
    ("/windows/minute", r#""1ms""#, "windows.minute"),
    ("/windows/day/calendar", r#""8""#, "windows.day.calendar"),
    ("/tokens/completion", "1.5", "tokens.completion"),
    ("/headers/0", r#""opnai""#, "headers[0]"),
    ("/jitter", r#""2m""#, "jitter"),
    ("/admin/path", r#""x/""#, "admin.path"),
    ("/load/weights/free", "1001", "load.weights.free"),
    (
        "/routes/0/match/path",
        r#""healthz""#,
        "routes[0].match.path",
    ),
    ("/routes/0/limits", r#""all""#, "routes[0].limits"),
];

fn paths(ran: &Ran) -> Vec<String> {
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let mut paths: Vec<String> = findings
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| finding["path"].as_str().unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

fn broken_by(errors: &[(&str, &str, &str)]) -> (String, Vec<String>) {
    let mut config: Value = serde_json::from_str(SOUND).unwrap();
    for (pointer, wrong, _) in errors {
        let value = serde_json::from_str(wrong).unwrap();
        *config.pointer_mut(pointer).unwrap() = value;
    }
    let mut paths: Vec<_> = errors
        .iter()
        .map(|(_, _, path)| (*path).to_owned())
        .collect();
    paths.sort();
    (config.to_string(), paths)
}

#[test]
fn all_errors_together_are_all_found_and_no_other() {
    let sound = tiergate_reads(&["check", "-"], SOUND.as_bytes());
    assert_eq!(sound.code, 0, "{}", sound.out);
    let (config, expected) = broken_by(&ERRORS);
    let ran = tiergate_reads(&["check", "--json", "-"], config.as_bytes());
    assert_eq!(paths(&ran), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_errors_together_are_all_found_and_no_other(
        errors in prop::sample::subsequence(ERRORS.to_vec(), 1..=ERRORS.len())
    ) {
        let (config, expected) = broken_by(&errors);
        let ran = tiergate_reads(&["check", "--json", "-"], config.as_bytes());
        prop_assert_eq!(paths(&ran), expected);
    }
}

#[test]
fn several_files_and_standard_input_are_one_report() {
    let sound = file("sound.json", SOUND);
    let broken = file("broken.json", r#"{"mode": "on"}"#);
    let ran = tiergate_reads(&["check", &sound, "-", &broken], br#"{"errors": "auto"}"#);
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("standard input: 1 config, no errors"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("broken.json: 1 config, 1 error"),
        "{}",
        ran.out
    );
    let ran = tiergate(&["check", "--json", &sound]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let counts = json!({"configs": 1, "errors": 0, "warnings": 0, "whole": true, "unread": [],
        "findings": []});
    assert_eq!((ran.code, report), (0, counts));
}

#[test]
fn a_file_that_can_not_be_read_exits_2_and_the_others_are_checked() {
    let broken = file("also_broken.json", r#"{"mode": "on"}"#);
    let binary = file("binary.json", b"\xff\xfe{}");
    let ran = tiergate(&["check", "/nowhere.json", &binary, &broken]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("can't read /nowhere.json"), "{}", ran.err);
    assert!(
        ran.err.contains("binary.json: not UTF-8 text"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("also_broken.json:1:10"), "{}", ran.out);

    // A program that reads the report sees it too.
    let ran = tiergate(&["check", "--json", "/nowhere.json", &broken]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["whole"]), (2, &json!(false)));
    let unread = report["unread"][0].as_str().unwrap();
    assert!(unread.contains("can't read /nowhere.json"), "{unread}");
}

#[test]
fn what_acts_on_a_terminal_is_not_drawn() {
    let hostile = file("hostile.json", "{\"mode\": \"\u{9b}2J\u{202e}\"}\n");
    let ran = tiergate(&["check", &hostile]);
    assert_eq!(ran.code, 1);
    let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!ran.out.contains(acts), "{:?}", ran.out);
}

/// The YAML files below a folder of the repository.
fn examples(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            examples(&path, found);
        } else if path.extension().is_some_and(|end| end == "yaml") {
            found.push(path);
        }
    }
}

/// The files under `envoy/` without a config of the filter.
const WITHOUT_CONFIG: [&str; 12] = [
    "alerts",
    "authentication",
    "client_traffic",
    "envoy_proxy",
    "front",
    "front_keys",
    "labels",
    "patch_policy",
    "prometheus",
    "routes",
    "security",
    "telemetry",
];

#[test]
fn the_examples_of_the_repository_have_no_error() {
    let mut found = Vec::new();
    examples(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy"),
        &mut found,
    );
    let mut configs = 0;
    for path in &found {
        let ran = tiergate(&["check", "--json", path.to_str().unwrap()]);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(report["errors"], 0, "{}", ran.out);
        configs += report["configs"].as_u64().unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let has_filter = !WITHOUT_CONFIG.contains(&name);
        assert_eq!(ran.code == 0, has_filter, "{}", path.display());
    }
    assert!(configs >= 14, "{configs} configs");
}

/// One config in each way in which YAML writes it.
#[test]
fn a_place_in_a_text_is_that_in_the_file() {
    let any = "vm_config: {}\nname: tiergate\nconfiguration:\n  \
               \"@type\": type.googleapis.com/google.protobuf.StringValue\n  value: ";
    for (value, line, column) in [
        ("'{\"mode\": \"on\"}'", 5, 20),
        ("\"{\\\"mode\\\": \\\"on\\\"}\"", 5, 23),
        (
            "'{\"usage_path\": \"/\u{5ba2}''s\", \"mode\": \"on\"}'",
            5,
            43,
        ),
        ("|\n    {\n      \"mode\": \"on\"\n    }\n", 7, 15),
        (">\n    {\n    \"mode\":\n    \"on\"}\n", 8, 5),
        (
            "|2-\n      \u{5ba2}\n"
                .replace('\u{5ba2}', "{\"mode\": \"on\"}")
                .as_str(),
            6,
            16,
        ),
    ] {
        let yaml = format!("{any}{value}");
        let ran = tiergate_reads(&["check", "--json", "-"], yaml.as_bytes());
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let mode = findings.iter().find(|finding| finding["path"] == "mode");
        let mode = mode.unwrap_or_else(|| panic!("{yaml}: {}", ran.out));
        assert_eq!(
            (&mode["line"], &mode["column"]),
            (&json!(line), &json!(column)),
            "{yaml}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_checked_or_refused(text in "[-:{}\\[\\]\"', a-z0-9\n|>&*#]{0,80}") {
        let ran = tiergate_reads(&["check", "-"], text.as_bytes());
        prop_assert!((0..=2).contains(&ran.code), "{}: {}", ran.code, ran.err);
    }
}

#[test]
fn aliases_that_multiply_are_refused_early() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let alias = format!("*a{}", i - 1);
        let list = vec![alias; 9].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    let ran = tiergate_reads(&["check", "-"], bomb.as_bytes());
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("too many values"), "{}", ran.out);
}
