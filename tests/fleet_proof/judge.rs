//! The ledger's verdict on a scenario.

use crate::rig::{ACME, EDGES, Rig};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What must hold of the requests admitted in each sliding window: the limit, but in windows that
/// meet the fault. "A second" is what was admitted within a second of the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The limit, always.
    Exact,
    /// In windows that meet the one after the cut, a second on top.
    Second,
    /// All edges are cut off and have their shares: in windows that meet the one after the cut, a second
    /// on top. While some are back and others are not yet, the shares of those.
    AllShare,
    /// The same, and then Redis lost writes: the edges go on with their shares while the account is closed,
    /// by what the last answer left.
    ClosedShare,
    /// One edge is cut off: a second, and its share, on top.
    OneShares,
    /// Each edge has a whole limit.
    EachEdge,
}

/// The time after a fault in which each edge asks the service again.
const ASKS_AGAIN: Duration = Duration::from_secs(6);
/// The time for which an account is closed after a loss of writes, and that in which it is seen.
const CLOSED: Duration = Duration::from_secs(14);

/// Windows by their start, and how many they may admit.
struct Zone {
    name: &'static str,
    starts: Range<Instant>,
    most: usize,
}

impl Promise {
    /// The windows that may admit another number than the limit. Those in several zones are in the
    /// first of them.
    fn zones(self, rig: &Rig, (begin, end): (Instant, Instant)) -> Vec<Zone> {
        let (limit, window) = (rig.plan.limit, rig.plan.window());
        let second = Duration::from_secs(1);
        let second = rig.ledger.admitted_in(ACME, begin - second, begin + second);
        let share = limit.div_ceil(EDGES);
        let before = begin - window;
        let zone = |name, starts, most| Zone { name, starts, most };
        let back = end + ASKS_AGAIN;
        match self {
            Self::Exact => vec![],
            Self::Second => vec![zone("cut", before..begin + window, limit + second)],
            Self::AllShare | Self::ClosedShare => {
                let until = match self {
                    Self::ClosedShare => end + CLOSED,
                    _ => begin + window,
                };
                let others = limit + (EDGES - 1) * share;
                let returns = (end - window).max(begin)..back;
                let returns = zone("return", returns, others.max(limit + second));
                vec![returns, zone("cut", before..until, limit + second)]
            }
            Self::OneShares => vec![zone("cut", before..back, limit + second + share)],
            Self::EachEdge => vec![zone("cut", before..back, limit * EDGES)],
        }
    }
}

/// What a scenario did, and found by itself.
#[derive(Debug, Default)]
pub struct Seen {
    /// The begin and the end of the fault.
    pub fault: Option<(Instant, Instant)>,
    /// Findings, and whether they are as promised.
    pub findings: Vec<(String, bool)>,
    /// True where nothing is asked of how soon the account is served.
    pub is_not_served: bool,
}

impl Seen {
    pub fn fault(begin: Instant, end: Instant) -> Self {
        Self {
            fault: Some((begin, end)),
            ..Self::default()
        }
    }

    pub fn find(mut self, what: impl Into<String>, is_kept: bool) -> Self {
        self.findings.push((what.into(), is_kept));
        self
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Judged {
    pub name: &'static str,
    pub what: &'static str,
    pub promise: &'static str,
    pub clients_saw: String,
    pub until_normal: String,
    pub verdict: String,
    pub is_kept: bool,
}

/// The part of a limit that makes a window a served one.
const SERVED: f64 = 0.85;

/// Judges the requests of the account that all scenarios have.
pub fn verdict(rig: &Rig, promise: Promise, seen: &Seen) -> (String, bool) {
    let limit = rig.plan.limit;
    let zones = seen
        .fault
        .map_or_else(Vec::new, |fault| promise.zones(rig, fault));
    let of = |from: Instant| zones.iter().position(|zone| zone.starts.contains(&from));
    let fullest = |zone: Option<usize>| {
        let fullest = rig
            .ledger
            .fullest(ACME, rig.plan.window(), |from| of(from) == zone);
        fullest.map_or(0, |fullest| fullest.admitted)
    };
    let most = fullest(None);
    let mut text = format!("{most} of {limit}");
    let mut is_kept = most <= limit;
    for (place, zone) in zones.iter().enumerate() {
        let most = fullest(Some(place));
        is_kept &= most <= zone.most;
        text += &format!("; {} {most}, bound {}", zone.name, zone.most);
    }
    (text, is_kept)
}

/// What clients saw from the begin of the fault until all was normal again, and when that was.
pub fn saw(rig: &Rig, seen: &Seen) -> (String, String, bool) {
    let window = rig.plan.window();
    let enough = (rig.plan.limit as f64 * SERVED) as usize;
    let now = Instant::now();
    let Some((begin, end)) = seen.fault else {
        return (counts(rig, rig.began, now), "-".to_owned(), true);
    };
    let normal = rig.ledger.served_after(ACME, end, window, enough);
    let until = end + normal.unwrap_or(now - end);
    let text = match (normal, seen.is_not_served) {
        (_, true) => "-".to_owned(),
        (Some(time), _) => format!("{:.1} s", time.as_secs_f64()),
        (None, _) => "never".to_owned(),
    };
    let is_kept = normal.is_some() || seen.is_not_served;
    (counts(rig, begin, until), text, is_kept)
}

fn counts(rig: &Rig, from: Instant, to: Instant) -> String {
    let answers = rig.ledger.answers(from, to);
    let each: Vec<_> = answers
        .iter()
        .map(|(answer, n)| format!("{n} x {answer}"))
        .collect();
    each.join(", ")
}
