//! The openai Python client in front of the filter: it works unchanged, and waits as it is told.

use crate::harness::stack::Stack;
use serde_json::Value;
use std::process::Command;

fn run(stack: &Stack, tier: &str, scenario: &str) -> Value {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join(".tools/bin/python"))
        .arg(root.join("tests/envoy/openai_client.py"))
        .args([&format!("http://{}", stack.proxy), tier, scenario])
        .output()
        .expect("make test installs the client's Python");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn it_works_unchanged_streaming_and_not() {
    let stack = Stack::of_file("envoy/envoy.yaml");
    for scenario in ["plain", "stream"] {
        let seen = run(&stack, "tier1", scenario);
        assert_eq!(seen["words"].as_array().unwrap().len(), 16);
        assert!(seen["used"].as_u64().unwrap() > 16);
    }
}

#[test]
fn a_429_is_its_rate_limit_error() {
    let stack = Stack::of_file("envoy/envoy.yaml");
    let seen = run(&stack, "tier0", "refused");
    assert_eq!(
        (&seen["status"], &seen["code"]),
        (&429.into(), &"rpm".into())
    );
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("used 3 of 3"), "{message}");
}

#[test]
fn it_retries_when_it_is_told_to() {
    let stack = Stack::start(r#"{"windows": {"minute": "3s"}}"#);
    let seen = run(&stack, "tier0", "retried");
    let (told, took) = (
        seen["told_ms"].as_u64().unwrap(),
        seen["took_ms"].as_u64().unwrap(),
    );
    assert!(told > 500, "{seen}");
    // The second client starts a moment after the first was told.
    assert!(took + 500 > told && took < told + 1_000, "{seen}");
}

#[test]
fn it_does_not_retry_when_the_wait_is_a_day() {
    let config = r#"{"windows": {"day": {"rolling": "24h"}}, "tiers": [{"name": "t", "recharge": 1,
        "limits": {"concurrency": "unlimited", "rpm": "unlimited", "tpm": "unlimited", "tpd": 1100}}]}"#;
    let seen = run(&Stack::start(config), "t", "patient");
    assert_eq!(seen["code"], "tpd");
    assert!(seen["wait_ms"].as_u64().unwrap() > 23 * 3_600_000);
    assert!(seen["took_ms"].as_u64().unwrap() < 400, "{seen}");
}
