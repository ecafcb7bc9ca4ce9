//! Ends of standard output: a reader that leaves early, and a device that is full.

use crate::file;
use crate::usage::{NEW_YEAR, states, text_line};
use std::fs::File;
use std::process::{Command, Stdio};

/// Runs tiergate with a closed standard output. Returns the exit code and the text of standard error.
fn unread(args: &[&str]) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    run(args, writer.into())
}

fn run(args: &[&str], out: Stdio) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(out)
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), err)
}

/// Each command that prints, with its own exit code.
fn commands() -> Vec<(Vec<String>, i32)> {
    let good = file("output-good.json", "{}");
    let other = file("output-other.json", r#"{"mode": "shadow"}"#);
    let bad = file("output-bad.json", r#"{"mode": "on"}"#);
    let log = file("output.log", text_line(&states("acme", NEW_YEAR, 431)));
    let words = |words: &str| words.split(' ').map(str::to_owned).collect();
    [
        ("schema".to_owned(), 0),
        ("preset kimi".to_owned(), 0),
        ("config --defaults".to_owned(), 0),
        ("completions bash".to_owned(), 0),
        ("explain --recharge 20".to_owned(), 0),
        ("explain --recharge 20 --json".to_owned(), 0),
        (format!("check {good}"), 0),
        (format!("check {bad}"), 1),
        (format!("check --json {bad}"), 1),
        (format!("check {bad} /nowhere.json"), 2),
        (format!("diff {good} {other}"), 1),
        (format!("usage {log}"), 0),
        (format!("usage --csv {log}"), 0),
        (format!("simulate {log} --tier tier0"), 0),
        (format!("simulate {log} --tier tier0 --json"), 0),
    ]
    .into_iter()
    .map(|(command, code)| (words(&command), code))
    .collect()
}

#[test]
fn a_reader_that_leaves_early_changes_no_exit_code() {
    for (args, code) in commands() {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (ended, err) = unread(&args);
        assert_eq!(ended, code, "{args:?}: {err}");
        assert!(!err.contains("can't write"), "{args:?}: {err}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_can_not_be_written_is_a_failure() {
    for (args, _) in commands() {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (ended, err) = run(&args, full.into());
        assert_eq!(ended, 2, "{args:?}");
        assert!(err.contains("can't write"), "{args:?}: {err}");
    }
}
