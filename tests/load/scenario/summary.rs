//! What a run shows: how soon errors end, how soon limits are back, and who gives way first.

use super::{BUCKET, Record, Scenario, TIERS};
use std::time::Duration;

/// By then all accounts have begun.
const STARTED: Duration = Duration::from_secs(4);
/// All shares are taken over so long, up to the moment of which they tell.
const SLIDING: Duration = Duration::from_secs(3);
/// An upstream with a smaller share of errors is well.
const WELL: f64 = 0.02;
/// Of a tier's admissions of the warm-up: it has fallen, when it has fewer.
const FALLEN: f64 = 0.9;
/// Of all admissions of the warm-up: limits are back, when there are as many.
const BACK: f64 = 0.95;

/// All times are from the change of capacity that they follow.
#[derive(Debug)]
pub struct Summary {
    /// The share of errors in the warm-up.
    pub errors_before: f64,
    /// When the share of errors was below 2 % again for the first time.
    pub first_well: Option<Duration>,
    /// When the share of errors was below 2 % and stayed so, up to the restoration.
    pub well: Option<Duration>,
    /// The share of errors from the first time on, up to the restoration; of the whole time at half
    /// capacity, if there was no such time.
    pub errors_then: f64,
    /// The share of errors of the whole time at half capacity.
    pub errors_halved: f64,
    /// When admissions were at 95 % of the warm-up's again, for the first time.
    pub back: Option<Duration>,
    /// When each tier's admissions fell below 90 % of their warm-up's, if they did.
    pub fell: [Option<Duration>; TIERS],
    /// Each tier's admissions at half capacity, as a share of the warm-up's, from `first_well` on.
    pub admitted: [f64; TIERS],
    /// The same of what was served.
    pub served: [f64; TIERS],
    /// Requests that ended in no way that was to be expected.
    pub other: u32,
}

impl Summary {
    pub fn of(scenario: &Scenario, record: &Record) -> Self {
        let halved = scenario.warm_up;
        let restored = halved + scenario.halved;
        let end = scenario.length();
        let before = (STARTED, halved);
        let rate = |(from, to): (Duration, Duration), tier: usize| {
            f64::from(record.tiers(from, to)[tier].admitted()) / (to - from).as_secs_f64()
        };
        let all = |(from, to): (Duration, Duration)| {
            f64::from(record.all(from, to).admitted()) / (to - from).as_secs_f64()
        };
        let is_well = |(from, to): (Duration, Duration)| record.all(from, to).error_share() < WELL;
        let mut ill = spans(halved, restored).skip_while(|span| is_well(*span));
        let first_well = ill.find(|span| is_well(*span)).map(|(_, at)| at - halved);
        let well = from_then_on(halved, restored, is_well);
        let mut after = spans(restored, end);
        let back = after.find(|span| all(*span) >= BACK * all(before));
        let back = back.map(|(_, at)| at - restored);
        let fell = |tier: usize| {
            let normal = rate(before, tier);
            let mut spans = spans(halved, restored);
            let fallen = spans.find(|span| rate(*span, tier) < FALLEN * normal);
            fallen.map(|(_, at)| at - halved)
        };
        let then = (halved + first_well.unwrap_or_default(), restored);
        let share = |tier: usize, of: fn(super::Counts) -> u32| {
            let rate = |(from, to): (Duration, Duration)| {
                f64::from(of(record.tiers(from, to)[tier])) / (to - from).as_secs_f64()
            };
            rate(then) / rate(before)
        };
        Self {
            errors_before: record.all(before.0, before.1).error_share(),
            first_well,
            well,
            errors_then: record.all(then.0, then.1).error_share(),
            errors_halved: record.all(halved, restored).error_share(),
            back,
            fell: std::array::from_fn(fell),
            admitted: std::array::from_fn(|tier| share(tier, super::Counts::admitted)),
            served: std::array::from_fn(|tier| share(tier, |counts| counts.served)),
            other: record.all(Duration::ZERO, end).other,
        }
    }
}

/// The sliding spans that end after `from`, and not after `to`.
fn spans(from: Duration, to: Duration) -> impl DoubleEndedIterator<Item = (Duration, Duration)> {
    let buckets = (to - from).as_millis() / BUCKET.as_millis();
    (1..=u32::try_from(buckets).unwrap_or(0))
        .map(move |i| from + BUCKET * i)
        .map(|at| (at.saturating_sub(SLIDING), at))
}

/// The time after `from` from which on it is so in each span up to `to`.
fn from_then_on(
    from: Duration,
    to: Duration,
    is_so: impl Fn((Duration, Duration)) -> bool,
) -> Option<Duration> {
    let so = spans(from, to).rev().take_while(|span| is_so(*span));
    so.last().map(|(_, at)| at - from)
}
