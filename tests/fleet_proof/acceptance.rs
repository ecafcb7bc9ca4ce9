//! One account at five times its limit, over three edges.

use crate::options::Options;
use crate::rig::{ACME, EDGES, Plan, Rig, windows};
use std::time::Instant;

/// A limit that is measured.
pub struct Row {
    pub name: &'static str,
    limit: usize,
    window: u64,
    /// The windows that are measured, after a first one.
    windows: usize,
    /// The least part of the limit that must be admitted.
    least: f64,
    pub is_long: bool,
}

/// The rows. A part of a window of a sixtieth is kept longer, and a short window is mostly told of
/// late, so it may admit less.
pub const ROWS: [Row; 5] = [
    row("accept-200-3s", 200, 3, 12, 0.94),
    row("accept-60-6s", 60, 6, 6, 0.94),
    row("accept-1000-6s", 1_000, 6, 6, 0.94),
    row("accept-200-60s", 200, 60, 3, 0.98),
    row("accept-5000-60s", 5_000, 60, 3, 0.98),
];

const fn row(name: &'static str, limit: usize, window: u64, windows: usize, least: f64) -> Row {
    Row {
        name,
        limit,
        window,
        windows,
        least,
        is_long: window >= 60,
    }
}

/// How many times the limit is offered.
const OFFERED: f64 = 5.0;

/// What a row measured.
pub struct Accepted {
    pub name: &'static str,
    pub limit: usize,
    pub window: u64,
    pub windows: usize,
    /// Offered, by the limit.
    pub offered: f64,
    /// The most admitted in a sliding window.
    pub fullest: usize,
    /// Admitted, in per cent of the limit.
    pub admitted: f64,
    /// The part of each edge, in per cent.
    pub by_edge: Vec<f64>,
    /// Requests that waited for an answer, in per cent of those admitted.
    pub asks: f64,
    /// Messages of edges without an answer that counts.
    pub failures: u64,
    pub is_kept: bool,
}

pub fn run(row: &Row, options: &Options) -> Accepted {
    // A busy machine lets answers come late: then `share` would admit what nobody granted.
    let plan = Plan::of(row.limit, row.window).on_failure("deny");
    let rig = Rig::start(plan, options);
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.0);
    let from = Instant::now();
    windows(&rig.plan, row.windows as f64);
    let to = Instant::now();
    traffic.end(&rig);
    let whole = (row.limit * row.windows) as f64;
    let answers: usize = rig.ledger.answers(from, to).values().sum();
    let by_edge = rig.ledger.by_edge(EDGES);
    let all = by_edge.iter().sum::<usize>().max(1) as f64;
    let fullest = rig.ledger.fullest(ACME, rig.plan.window(), |_| true);
    let fullest = fullest.map_or(0, |fullest| fullest.admitted);
    let mean = rig.ledger.mean(ACME, rig.plan.window(), from, to);
    let admitted = mean / row.limit as f64;
    let [asks, failures] = rig.asks_and_failures();
    Accepted {
        name: row.name,
        limit: row.limit,
        window: row.window,
        windows: row.windows,
        offered: answers as f64 / whole,
        fullest,
        admitted: 100.0 * admitted,
        by_edge: by_edge.iter().map(|n| 100.0 * *n as f64 / all).collect(),
        asks: 100.0 * asks as f64 / all,
        failures,
        is_kept: fullest <= row.limit && admitted >= row.least,
    }
}
