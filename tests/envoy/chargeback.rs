//! The example access log, from requests to the sums of `tiergate usage`.

use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually, fresh_dir};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn the_example_log_gives_a_chargeback_by_one_command() {
    let dir = fresh_dir();
    let log = dir.join("access.log");
    let path = format!("path: {}", log.display());
    let words = [("path: tiergate_access.log", path.as_str())];
    let stack = Stack::of_file_with("envoy/access_log/usage.yaml", &words);
    let chat = |account: &str, tokens: &str| {
        let call = Call::of(account, "tier1");
        stack.send(call.header("x-demo-completion-tokens", tokens))
    };
    for (account, tokens) in [("acme", "5"), ("acme", "7"), ("o\"ther inc", "3")] {
        assert_eq!(chat(account, tokens).status, 200);
    }
    assert_eq!(stack.send(Call::new()).status, 401);
    let lines = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .count()
    };
    eventually("four lines", || lines() == 4);
    let sums = usage_by_account(&log);
    let rows = sums["rows"].as_array().unwrap();
    let of = |account: &str| {
        let row = rows.iter().find(|row| row["account"] == account);
        row.unwrap_or_else(|| panic!("{sums}"))["output"].clone()
    };
    assert_eq!(
        (of("acme"), of("o\"ther inc")),
        (12.into(), 3.into()),
        "{sums}"
    );
}

/// Envoy writes a line at the start of each request too; with its type, the sums are the same.
#[test]
fn a_request_that_envoy_logs_at_its_start_too_counts_once() {
    let dir = fresh_dir();
    let log = dir.join("access.log");
    let path = format!("path: {}", log.display());
    let options = "stat_prefix: proxy\n          \
                   access_log_options: { flush_access_log_on_new_request: true }";
    let words = [
        ("path: tiergate_access.log", path.as_str()),
        ("stat_prefix: proxy", options),
    ];
    let stack = Stack::of_file_with("envoy/access_log/usage.yaml", &words);
    let call = Call::of("acme", "tier1").header("x-demo-completion-tokens", "5");
    assert_eq!(stack.send(call).status, 200);
    let text = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("two lines", || text().lines().count() == 2);
    let sums = usage_by_account(&log);
    assert_eq!(sums["rows"][0]["requests"], 1, "{sums} of {}", text());
    let lines = &sums["lines"];
    assert_eq!((&lines["used"], &lines["interim"]), (&1.into(), &1.into()));
}

/// What the command says of a log, which it must be able to read.
fn usage_by_account(log: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["usage", "--json", "--by", "account"])
        .arg(log)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}
