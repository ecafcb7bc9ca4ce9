//! The numbers of a record for clients and operators.

use super::check::Check;
use super::kinds::{LimitKind, Per};
use super::per_limit::PerLimit;
use super::record::Record;
use super::terms::Terms;
use super::units::Unit;
use crate::time::{Now, Span};

/// One limited window as a client sees it.
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
}

/// The minute windows at the moment of the decision; `None` where unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// RPM.
    pub requests: Option<Gauge>,
    /// TPM.
    pub tokens: Option<Gauge>,
}

impl Snapshot {
    pub(super) fn of(check: &Check<'_>) -> Self {
        let gauge = |(kind, limit): (LimitKind, u64)| {
            Some(Gauge {
                limit,
                remaining: check.remaining(kind)?,
                used: check.used(kind),
                resets_in: check.resets_in(kind),
            })
        };
        let tightest = |unit: Unit| {
            let kinds = check.terms.plan.limits().finite();
            let gauges = kinds.filter(|(kind, _)| kind.is(unit, Per::Minute));
            gauges.filter_map(gauge).min_by_key(|gauge| gauge.remaining)
        };
        Self {
            requests: tightest(Unit::Requests),
            tokens: tightest(Unit::Tokens),
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
