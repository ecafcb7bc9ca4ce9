//! A leaky bucket as a meter (ITU-T I.371, annex A), computed from the window's log.
//!
//! Adaptive limits use it. With complete windows, a falling limit would block each account that
//! had used the limit. All accounts of a tier would then burst together at their full rate.
//!
//! ```text
//!        |<---- log since the last reduction ---->|
//! size   +----------------------------------------+  a tenth of the limit, at least 1
//! level  |########..####.......##..               |  each grain fills it, time drains it
//!      since                                     now
//! ```
//! The bucket drains at the limit's rate. Its level at the last reduction is what the log shows, at the
//! reduced rate, and full at most. So an account that was idle is not refused for the reduction, and
//! one that was busy is not refused for longer than its bucket takes to drain.

use super::record::{FamilyKey, Record, Window};
use super::units::Unit;
use crate::time::{Mono, Span};

/// The number by which a limit is divided for the size of its bucket.
const BUCKET_SHARE: u64 = 10;

/// A limit that is kept as a leaky bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeakyBucket {
    /// The limit of one window.
    pub limit: u64,
    /// The family of models, or the account.
    pub family: FamilyKey,
    /// The window.
    pub window: Window,
    /// Time of the last reduction.
    pub since: Mono,
}

impl LeakyBucket {
    /// Creates the bucket of a limit.
    pub const fn new(limit: u64, (family, window): (FamilyKey, Window), since: Mono) -> Self {
        Self {
            limit,
            family,
            window,
            since,
        }
    }

    /// Returns the size of the bucket; at least one.
    const fn most(&self) -> u64 {
        let part = self.limit.div_euclid(BUCKET_SHARE);
        if part > 1 { part } else { 1 }
    }

    /// Converts a count to bucket units: 1 request is `window_ms` units, so the drain is exact.
    fn units(&self, n: u64) -> u128 {
        u128::from(n).saturating_mul(u128::from(self.window.length.as_millis().max(1)))
    }

    fn drained(&self, level: u128, time: Span) -> u128 {
        let drained = u128::from(self.limit).saturating_mul(u128::from(time.as_millis()));
        level.saturating_sub(drained)
    }

    /// Returns the level of the bucket, in units.
    fn level(&self, record: &Record, now: Mono, unit: Unit) -> u128 {
        let full = self.units(self.most());
        let (mut level, mut at) = (0, Mono::default());
        let log = record.log(self.family, self.window);
        for grain in log.into_iter().flat_map(|log| log.grains()) {
            if at < self.since && grain.last >= self.since {
                level = self.drained(level, self.since.since(at)).min(full);
                at = self.since;
            }
            level = self.drained(level, grain.last.since(at));
            level = level.saturating_add(self.units(grain.amount(unit)));
            at = grain.last;
        }
        if at < self.since {
            level = self.drained(level, self.since.since(at)).min(full);
            at = self.since;
        }
        self.drained(level, now.since(at))
    }

    /// Returns the time until `need` more fits; zero when it fits now, `None` when it exceeds the
    /// limit.
    ///
    /// A need of more than half the bucket waits for a half-empty bucket and may overfill it.
    /// Otherwise small requests would starve large ones.
    pub fn wait(&self, record: &Record, now: Mono, unit: Unit, need: u64) -> Option<Span> {
        if need > self.limit {
            return None;
        }
        let (most, half) = (self.most(), self.most().div_euclid(2));
        let room = self.units(most.saturating_sub(need).max(half));
        let over = self.level(record, now, unit).saturating_sub(room);
        let wait = over.div_ceil(u128::from(self.limit.max(1)));
        Some(Span::from_millis(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Returns the count that fits now.
    pub fn left(&self, record: &Record, now: Mono, unit: Unit) -> u64 {
        let level = self.level(record, now, unit);
        let used = level.div_ceil(self.units(1));
        self.most()
            .saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }
}
