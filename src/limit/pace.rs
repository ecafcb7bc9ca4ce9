//! A limit kept as a pace: what it allows in a window, a tenth of it at a time.
//!
//! Limits that follow the load are kept so. Over whole windows, an account that had used all of its
//! limit would be shut out for a part of the window when that is lowered, and then let through at
//! its full rate for the rest, in step with all others of its tier. Each account's tenths begin at a
//! moment of its own, so what many accounts send comes evenly.

use super::record::Windows;
use super::window::{Column, Log};
use crate::time::{Mono, Span};

/// Into how many parts a window is cut.
const PARTS: u64 = 10;

/// A limit's pace for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// So much at most in each part.
    most: u64,
    /// The length of a part, in milliseconds.
    part: u64,
    /// Which moment parts begin at.
    phase: u64,
}

impl Pace {
    /// The pace of `limit` in a window, for an event that needs so much at once; `None` when the
    /// limit never allows that. `phase` is any number that is the account's own.
    pub fn of(limit: u64, windows: &Windows, need: u64, phase: u64) -> Option<Self> {
        let most = limit.div_euclid(PARTS).max(need).max(1);
        if most > limit {
            return None;
        }
        let window = u128::from(windows.minute.as_millis());
        let part = window.saturating_mul(u128::from(most));
        let part = part.div_ceil(u128::from(limit).max(1));
        let part = u64::try_from(part).unwrap_or(u64::MAX).max(1);
        Some(Self {
            most,
            part,
            phase: phase.checked_rem(part).unwrap_or(0),
        })
    }

    /// Since when the part lasts that `now` is in.
    fn begun(&self, now: Mono) -> Mono {
        let into = now.as_millis().saturating_add(self.phase);
        now.before(Span::from_millis(into.checked_rem(self.part).unwrap_or(0)))
    }

    /// How long until `need` more fits in; zero when it does now.
    pub fn wait(&self, log: &Log, now: Mono, column: Column, need: u64) -> Span {
        if need <= self.left(log, now, column) {
            return Span::ZERO;
        }
        let next = self.begun(now).after(Span::from_millis(self.part));
        next.since(now)
    }

    /// What fits in now.
    pub fn left(&self, log: &Log, now: Mono, column: Column) -> u64 {
        let used = log.used_since(self.begun(now), column);
        self.most.saturating_sub(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::day::DayRule;

    fn pace(limit: u64, need: u64) -> Option<(u64, u64)> {
        let windows = Windows {
            minute: Span::from_secs(60),
            day: DayRule::Calendar { offset_minutes: 0 },
        };
        Pace::of(limit, &windows, need, 7).map(|p| (p.most, p.part))
    }

    #[test]
    fn a_tenth_at_a_time_or_one_by_one_and_large_ones_take_their_time() {
        assert_eq!(pace(100, 1), Some((10, 6_000)));
        assert_eq!(pace(3, 1), Some((1, 20_000)));
        assert_eq!(pace(1, 1), Some((1, 60_000)));
        assert_eq!(pace(100_000, 30_000), Some((30_000, 18_000)));
        assert_eq!(pace(100_000, 100_000), Some((100_000, 60_000)));
        assert_eq!(pace(100_000, 100_001), None);
    }
}
