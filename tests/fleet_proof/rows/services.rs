//! The service fails.

use super::{AWAY, HOLDS, Row};
use crate::fleet_service::{Behaviour, Service as FakeService};
use crate::judge::{Promise, Seen};
use crate::proxy::Way;
use crate::rig::{ACME, Plan, Rig, seconds, windows};
use std::time::{Duration, Instant};

/// How many times the limit is offered.
const OFFERED: f64 = 3.0;
/// The longest wait of a request while the service is away: the time-out and what a busy machine adds.
const STALLS: Duration = Duration::from_secs(1);

pub const ROWS: [Row; 6] = [
    Row {
        name: "services-killed",
        what: "both services killed, others after 3 s; `share`",
        link: AWAY,
        promise: Promise::AllShare,
        plan: || Plan::of(120, 6),
        run: both_killed,
    },
    Row {
        name: "one-service-killed",
        what: "one of two services killed",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: one_killed,
    },
    Row {
        name: "service-late",
        what: "answers 50 ms late, within the time-out, for 10 s",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: |rig| slow(rig, Duration::from_millis(50)),
    },
    Row {
        name: "service-slow",
        what: "answers 2 s late for 10 s; `share`",
        link: AWAY,
        promise: Promise::AllShare,
        plan: || Plan::of(120, 6),
        run: |rig| slow(rig, Duration::from_secs(2)),
    },
    Row {
        name: "service-nonsense",
        what: "answers of other accounts, old, too large, cut short and no JSON for 10 s; `share`",
        link: AWAY,
        promise: Promise::AllShare,
        plan: || Plan::of(120, 6),
        run: nonsense,
    },
    Row {
        name: "answers-lost",
        what: "1 % of the answers lost",
        link: HOLDS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6),
        run: answers_lost,
    },
];

fn both_killed(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.services.clear();
    seconds(3.0);
    rig.start_services();
    let end = Instant::now();
    windows(&rig.plan, 3.5);
    traffic.end(rig);
    not_stalled(rig, begin, end)
}

fn one_killed(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    drop(rig.services.pop());
    rig.lead_to_services();
    windows(&rig.plan, 1.0);
    let end = Instant::now();
    windows(&rig.plan, 2.5);
    traffic.end(rig);
    not_stalled(rig, begin, end)
}

fn slow(rig: &mut Rig, time: Duration) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.links.iter().for_each(|link| link.set(Way::Slow(time)));
    seconds(10.0);
    rig.links.iter().for_each(|link| link.set(Way::Open));
    let end = Instant::now();
    windows(&rig.plan, 3.5);
    traffic.end(rig);
    not_stalled(rig, begin, end)
}

fn nonsense(rig: &mut Rig) -> Seen {
    let liar = FakeService::start();
    liar.behave(Behaviour::Lies);
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.links
        .iter()
        .for_each(|link| link.lead_to(vec![liar.address]));
    seconds(10.0);
    rig.lead_to_services();
    let end = Instant::now();
    windows(&rig.plan, 3.5);
    traffic.end(rig);
    not_stalled(rig, begin, end)
}

fn not_stalled(rig: &Rig, begin: Instant, end: Instant) -> Seen {
    let longest = rig
        .ledger
        .longest_wait(begin, end + rig.plan.window(), None);
    let text = format!("longest wait {} ms", longest.as_millis());
    Seen::fault(begin, end).find(text, longest < STALLS)
}

/// As much is admitted in the last windows as in the first.
fn answers_lost(rig: &mut Rig) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    rig.links.iter().for_each(|link| link.set(Way::Loses(0.01)));
    std::thread::sleep(rig.loses_for);
    let end = Instant::now();
    traffic.end(rig);
    let half = rig.loses_for / 2;
    let part = |from: Instant| {
        let mean = rig.ledger.mean(ACME, rig.plan.window(), from, from + half);
        100.0 * mean / rig.plan.limit as f64
    };
    let (first, last) = (part(begin), part(begin + half));
    let text = format!("{first:.1} % admitted in the first half, {last:.1} % in the second");
    let mut seen = Seen::fault(begin, end).find(text, first >= 94.0 && last >= 94.0);
    seen.is_not_served = true;
    seen
}
