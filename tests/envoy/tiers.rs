//! The published table: each tier's four limits, on the wire.

use crate::harness::client::{Call, count};
use crate::harness::stack::Stack;

/// The row of the published table for a tier; 0: unlimited.
struct Row {
    tier: &'static str,
    concurrency: usize,
    rpm: usize,
    tpm: u64,
    tpd: u64,
}

/// The least that a small chat request reserves: its 60 bytes are 15 tokens, and 1024 come back.
const RESERVE: u64 = 15 + 1024;

fn using(account: &str, tier: &str, tokens: u64) -> Call {
    let usage = format!(r#"{{"usage":{{"total_tokens":{tokens}}}}}"#);
    Call::of(account, tier).header("x-demo-body", usage)
}

fn concurrency_and_rpm(stack: &Stack, row: &Row) {
    let slow = || Call::of("parallel", row.tier).header("x-demo-latency-ms", "2500");
    let replies = stack.send_all((0..=row.concurrency).map(|_| slow()));
    assert_eq!(count(&replies, 200), row.concurrency);
    let refused = replies.iter().find(|r| r.status == 429).unwrap();
    assert_eq!(refused.code(), "concurrency");
    assert_eq!(refused.json()["error"]["limit"]["used"], row.concurrency);

    // One client after the other, as many as the tier allows at once, but not more than 20.
    let calls = vec![Call::of("steady", row.tier); row.rpm + 5];
    let replies = stack.flood(row.concurrency.min(20), calls);
    assert_eq!(count(&replies, 200), row.rpm);
    let refused: Vec<_> = replies.iter().filter(|r| r.status == 429).collect();
    assert!(refused.iter().all(|r| r.code() == "rpm"));
    assert_eq!(
        refused[0].header("x-ratelimit-limit-requests"),
        Some(&*row.rpm.to_string())
    );
}

fn tpm(stack: &Stack, row: &Row) {
    stack.send(using("thirsty", row.tier, row.tpm - RESERVE));
    let last = stack.send(using("thirsty", row.tier, RESERVE));
    assert_eq!(last.status, 200, "what is left fits exactly");
    assert_eq!(
        last.header("x-ratelimit-limit-tokens"),
        Some(&*row.tpm.to_string())
    );
    assert_eq!(last.header("x-ratelimit-remaining-tokens"), Some("0"));
    let refused = stack.send(using("thirsty", row.tier, 0));
    assert_eq!((refused.status, &*refused.code()), (429, "tpm"));
    assert_eq!(refused.json()["error"]["limit"]["used"], row.tpm);
}

fn tpd(row: &Row) {
    let stack = Stack::start(r#"{"windows": {"minute": "60ms", "day": {"rolling": "24h"}}}"#);
    let whole = if row.tpd == 0 { row.tpm * 4 } else { row.tpd };
    // One request may take all of a minute, so the day takes some windows.
    for i in 0..whole.div_ceil(row.tpm) {
        let tokens = (whole - i * row.tpm).min(row.tpm);
        crate::harness::stack::eventually("a window with room", || {
            stack.send(using("daily", row.tier, tokens)).status == 200
        });
        std::thread::sleep(std::time::Duration::from_millis(62));
    }
    let next = stack.send(using("daily", row.tier, 0));
    if row.tpd == 0 {
        assert_eq!(next.status, 200, "unlimited");
        return;
    }
    assert_eq!((next.status, &*next.code()), (429, "tpd"));
    assert_eq!(next.header("x-should-retry"), Some("false"));
    assert!(next.retry_after_ms() > 23 * 3_600_000);
}

fn holds(row: &Row) {
    let stack = Stack::start("{}");
    concurrency_and_rpm(&stack, row);
    tpm(&stack, row);
    tpd(row);
}

#[test]
fn tier0_has_its_published_limits() {
    holds(&Row {
        tier: "tier0",
        concurrency: 1,
        rpm: 3,
        tpm: 500_000,
        tpd: 1_500_000,
    });
}

#[test]
fn tier1_has_its_published_limits() {
    holds(&Row {
        tier: "tier1",
        concurrency: 50,
        rpm: 200,
        tpm: 2_000_000,
        tpd: 0,
    });
}

#[test]
fn tier2_has_its_published_limits() {
    holds(&Row {
        tier: "tier2",
        concurrency: 100,
        rpm: 500,
        tpm: 3_000_000,
        tpd: 0,
    });
}

#[test]
fn tier3_has_its_published_limits() {
    holds(&Row {
        tier: "tier3",
        concurrency: 200,
        rpm: 5_000,
        tpm: 3_000_000,
        tpd: 0,
    });
}

#[test]
fn tier4_has_its_published_limits() {
    holds(&Row {
        tier: "tier4",
        concurrency: 400,
        rpm: 5_000,
        tpm: 4_000_000,
        tpd: 0,
    });
}

#[test]
fn tier5_has_its_published_limits() {
    holds(&Row {
        tier: "tier5",
        concurrency: 1_000,
        rpm: 10_000,
        tpm: 5_000_000,
        tpd: 0,
    });
}
