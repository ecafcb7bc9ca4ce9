//! Notices: an account comes to a share of a limit for the first time in its period.

use super::kinds::{Counted, LimitKind, Per};
use super::meter::MeterPart;
use super::plan::{Finite, Plan};
use super::record::Record;
use super::units::Unit;
use crate::time::{Now, Span};

/// The share of a refusal.
const REFUSED: u8 = 100;

/// The shares at which an account is noticed, in percent, ascending: 1 to 8 of 1 to 100. An account
/// comes to 100 with its first refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(Vec<u8>);

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

/// What there is to say of an account's shares after a decision.
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
    pub fn new(mut percents: Vec<u8>) -> Option<Self> {
        percents.sort_unstable();
        let is_one = |percent: &u8| (1..=REFUSED).contains(percent);
        let fits = (1..=Self::MOST).contains(&percents.len()) && percents.iter().all(is_one);
        let repeats = percents.windows(2).any(|pair| pair.first() == pair.last());
        (fits && !repeats).then_some(Self(percents))
    }

    /// Returns the shares that `used` of `limit` has come to, without that of a refusal.
    fn reached(&self, used: u64, limit: u64) -> impl Iterator<Item = (usize, u8)> + '_ {
        let percents = self.0.iter().copied().enumerate();
        percents.filter(move |(_, percent)| {
            let share = u128::from(limit).saturating_mul(u128::from(*percent));
            *percent < REFUSED && u128::from(used).saturating_mul(100) >= share
        })
    }

    /// Returns the position of a refusal's share.
    fn refused(&self) -> Option<(usize, u8)> {
        let mut all = self.0.iter().copied().enumerate();
        all.find(|(_, percent)| *percent == REFUSED)
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

/// Marks the shares that an account has come to, and returns the new ones. `refused` is the limit
/// that refused the request. The record must be advanced to `now`.
pub fn notice(
    record: &mut Record,
    plan: &Plan,
    shares: &Shares,
    refused: Option<LimitKind>,
    now: Now,
) -> ShareReport {
    let mut noticed = ShareReport::default();
    // Accounts that share a record are not told apart.
    if record.is_overflow() {
        return noticed;
    }
    for one in plan.finite().iter().filter(|one| one.kind.is_noticed()) {
        let used = one.meter.used(record, now);
        let by_refusal = shares.refused().filter(|_| refused == Some(one.kind));
        let reached: Vec<_> = shares.reached(used, one.limit).chain(by_refusal).collect();
        let highest = reached
            .iter()
            .filter(|(_, percent)| *percent < REFUSED)
            .max();
        noticed
            .at
            .extend(highest.map(|(_, percent)| (one.kind, *percent)));
        if reached.is_empty() {
            continue;
        }
        let new = mark(record, one, &reached, now);
        let crossed = reached.iter().filter(|(bit, _)| new & share_bit(*bit) != 0);
        noticed.crossed.extend(crossed.map(|(_, percent)| Crossing {
            kind: one.kind,
            percent: *percent,
            used,
            limit: one.limit,
            resets_in: one.meter.resets_in(record, now),
        }));
    }
    noticed
}

fn share_bit(position: usize) -> u8 {
    u32::try_from(position)
        .ok()
        .and_then(|position| 1_u8.checked_shl(position))
        .unwrap_or(0)
}

/// Marks shares in the record; returns the bits of those that were not marked for this period.
fn mark(record: &mut Record, one: &Finite, reached: &[(usize, u8)], now: Now) -> u8 {
    let bits = reached
        .iter()
        .fold(0, |bits, (bit, _)| bits | share_bit(*bit));
    let (family, name) = (one.meter.family, one.kind.as_str());
    match one.meter.part {
        MeterPart::Leases => 0,
        MeterPart::Period(calendar, _) => {
            let Some(period) = record.period(family, calendar) else {
                return 0;
            };
            let end = period.ends_at().as_millis();
            record.notice(family, name, bits, end, |until| until == end)
        }
        MeterPart::Sliding(window, _) => {
            let (now, length) = (now.mono.as_millis(), window.length.as_millis());
            let holds = |until: u64| now < until && until.saturating_sub(now) <= length;
            record.notice(family, name, bits, now.saturating_add(length), holds)
        }
    }
}
