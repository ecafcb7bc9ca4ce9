//! Clients that are uneven, burst, hang up, or send one request at a time.

use super::{HOLDS, Row};
use crate::client::Call;
use crate::judge::{Promise, Seen};
use crate::rig::{ACME, EDGES, Plan, Rig, seconds, windows};
use serde_json::json;
use std::time::{Duration, Instant};

pub const ROWS: [Row; 6] = [
    Row {
        name: "load-even",
        what: "three times the limit, the same on each edge",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: |rig| load(rig, [1.0, 1.0, 1.0]),
    },
    Row {
        name: "load-skewed",
        what: "three times the limit, 90 % of it on one edge",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: |rig| load(rig, [2.7, 0.15, 0.15]),
    },
    Row {
        name: "load-moves",
        what: "three times the limit, on one edge after another",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: moves,
    },
    Row {
        name: "bursts",
        what: "bursts of five times the limit in the middle of windows; `deny`",
        link: HOLDS,
        promise: Promise::Exact,
        // Late answers to 600 requests at once would bring shares.
        plan: || Plan::of(120, 6).on_failure("deny"),
        run: bursts,
    },
    Row {
        name: "client-resets",
        what: "clients that hang up while they ask, for 20 s",
        link: HOLDS,
        promise: Promise::Exact,
        // A limit that is never held: each request asks.
        plan: || Plan::of(11, 6),
        run: resets,
    },
    Row {
        name: "sequential",
        what: "one request at a time, round robin, concurrency 1",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(1_000_000, 6).tier(json!({"limits": {"concurrency": 1}})),
        run: sequential,
    },
];

/// Offers each edge so many limits; at least 94 % of the limit must be admitted.
fn load(rig: &mut Rig, parts: [f64; EDGES]) -> Seen {
    let rate = rig.plan.limit as f64 / rig.plan.window as f64;
    let traffic = rig.traffic(parts.map(|part| part * rate), Call::of(ACME, "t"));
    windows(&rig.plan, 1.0);
    let from = Instant::now();
    windows(&rig.plan, 6.0);
    traffic.end(rig);
    admitted(rig, from, 6.0)
}

fn moves(rig: &mut Rig) -> Seen {
    let rate = 3.0 * rig.plan.limit as f64 / rig.plan.window as f64;
    let mut from = Instant::now();
    for turn in 0..8 {
        if turn == 1 {
            from = Instant::now();
        }
        let mut rates = [0.0; EDGES];
        rates[turn % EDGES] = rate;
        let traffic = rig.traffic(rates, Call::of(ACME, "t"));
        windows(&rig.plan, 1.0);
        traffic.end(rig);
    }
    admitted(rig, from, 7.0)
}

fn admitted(rig: &Rig, from: Instant, windows: f64) -> Seen {
    let to = from + rig.plan.window().mul_f64(windows);
    let mean = rig.ledger.mean(ACME, rig.plan.window(), from, to);
    let part = 100.0 * mean / rig.plan.limit as f64;
    Seen::default().find(format!("{part:.1} % admitted"), part >= 94.0)
}

/// A burst takes what there is; half a window later there is a next one, on top of the first.
fn bursts(rig: &mut Rig) -> Seen {
    for _ in 0..6 {
        rig.runtime.block_on(async {
            let calls = (0..5 * rig.plan.limit).map(|n| {
                let client = rig.client(n % EDGES);
                tokio::spawn(async move { client.send(Call::of(ACME, "t")).await })
            });
            let calls: Vec<_> = calls.collect();
            for call in calls {
                let _ended = call.await;
            }
        });
        windows(&rig.plan, 0.5);
    }
    Seen::default()
}

/// What was asked for by clients that are gone goes back: then the whole limit is served.
fn resets(rig: &mut Rig) -> Seen {
    let begin = Instant::now();
    rig.runtime.block_on(async {
        let mut n = 0_usize;
        while begin.elapsed() < Duration::from_secs(20) {
            n += 1;
            let client = rig.client(n % EDGES);
            let gone = tokio::spawn(async move { client.send(Call::of(ACME, "t")).await });
            tokio::time::sleep(Duration::from_micros(fastrand::u64(200..6_000))).await;
            gone.abort();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let end = Instant::now();
    windows(&rig.plan, 1.5);
    let from = Instant::now();
    let traffic = rig.offer(5.0);
    windows(&rig.plan, 0.5);
    traffic.end(rig);
    let admitted = rig.ledger.admitted_in(ACME, from, Instant::now());
    let text = format!("{admitted} of {} served at once after it", rig.plan.limit);
    let mut seen = Seen::fault(begin, end).find(text, admitted == rig.plan.limit);
    seen.is_not_served = true;
    seen
}

fn sequential(rig: &mut Rig) -> Seen {
    let begin = Instant::now();
    let mut refused = 0;
    let mut sent = 0_usize;
    let clients: Vec<_> = (0..EDGES).map(|edge| rig.client(edge)).collect();
    while begin.elapsed() < Duration::from_secs(15) {
        let call = Call::of(ACME, "t").header("x-demo-latency-ms", "5");
        let answer = rig.runtime.block_on(clients[sent % EDGES].send(call));
        refused += usize::from(answer != "200");
        sent += 1;
    }
    seconds(0.1);
    let text = format!("{refused} of {sent} refused");
    Seen::default().find(text, refused == 0)
}
