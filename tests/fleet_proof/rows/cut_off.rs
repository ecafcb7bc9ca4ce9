//! All edges are cut off from the service: what `on_failure` admits.

use super::{AWAY, Row};
use crate::judge::{Promise, Seen};
use crate::proxy::Way;
use crate::rig::{ACME, Plan, Rig, windows};
use std::time::Instant;

pub const ROWS: [Row; 3] = [
    Row {
        name: "on-failure-share",
        what: "all edges cut off for three windows; `share`",
        link: AWAY,
        promise: Promise::AllShare,
        plan: || Plan::of(120, 6),
        run: all_cut,
    },
    Row {
        name: "on-failure-local",
        what: "the same; `local`",
        link: AWAY,
        promise: Promise::EachEdge,
        plan: || Plan::of(120, 6).on_failure("local"),
        run: all_cut,
    },
    Row {
        name: "on-failure-deny",
        what: "the same; `deny`",
        link: AWAY,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6).on_failure("deny"),
        run: all_cut,
    },
];

/// Half of the limit is used when the edges are cut off; then they are sent three times the limit.
fn all_cut(rig: &mut Rig) -> Seen {
    let calm = rig.offer(0.5);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.links.iter().for_each(|link| link.set(Way::Cut));
    let rush = rig.offer(3.0);
    windows(&rig.plan, 3.0);
    rig.links.iter().for_each(|link| link.set(Way::Open));
    let end = Instant::now();
    windows(&rig.plan, 3.5);
    calm.end(rig);
    rush.end(rig);
    let window = rig.plan.window();
    let parts = (0..3).map(|n| {
        let from = begin + window * n;
        let admitted = rig.ledger.admitted_in(ACME, from, from + window);
        admitted.to_string()
    });
    let parts: Vec<_> = parts.collect();
    let text = format!("windows of the cut admit {}", parts.join(", "));
    Seen::fault(begin, end).find(text, true)
}
