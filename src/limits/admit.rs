//! Admission: admits a request against all limits at once, or names the limit that refuses it.

use super::check::Check;
use super::kinds::{LimitKind, Limits};
use super::meter::{ACCOUNT, Meter, needed};
use super::record::Record;
use super::snapshot::Snapshot;
use super::terms::{Ask, PeriodEnds, Reservation, Terms};
use crate::time::{Now, Span};

/// A refusal by a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The exceeded limit with the longest wait; a base limit, if one is exceeded.
    pub kind: LimitKind,
    /// The size of the base limit.
    pub limit: u64,
    /// The use of the limit.
    pub used: u64,
    /// The time until a retry can succeed, if no other request comes.
    pub wait: Span,
    /// The limit with that wait; not `kind` where a lowered limit refuses for longer.
    pub last: LimitKind,
    /// True when only lowered limits refuse.
    pub overloaded: bool,
    /// The minute windows.
    pub snapshot: Snapshot,
}

/// The decision on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Admitted and recorded.
    Admitted(Reservation, Snapshot),
    /// Exceeded for now; the record has only lost expired usage.
    Limited(Limited),
    /// Exceeded for good: the request alone asks for more tokens than `limit`.
    TooLarge {
        /// A limit on tokens.
        kind: LimitKind,
        /// The size of the base limit.
        limit: u64,
        /// The tokens that the request needs of it.
        need: u64,
    },
}

/// Decides on a request and records an admitted one.
///
/// The caller must have dropped the leases of lost VMs.
pub fn admit(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Decision {
    record.advance(now, terms.windows);
    if let Some((kind, limit)) = too_large(ask, terms.limits) {
        let need = ask.need(kind);
        return Decision::TooLarge { kind, limit, need };
    }
    let terms = &terms.at(now);
    let check = Check { record, terms, now };
    if let Some(binding) = check.binding(ask) {
        let exceeded = binding.exceeded;
        return Decision::Limited(Limited {
            kind: exceeded.kind,
            limit: terms.limits.of(exceeded.kind).finite().unwrap_or(0),
            used: exceeded.used,
            wait: binding.wait,
            last: binding.last,
            overloaded: binding.overloaded,
            snapshot: Snapshot::of(&check),
        });
    }
    let reservation = enter(record, ask, terms, now);
    let snapshot = Snapshot::of(&Check { record, terms, now });
    Decision::Admitted(reservation, snapshot)
}

/// Returns the token limit that the request alone exceeds.
fn too_large(ask: &Ask, limits: &Limits) -> Option<(LimitKind, u64)> {
    let mut tokens = limits.finite().filter(|(kind, _)| kind.counts_tokens());
    tokens.find(|(kind, limit)| ask.need(*kind) > *limit)
}

fn enter(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Reservation {
    let (limits, windows, amounts) = (terms.limits, terms.windows, &ask.amounts);
    let mut periods = PeriodEnds::default();
    for (meter, units) in needed(limits, windows) {
        let counts = units.iter().any(|unit| amounts.get(unit) > 0);
        match meter {
            Meter::Sliding(window, _) if counts => {
                record.add(now.mono, ACCOUNT, window, units, amounts);
            }
            Meter::Period(calendar, _) => {
                if counts {
                    let period = (calendar, windows.day);
                    record.add_to_period(now, ACCOUNT, period, units, amounts);
                }
                let period = record.period(ACCOUNT, calendar);
                periods.set(calendar, period.map(|period| period.ends_at()));
            }
            Meter::Leases | Meter::Sliding(..) => {}
        }
    }
    let leased = limits.limits_concurrency() && record.acquire(ACCOUNT, ask.holder);
    Reservation {
        at: now.mono,
        periods,
        reserved: *amounts,
        holder: leased.then_some(ask.holder),
        overflow: record.is_overflow(),
    }
}
