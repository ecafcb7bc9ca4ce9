//! The numbers of a record for clients and operators.

use super::check::Check;
use super::kinds::{LimitKind, Per};
use super::per_limit::PerLimit;
use super::record::Record;
use super::terms::Terms;
use super::units::Unit;
use crate::time::{Now, Span, Wall};
use smallvec::SmallVec;

/// One limit as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// The base limit.
    pub limit: u64,
    /// The rest of the effective limit.
    pub remaining: u64,
    /// The use, with this request if it was admitted.
    pub used: u64,
    /// The time until nothing is used.
    pub resets_in: Span,
    /// The length of the window; `None` for leases, and for a month, which has no fixed one.
    pub window: Option<Span>,
}

/// The limits that a snapshot keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tells {
    /// Those on a unit over a time.
    pub kinds: Vec<(Unit, Per)>,
    /// Those of a day and longer.
    pub long: bool,
    /// All.
    pub all: bool,
    /// True when the moment of the decision is kept too.
    pub wall: bool,
}

impl Tells {
    fn keeps(&self, kind: LimitKind) -> bool {
        let is = |(unit, per): &(Unit, Per)| kind.is(*unit, *per);
        self.all || (self.long && kind.is_long()) || self.kinds.iter().any(is)
    }
}

/// A limit that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedBy {
    /// The limit.
    pub kind: LimitKind,
    /// The time until all limits admit the request, as `retry-after` tells it.
    pub wait: Span,
    /// True when it refuses as it is lowered for now, and would not by itself.
    pub overloaded: bool,
}

/// The limits that a client is told, at the moment of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The default headers tell two limits, which need no allocation.
    pub(super) told: SmallVec<[(LimitKind, Gauge); 2]>,
    /// The moment, if it is told.
    pub wall: Option<Wall>,
    /// The weighted tokens that the request reserves.
    pub cost: Option<u64>,
    /// The limit that refused the request.
    pub refused: Option<RefusedBy>,
}

impl FromIterator<(LimitKind, Gauge)> for Snapshot {
    fn from_iter<I: IntoIterator<Item = (LimitKind, Gauge)>>(limits: I) -> Self {
        Self {
            told: limits.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl Snapshot {
    /// Lowers what remains of each limit to what others leave of it, where that is known.
    pub fn cap(&mut self, left: impl Fn(LimitKind) -> Option<u64>) {
        for (kind, gauge) in &mut self.told {
            if let Some(left) = left(*kind) {
                gauge.remaining = gauge.remaining.min(left);
            }
        }
    }

    /// Returns the limits, in order.
    pub fn all(&self) -> impl Iterator<Item = (LimitKind, &Gauge)> {
        self.told.iter().map(|(kind, gauge)| (*kind, gauge))
    }

    /// Returns the tightest limit on a unit over a time; `None` where it is unlimited, or not kept.
    pub fn tightest(&self, unit: Unit, per: Per) -> Option<&Gauge> {
        let gauges = self.all().filter(|(kind, _)| kind.is(unit, per));
        let gauges = gauges.map(|(_, gauge)| gauge);
        gauges.min_by_key(|gauge| gauge.remaining)
    }

    /// Returns the snapshot of a refusal whose client is told this wait.
    #[must_use]
    pub fn waiting(&self, wait: Span) -> Self {
        let refused = self.refused.map(|refused| RefusedBy { wait, ..refused });
        Self {
            refused,
            ..self.clone()
        }
    }

    pub(super) fn of(check: &Check<'_>, tells: &Tells, cost: u64) -> Self {
        let finite = check.terms.plan.finite().iter();
        let kept = finite
            .filter(|one| tells.keeps(one.kind))
            .filter_map(|one| {
                let gauge = Gauge {
                    limit: one.limit,
                    remaining: check.remaining(one.kind)?,
                    used: check.used(one.kind),
                    resets_in: check.resets_in(one.kind),
                    window: one.meter.window(),
                };
                Some((one.kind, gauge))
            });
        Self {
            told: kept.collect(),
            wall: check.now.wall.filter(|_| tells.wall),
            cost: Some(cost),
            refused: None,
        }
    }
}

/// The use of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The amount; `None` where it is unlimited, which is not counted.
    pub used: Option<u64>,
    /// The rest of the effective limit; `None` where it is unlimited.
    pub remaining: Option<u64>,
    /// The time until nothing is used, if nothing more happens; zero for leases.
    pub resets_in: Span,
}

/// Returns the use of each limit. A record keeps only the meters that a finite limit needs.
///
/// Without `known` limits, as of an account whose tier is not known, each use is told. The caller
/// must have dropped the leases of lost VMs.
pub fn levels(record: &mut Record, terms: &Terms<'_>, known: bool, now: Now) -> PerLimit<Level> {
    record.advance(now, terms.plan.windows());
    let terms = &terms.at(now);
    let check = Check { record, terms, now };
    terms.plan.limits().map(|kind, limit| Level {
        used: (limit.finite().is_some() || !known).then(|| check.used(kind)),
        remaining: check.remaining(kind),
        resets_in: check.resets_in(kind),
    })
}
