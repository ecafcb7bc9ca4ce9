//! The limit that refuses a request, among base, manual and adaptive limits.

use super::effective::{Cause, Scale};
use super::kinds::LimitKind;
use super::leaky_bucket::LeakyBucket;
use super::meter::{Meter, MeterPart};
use super::plan::Finite;
use super::record::Record;
use super::terms::{Ask, Terms};
use crate::time::{Mono, Now, Span};

/// The wait for a request that never fits.
const NEVER: Span = Span::from_millis(u64::MAX);

/// A limit that the request exceeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exceeded {
    pub kind: LimitKind,
    /// The size of the base limit.
    pub limit: u64,
    /// The use of the limit.
    pub used: u64,
    /// The time until the limit admits the request.
    pub wait: Span,
}

/// The limit that binds, and the wait to report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    /// The exceeded limit with the longest wait; a base limit, if one is exceeded.
    pub exceeded: Exceeded,
    /// The time until all limits admit the request.
    pub wait: Span,
    /// The limit with the longest wait.
    pub last: LimitKind,
    /// True when only lowered limits refuse.
    pub overloaded: bool,
}

/// The measure by which a set of limits is kept.
#[derive(Clone, Copy, Debug)]
enum Measure {
    /// The use over the complete window.
    Windowed,
    /// A leaky bucket, since the last reduction.
    Leaking(Mono),
}

/// Limits that hold together: the base limits, or those that a scale lowers.
#[derive(Clone, Copy, Debug)]
struct LimitSet {
    cause: Cause,
    scale: Scale,
    measure: Measure,
    /// The time until the limits expire; `None` for base and adaptive limits.
    ends_in: Option<Span>,
}

impl LimitSet {
    /// Returns the set's limit of a kind with this base; `None` for a kind that it does not lower.
    fn limit(&self, kind: LimitKind, base: u64) -> Option<u64> {
        let lowered = self.cause.lower(self.scale, kind, base);
        (self.cause == Cause::Base || lowered < base).then_some(lowered)
    }
}

/// One check of a request against a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check<'a> {
    pub record: &'a Record,
    pub terms: &'a Terms<'a>,
    pub now: Now,
}

impl Check<'_> {
    /// Returns the limit that refuses `ask`; `None` when all limits admit it.
    pub fn binding(&self, ask: &Ask) -> Option<Binding> {
        let [base, manual, adaptive] = self.sets();
        let exceeded = |set: Option<LimitSet>| self.exceeded(ask, &set?);
        let base = exceeded(base);
        let all = [base, exceeded(manual), exceeded(adaptive)];
        let longest = all.into_iter().flatten().max_by_key(|e| e.wait)?;
        Some(Binding {
            exceeded: base.unwrap_or(longest),
            wait: longest.wait,
            last: longest.kind,
            overloaded: base.is_none(),
        })
    }

    /// Returns the smallest rest of a limit over all sets; `None` where the base is unlimited.
    pub fn remaining(&self, kind: LimitKind) -> Option<u64> {
        let base = self.terms.plan.limits().of(kind).finite()?;
        let sets = self.sets().into_iter().flatten();
        sets.filter_map(|set| self.rest(&set, kind, base)).min()
    }

    /// Returns the use of a limit kind.
    #[inline]
    pub fn used(&self, kind: LimitKind) -> u64 {
        self.meter(kind).used(self.record, self.now)
    }

    /// Returns the time until nothing of a kind is used, if nothing more happens.
    pub fn resets_in(&self, kind: LimitKind) -> Span {
        self.meter(kind).resets_in(self.record, self.now)
    }

    /// Returns the sets that hold now: base, manual, adaptive.
    fn sets(&self) -> [Option<LimitSet>; 3] {
        let base = LimitSet {
            cause: Cause::Base,
            scale: Scale::ONE,
            measure: Measure::Windowed,
            ends_in: None,
        };
        let lowered = self.terms.lowered.unwrap_or_default();
        let manual = lowered.manual.map(|manual| LimitSet {
            cause: Cause::Manual,
            scale: manual.value,
            measure: Measure::Windowed,
            ends_in: Some(manual.expires_at.since(self.now.mono)),
        });
        let adaptive = lowered.adaptive.map(|adaptive| LimitSet {
            cause: Cause::Adaptive,
            scale: adaptive.scale,
            measure: Measure::Leaking(adaptive.since),
            ends_in: None,
        });
        [Some(base), manual, adaptive]
    }

    fn exceeded(&self, ask: &Ask, set: &LimitSet) -> Option<Exceeded> {
        let exceeded = self.terms.plan.finite().iter().filter_map(|one| {
            let limit = set.limit(one.kind, one.limit)?;
            if ask.is_free(one.kind) || self.fits(ask, set, one, limit) {
                return None;
            }
            let wait = self.wait(ask, set, one, limit);
            (wait > Span::ZERO).then(|| Exceeded {
                kind: one.kind,
                limit: one.limit,
                used: one.meter.used(self.record, self.now),
                wait,
            })
        });
        let longest = exceeded.max_by_key(|exceeded| exceeded.wait)?;
        let ends_in = set.ends_in.unwrap_or(NEVER);
        Some(Exceeded {
            wait: longest.wait.min(ends_in),
            ..longest
        })
    }

    /// True when a limit admits the request, by the running sums alone.
    #[inline]
    fn fits(&self, ask: &Ask, set: &LimitSet, one: &Finite, limit: u64) -> bool {
        if let (MeterPart::Sliding(..), Measure::Leaking(_)) = (one.meter.part, set.measure) {
            return false;
        }
        let room = limit.checked_sub(ask.need(one.kind));
        room.is_some_and(|room| one.meter.used(self.record, self.now) <= room)
    }

    /// Returns the time for which a limit refuses.
    ///
    /// A request larger than a *manual* limit waits until the lowering expires. A request larger
    /// than an *adaptive* limit retries after one window, as that end is unknown. `admit` has
    /// refused requests larger than a base limit.
    fn wait(&self, ask: &Ask, set: &LimitSet, one: &Finite, limit: u64) -> Span {
        let (record, need) = (self.record, ask.need(one.kind));
        match (one.meter.part, set.measure) {
            (MeterPart::Leases, _) => self.terms.concurrency_wait,
            (MeterPart::Sliding(window, unit), Measure::Leaking(since)) => {
                let bucket = LeakyBucket::new(limit, (one.meter.family, window), since);
                let wait = bucket.wait(record, self.now.mono, unit, need);
                wait.unwrap_or(window.length)
            }
            _ => {
                let wait = one.meter.wait(record, self.now, need, limit);
                wait.unwrap_or(NEVER)
            }
        }
    }

    fn rest(&self, set: &LimitSet, kind: LimitKind, base: u64) -> Option<u64> {
        let limit = set.limit(kind, base)?;
        let meter = self.meter(kind);
        Some(match (meter.part, set.measure) {
            (MeterPart::Sliding(window, unit), Measure::Leaking(since)) => {
                let bucket = LeakyBucket::new(limit, (meter.family, window), since);
                bucket.left(self.record, self.now.mono, unit)
            }
            _ => limit.saturating_sub(self.used(kind)),
        })
    }

    const fn meter(&self, kind: LimitKind) -> Meter {
        Meter::of(kind, self.terms.plan.windows())
    }
}
