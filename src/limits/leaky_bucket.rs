//! A leaky bucket as a meter (ITU-T I.371, annex A), read off the window's log.
//!
//! Adaptive limits are kept so. Over whole windows, an account that had used its limit would be shut
//! out when the limit falls, and then burst at its full rate together with all others of its tier.
//!
//! ```text
//!        |<---- log since the last reduction ---->|
//! size   +----------------------------------------+  a tenth of the limit, at least 1
//! level  |########..####.......##..               |  each grain fills it, time drains it
//!      since                                     now
//! ```
//! The bucket drains at the limit's rate. It starts at the last reduction with room for exactly one
//! request, so the reduction itself refuses none, and a tier's accounts do not all come at once.

use crate::limits::window::{Log, LogColumn};
use crate::time::{Mono, Span};

/// The bucket holds this part of what the limit allows in a window.
const BUCKET_SHARE: u64 = 10;

/// A limit that is kept as a leaky bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeakyBucket {
    /// The limit of one window.
    pub limit: u64,
    /// The window.
    pub window: Span,
    /// Time of the last reduction.
    pub since: Mono,
}

impl LeakyBucket {
    /// The size of the bucket; at least one.
    const fn most(&self) -> u64 {
        let part = self.limit.div_euclid(BUCKET_SHARE);
        if part > 1 { part } else { 1 }
    }

    /// Converts a count to bucket units: 1 request is `window_ms` units, so the drain is exact.
    fn units(&self, n: u64) -> u128 {
        u128::from(n).saturating_mul(u128::from(self.window.as_millis().max(1)))
    }

    fn drained(&self, level: u128, time: Span) -> u128 {
        let drained = u128::from(self.limit).saturating_mul(u128::from(time.as_millis()));
        level.saturating_sub(drained)
    }

    /// The level of the bucket, in units.
    fn level(&self, log: &Log, now: Mono, column: LogColumn) -> u128 {
        // Room for exactly one request, so that the reduction itself refuses none.
        let (mut level, mut at) = (self.units(self.most().saturating_sub(1)), self.since);
        for grain in log.grains.iter().filter(|e| e.last > self.since) {
            level = self.drained(level, grain.last.since(at));
            level = level.saturating_add(self.units(grain.get(column)));
            at = grain.last;
        }
        self.drained(level, now.since(at))
    }

    /// How long until `need` more fits in; zero when it does now, `None` when the limit never allows
    /// that. What is more than half of the bucket needs one that is half empty, and may fill it over:
    /// or it would starve beside small ones.
    pub fn wait(&self, log: &Log, now: Mono, column: LogColumn, need: u64) -> Option<Span> {
        if need > self.limit {
            return None;
        }
        let (most, half) = (self.most(), self.most().div_euclid(2));
        let room = self.units(most.saturating_sub(need).max(half));
        let over = self.level(log, now, column).saturating_sub(room);
        let wait = over.div_ceil(u128::from(self.limit.max(1)));
        Some(Span::from_millis(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// The count that fits in now.
    pub fn left(&self, log: &Log, now: Mono, column: LogColumn) -> u64 {
        let level = self.level(log, now, column);
        let used = level.div_ceil(self.units(1));
        self.most()
            .saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }
}
