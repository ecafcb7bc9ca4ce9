//! What a newcomer sees, with every default.

use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use std::time::Duration;

#[test]
fn tier0_sends_four_requests_and_the_fourth_is_told_when_to_come_back() {
    let stack = Stack::start(r#"{"windows": {"minute": "2s"}}"#);
    let replies: Vec<_> = (0..4)
        .map(|_| stack.send(Call::of("acme", "tier0")))
        .collect();
    let statuses: Vec<_> = replies.iter().map(|r| r.status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    let refused = &replies[3];
    assert_eq!(refused.code(), "rpm");
    let wait = refused.retry_after_ms();
    assert!((1..=2_001).contains(&wait), "{wait}");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(seconds, wait.div_ceil(1000));
    std::thread::sleep(Duration::from_millis(wait));
    assert_eq!(stack.send(Call::of("acme", "tier0")).status, 200);
}

#[test]
fn of_two_at_once_tier0_has_one_refused() {
    let stack = Stack::start("");
    let call = || Call::of("acme", "tier0").header("x-demo-latency-ms", "300");
    let replies = stack.send_all([call(), call()]);
    assert_eq!((count(&replies, 200), count(&replies, 429)), (1, 1));
    let refused = replies.iter().find(|r| r.status == 429).unwrap();
    assert_eq!(refused.code(), "concurrency");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        stack.send(Call::of("acme", "tier0")).status,
        200,
        "the lease is back"
    );
}

#[test]
fn the_module_says_its_version_and_build_in_log_status_and_metrics() {
    let stack = Stack::of_file("envoy/envoy.yaml");
    let listener = stack.listener("tiergate_admin").unwrap();
    let call = Call::new()
        .get("/-/tiergate/status")
        .header("authorization", "Bearer demo");
    let status = stack.runtime.block_on(call.send(listener)).unwrap().json();
    let version = status["version"].as_str().unwrap();
    let build = status["build"].as_str().unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert_ne!(build, "unknown", "make wasm sets it");
    let line = format!("tiergate: version {version}, build {build}");
    assert!(stack.envoy_log().contains(&line), "{line}");
    eventually("the gauge", || {
        let metrics = stack.prometheus();
        let mut lines = metrics.lines();
        let gauge = lines.find(|line| line.starts_with("tiergate_build_info{"));
        gauge.is_some_and(|line| {
            [("version", version), ("build", build)]
                .iter()
                .all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
        })
    });
}
