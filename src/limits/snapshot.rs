//! The numbers of a record for clients and operators.

use super::check::Check;
use super::kinds::{LimitKind, PerLimit};
use super::record::Record;
use super::terms::Terms;
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
        let gauge = |kind: LimitKind| {
            Some(Gauge {
                limit: check.terms.limits[kind].finite()?,
                remaining: check.remaining(kind)?,
                used: check.used(kind),
                resets_in: check.resets_in(kind),
            })
        };
        Self {
            requests: gauge(LimitKind::Rpm),
            tokens: gauge(LimitKind::Tpm),
        }
    }
}

/// The use of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The amount.
    pub used: u64,
    /// The rest of the effective limit; `None` where it is unlimited.
    pub remaining: Option<u64>,
    /// The time until nothing is used, if nothing more happens; zero for leases.
    pub resets_in: Span,
}

/// Returns the use of each limit kind. A record keeps only the meters that a limit needs.
///
/// The caller must have dropped the leases of lost VMs.
pub fn levels(record: &mut Record, terms: &Terms<'_>, now: Now) -> PerLimit<Level> {
    record.advance(now, terms.windows);
    let terms = &terms.at(now);
    let check = Check { record, terms, now };
    PerLimit::from_fn(|kind| Level {
        used: check.used(kind),
        remaining: check.remaining(kind),
        resets_in: check.resets_in(kind),
    })
}
