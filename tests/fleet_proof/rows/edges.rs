//! Edges fail, freeze, come and go.

use super::{AWAY, HOLDS, Row};
use crate::judge::{Promise, Seen};
use crate::proxy::Way;
use crate::rig::{EDGES, Plan, Rig, seconds, windows};
use std::time::Instant;

/// How many times the limit is offered.
const OFFERED: f64 = 3.0;

pub const ROWS: [Row; 5] = [
    Row {
        name: "edge-frozen",
        what: "an edge stopped for 15 s (SIGSTOP)",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: frozen,
    },
    Row {
        name: "edge-frozen-idle",
        what: "an edge stopped for 15 s with an allowance in hand",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(400, 20),
        run: frozen_with_allowance,
    },
    Row {
        name: "edge-cut-off-deny",
        what: "one edge cut off for 15 s; `deny`",
        link: AWAY,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6).on_failure("deny"),
        run: cut_off,
    },
    Row {
        name: "edge-cut-off-share",
        what: "one edge cut off for 15 s; `share`",
        link: AWAY,
        promise: Promise::OneShares,
        plan: || Plan::of(120, 6),
        run: cut_off,
    },
    Row {
        name: "edges-come-and-go",
        what: "edges killed and started anew, one after another, for 20 s",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(300, 10),
        run: come_and_go,
    },
];

fn frozen(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.signal(0, libc::SIGSTOP);
    seconds(15.0);
    rig.signal(0, libc::SIGCONT);
    let end = Instant::now();
    windows(&rig.plan, 2.5);
    traffic.end(rig);
    Seen::fault(begin, end)
}

/// Little is used when the edge freezes, so it holds an allowance then.
fn frozen_with_allowance(rig: &mut Rig) -> Seen {
    let calm = rig.offer(0.5);
    windows(&rig.plan, 0.5);
    let begin = Instant::now();
    rig.signal(0, libc::SIGSTOP);
    seconds(5.0);
    let rush = rig.offer(OFFERED);
    seconds(10.0);
    rig.signal(0, libc::SIGCONT);
    let end = Instant::now();
    windows(&rig.plan, 2.0);
    calm.end(rig);
    rush.end(rig);
    Seen::fault(begin, end)
}

fn cut_off(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.links[0].set(Way::Cut);
    seconds(15.0);
    rig.links[0].set(Way::Open);
    let end = Instant::now();
    windows(&rig.plan, 3.5);
    traffic.end(rig);
    Seen::fault(begin, end)
}

fn come_and_go(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 0.5);
    let begin = Instant::now();
    let mut edge = 0;
    while begin.elapsed().as_secs() < 20 {
        rig.stop_edge(edge);
        seconds(1.0);
        rig.start_edge(edge);
        seconds(1.0);
        edge = (edge + 1) % EDGES;
    }
    let end = Instant::now();
    windows(&rig.plan, 3.0);
    traffic.end(rig);
    Seen::fault(begin, end)
}
