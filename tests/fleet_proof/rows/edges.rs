//! Edges fail, freeze, come and go.

use super::{AWAY, HOLDS, Row};
use crate::client::Call;
use crate::judge::{Promise, Seen};
use crate::proxy::Way;
use crate::rig::{EDGES, Plan, Rig, seconds, windows};
use std::time::{Duration, Instant};

/// How many times the limit is offered.
const OFFERED: f64 = 3.0;

pub const ROWS: [Row; 6] = [
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
    Row {
        name: "records-full",
        what: "edges laid out for 8 accounts, and 400 others that ask as well, for 20 s",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6).accounts(8),
        run: full,
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

/// There are more accounts than records, so some are evicted, and others share one.
fn full(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    let begin = Instant::now();
    let others: Vec<_> = (0..EDGES).map(|edge| rig.client(edge)).collect();
    rig.runtime.block_on(async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let mut n = 0_usize;
        while begin.elapsed() < Duration::from_secs(20) {
            ticks.tick().await;
            let mut client = others[n % EDGES].clone();
            client.account = "others";
            let call = Call::of(&format!("other-{}", n % 400), "t");
            tokio::spawn(async move { client.send(call).await });
            n += 1;
        }
    });
    let end = Instant::now();
    windows(&rig.plan, 2.0);
    traffic.end(rig);
    let shared = rig.stat(&["tiergate_overflow_requests"]);
    let text = format!("{shared} requests of accounts without a record of their own");
    Seen::fault(begin, end).find(text, shared > 0)
}
