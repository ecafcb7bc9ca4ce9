//! Notices: an account comes to a share of a limit for the first time in its period.

use super::kinds::{Counted, LimitKind, Per};
use super::meter::MeterPart;
use super::per_limit::Limits;
use super::plan::{Finite, Plan};
use super::record::{FamilyKey, Mark, Record, noticed_bytes};
use super::units::Unit;
use crate::order::in_order;
use crate::time::{Now, Span};
use std::collections::BTreeMap;

/// The share of a refusal.
const REFUSED: u8 = 100;
/// The number of times that a lowered limit is told anew while a mark holds.
const MOST_LOWERED: u8 = 3;

/// The shares at which an account is noticed, in percent, ascending: 1 to 8 of 1 to 100. An account
/// comes to 100 with its first refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(Vec<u8>);

/// The occasion at which an account has come to a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A decision that no base limit refused.
    Decided,
    /// A refusal by a base limit.
    Refused(LimitKind),
    /// A change of the record without a decision, under the limits of an earlier one.
    Settled,
}

/// An account's first coming to a share of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The limit.
    pub kind: LimitKind,
    /// The share, in percent.
    pub percent: u8,
    /// The use of the limit.
    pub used: u64,
    /// The size of the base limit.
    pub limit: u64,
    /// The time until the period ends, or until nothing in the window is used.
    pub resets_in: Span,
}

/// The news of an account's shares after a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareReport {
    /// Shares that the account came to for the first time.
    pub crossed: Vec<Crossing>,
    /// The highest share that each limit is at, without refusals.
    pub at: Vec<(LimitKind, u8)>,
}

impl Shares {
    /// The maximum number of shares.
    pub const MOST: usize = 8;

    /// Returns the shares in order; `None` for too many, none, one out of range, or a repeated one.
    pub fn new(percents: Vec<u8>) -> Option<Self> {
        let percents = in_order(percents, |percent| *percent);
        let is_one = |percent: &u8| (1..=REFUSED).contains(percent);
        let fits = (1..=Self::MOST).contains(&percents.len()) && percents.iter().all(is_one);
        let repeats = percents.windows(2).any(|pair| pair.first() == pair.last());
        (fits && !repeats).then_some(Self(percents))
    }

    /// Returns the shares that `used` of `limit` has come to, without that of a refusal.
    fn reached(&self, used: u64, limit: u64) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied().filter(move |percent| {
            let share = u128::from(limit).saturating_mul(u128::from(*percent));
            *percent < REFUSED && u128::from(used).saturating_mul(100) >= share
        })
    }
}

impl LimitKind {
    /// True for a limit whose shares are noticed: on a day, a week or a month, or on money.
    pub const fn is_noticed(self) -> bool {
        matches!(
            self.counted(),
            Counted::Sum(_, Per::Day | Per::Week | Per::Month) | Counted::Sum(Unit::Usd, _)
        )
    }
}

/// Returns the bytes that the marks of these limits take in a record.
pub fn mark_bytes(limits: &Limits) -> usize {
    let mut by_family: BTreeMap<FamilyKey, usize> = BTreeMap::new();
    for (kind, _) in limits.finite().filter(|(kind, _)| kind.is_noticed()) {
        let count = by_family.entry(kind.family()).or_default();
        *count = count.saturating_add(1);
    }
    let sections = by_family.into_values().map(noticed_bytes);
    sections.fold(0, usize::saturating_add)
}

/// Marks the shares that an account has come to, and returns the new ones. The record must be advanced
/// to `now`.
pub fn notice(
    record: &mut Record,
    plan: &Plan,
    shares: &Shares,
    occasion: Occasion,
    now: Now,
) -> ShareReport {
    let mut noticed = ShareReport::default();
    // Accounts that share a record are not told apart.
    if record.is_overflow() {
        return noticed;
    }
    let tells_refusals = shares.0.contains(&REFUSED);
    for one in plan.finite().iter().filter(|one| one.kind.is_noticed()) {
        let used = one.meter.used(record, now);
        let highest = shares.reached(used, one.limit).last();
        noticed.at.extend(highest.map(|share| (one.kind, share)));
        let refused = tells_refusals && occasion == Occasion::Refused(one.kind);
        if highest.is_none() && !refused {
            continue;
        }
        let is_decided = occasion != Occasion::Settled;
        let come_to = (highest.unwrap_or(0), refused);
        let Some(old) = mark(record, one, come_to, is_decided, now) else {
            continue;
        };
        let below = shares.reached(used, one.limit);
        let below = below.filter(|percent| *percent > old.share);
        let refusal = (refused && !old.refused).then_some(REFUSED);
        noticed
            .crossed
            .extend(below.chain(refusal).map(|percent| Crossing {
                kind: one.kind,
                percent,
                used,
                limit: one.limit,
                resets_in: one.meter.resets_in(record, now),
            }));
    }
    noticed
}

/// Marks that an account has come to a share, or to a refusal. Returns the mark of before, or an empty
/// one if none holds; `None` where there is nothing new, or nothing to tell.
fn mark(
    record: &mut Record,
    one: &Finite,
    (share, refused): (u8, bool),
    is_decided: bool,
    now: Now,
) -> Option<Mark> {
    let (family, name) = (one.meter.family, one.kind.as_str());
    let old = record.mark(family, name);
    let (until, holds) = match one.meter.part {
        MeterPart::Leases => return None,
        MeterPart::Period(calendar, _) => {
            let end = record.period(family, calendar)?.ends_at().as_millis();
            (end, old.is_some_and(|old| old.until == end))
        }
        MeterPart::Sliding(window, _) => {
            let (now, length) = (now.mono.as_millis(), window.length.as_millis());
            let left = old.map_or(0, |old| old.until.saturating_sub(now));
            (now.saturating_add(length), (1..=length).contains(&left))
        }
    };
    let old = match old.filter(|_| holds) {
        Some(old) => of_limit(old, one.limit, is_decided)?,
        None => Mark::default(),
    };
    if share <= old.share && (!refused || old.refused) {
        return None;
    }
    let new = Mark {
        share: share.max(old.share),
        refused: refused || old.refused,
        lowered: old.lowered,
        of: one.limit,
        until,
    };
    record.set_mark(family, name, &new).then_some(old)
}

/// Returns what a mark says of a limit of this size: nothing yet, for another one than it is of. `None`:
/// there is nothing to tell of such a limit.
///
/// A settlement may be one under a limit of before, and so may a decision while configs change. A limit
/// that is larger than the mark's is a new one. A smaller one is new to a decision, and only a few times:
/// two that alternate would be told with each request.
const fn of_limit(old: Mark, limit: u64, is_decided: bool) -> Option<Mark> {
    if limit == old.of {
        return Some(old);
    }
    let lowered = old.lowered.saturating_add((limit < old.of) as u8);
    if limit < old.of && (!is_decided || lowered > MOST_LOWERED) {
        return None;
    }
    Some(Mark {
        share: 0,
        refused: false,
        lowered,
        ..old
    })
}
