//! Periods outlive the processes.

use super::{HOLDS, Row};
use crate::client::Call;
use crate::judge::{Promise, Seen};
use crate::rig::{ACME, EDGES, Plan, Rig, seconds};
use serde_json::json;
use std::time::Instant;

pub const ROWS: [Row; 2] = [
    Row {
        name: "day-restarts",
        what: "all Envoys and services end and begin anew, within a day's tokens",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(1_000_000, 6).tier(json!({"limits": {"tpd": 1_000}})),
        run: |rig| restarts(rig, "429 tpd"),
    },
    Row {
        name: "month-restarts",
        what: "the same, within a month's tokens",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || {
            let month = json!({"unit": "tokens", "per": "month", "limit": 1_000});
            Plan::of(1_000_000, 6).tier(json!({"limits": {"monthly": month}}))
        },
        run: |rig| restarts(rig, "429 monthly"),
    },
];

/// A request that uses ten tokens, and reserves one.
fn ten() -> Call {
    Call::of(ACME, "t")
        .header("x-demo-body", r#"{"usage":{"total_tokens":10}}"#)
        .body(vec![b'x'; 1_000_000])
}

/// Half is used before all begins anew. Then there is the other half, and no more, but for what one
/// request of each worker uses beyond its reserve.
fn restarts(rig: &mut Rig, refusal: &str) -> Seen {
    let spend = |rig: &Rig, requests: usize| {
        let mut last = String::new();
        let mut admitted = 0;
        for n in 0..requests {
            last = rig.runtime.block_on(rig.client(n % EDGES).send(ten()));
            admitted += usize::from(last == "200");
        }
        (admitted, last)
    };
    let (before, _) = spend(rig, 50);
    seconds(2.0);
    let begin = Instant::now();
    for edge in 0..EDGES {
        rig.stop_edge(edge);
    }
    rig.services.clear();
    rig.start_services();
    for edge in 0..EDGES {
        rig.start_edge(edge);
    }
    let end = Instant::now();
    let (after, last) = spend(rig, 100);
    let text = format!(
        "{before} requests of 10 tokens before, {after} after, of 1000 tokens; then {last}"
    );
    // At most 1 % of the limit an edge is lost with its allowance.
    let lost = 1_000 * EDGES / 100 / 10;
    let all = before + after;
    let is_kept = before == 50 && (100 - lost..=100 + 2 * EDGES).contains(&all) && last == refusal;
    let mut seen = Seen::fault(begin, end).find(text, is_kept);
    seen.is_not_served = true;
    seen
}
