//! The limit that refuses a request, among base, manual and adaptive limits.

use super::kinds::{LimitKind, Limits};
use super::leaky_bucket::LeakyBucket;
use super::record::{Meter, Record};
use super::terms::{Ask, Terms};
use crate::time::{Mono, Now, Span};

/// The wait for a request that never fits.
const NEVER: Span = Span::from_millis(u64::MAX);

/// A limit that the request exceeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exceeded {
    pub kind: LimitKind,
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

/// Limits that hold together.
#[derive(Clone, Copy, Debug)]
struct LimitSet<'a> {
    limits: &'a Limits,
    measure: Measure,
    /// The time until the limits expire; `None` for base and adaptive limits.
    ends_in: Option<Span>,
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
        let exceeded = |set: Option<LimitSet<'_>>| self.exceeded(ask, &set?);
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
        self.terms.limits[kind].finite()?;
        let sets = self.sets().into_iter().flatten();
        sets.filter_map(|set| self.rest(&set, kind)).min()
    }

    /// Returns the sets that hold now: base, manual, adaptive.
    fn sets(&self) -> [Option<LimitSet<'_>>; 3] {
        let base = LimitSet {
            limits: self.terms.limits,
            measure: Measure::Windowed,
            ends_in: None,
        };
        let lowered = self.terms.lowered.as_ref();
        let manual = lowered.and_then(|lowered| lowered.manual.as_ref());
        let adaptive = lowered.and_then(|lowered| lowered.adaptive.as_ref());
        let manual = manual.map(|manual| LimitSet {
            limits: &manual.value,
            measure: Measure::Windowed,
            ends_in: Some(manual.expires_at.since(self.now.mono)),
        });
        let adaptive = adaptive.map(|adaptive| LimitSet {
            limits: &adaptive.limits,
            measure: Measure::Leaking(adaptive.since),
            ends_in: None,
        });
        [Some(base), manual, adaptive]
    }

    fn exceeded(&self, ask: &Ask, set: &LimitSet<'_>) -> Option<Exceeded> {
        let exceeded = LimitKind::ALL.into_iter().filter_map(|kind| {
            let wait = self.wait(ask, set, kind)?;
            (wait > Span::ZERO).then(|| Exceeded {
                kind,
                used: self.record.used(kind),
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

    /// Returns the time for which a limit refuses; `None` where it is unlimited.
    ///
    /// A request larger than a *manual* limit waits until the lowering expires. A request larger
    /// than an *adaptive* limit retries after one window, as that end is unknown. `admit` has
    /// refused requests larger than a base limit.
    fn wait(&self, ask: &Ask, set: &LimitSet<'_>, kind: LimitKind) -> Option<Span> {
        let limit = set.limits[kind].finite()?;
        let (record, windows) = (self.record, self.terms.windows);
        let wait = match (Meter::of(kind), set.measure) {
            (Meter::Leases, _) if record.leases.count() >= limit => {
                Some(self.terms.concurrency_wait)
            }
            (Meter::Leases, _) => Some(Span::ZERO),
            (Meter::Minute(column), Measure::Windowed) => {
                let (log, need) = (&record.minute, ask.need(kind));
                log.wait(self.now.mono, windows.minute, column, need, limit)
            }
            (Meter::Minute(column), Measure::Leaking(since)) => {
                let bucket = self.bucket(limit, since);
                bucket.wait(&record.minute, self.now.mono, column, ask.need(kind))
            }
            (Meter::Day, _) => record
                .day
                .wait(self.now, windows.day, ask.need(kind), limit),
        };
        let never = match set.measure {
            Measure::Windowed => NEVER,
            Measure::Leaking(_) => windows.minute,
        };
        Some(wait.unwrap_or(never))
    }

    fn rest(&self, set: &LimitSet<'_>, kind: LimitKind) -> Option<u64> {
        let limit = set.limits[kind].finite()?;
        Some(match (Meter::of(kind), set.measure) {
            (Meter::Minute(column), Measure::Leaking(since)) => {
                let bucket = self.bucket(limit, since);
                bucket.left(&self.record.minute, self.now.mono, column)
            }
            _ => limit.saturating_sub(self.record.used(kind)),
        })
    }

    fn bucket(&self, limit: u64, since: Mono) -> LeakyBucket {
        LeakyBucket {
            limit,
            window: self.terms.windows.minute,
            since,
        }
    }
}
