//! Admission: admits a request against all limits at once, or names the limit that refuses it.

use super::check::Check;
use super::kinds::LimitKind;
use super::meter::MeterPart;
use super::plan::Plan;
use super::record::Record;
use super::snapshot::{RefusedBy, Snapshot};
use super::terms::{Ask, Reservation, Terms};
use crate::time::{Now, Span};

/// A refusal by a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The limits that the client is told.
    pub snapshot: Snapshot,
}

/// The decision on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    record.advance(now, terms.plan.windows());
    if let Some((kind, limit)) = too_large(ask, terms.plan) {
        let need = ask.need(kind);
        return Decision::TooLarge { kind, limit, need };
    }
    let terms = &terms.at(now);
    let check = Check { record, terms, now };
    if let Some(binding) = check.binding(ask) {
        let exceeded = binding.exceeded;
        return Decision::Limited(Limited {
            kind: exceeded.kind,
            limit: exceeded.limit,
            used: exceeded.used,
            wait: binding.wait,
            last: binding.last,
            overloaded: binding.overloaded,
            snapshot: Snapshot {
                refused: Some(RefusedBy {
                    kind: exceeded.kind,
                    wait: binding.wait,
                }),
                ..snapshot(&check, ask)
            },
        });
    }
    let reservation = enter(record, ask, terms, now);
    let snapshot = snapshot(&Check { record, terms, now }, ask);
    Decision::Admitted(reservation, snapshot)
}

fn snapshot(check: &Check<'_>, ask: &Ask) -> Snapshot {
    let tells = check.terms.tells;
    tells.map_or_else(Snapshot::default, |tells| {
        Snapshot::of(check, tells, ask.amounts.tokens)
    })
}

/// Returns the limit on tokens or money that the request alone exceeds.
fn too_large(ask: &Ask, plan: &Plan) -> Option<(LimitKind, u64)> {
    let consumed = plan.finite().iter().filter(|one| one.kind.is_consumed());
    let mut consumed = consumed.filter(|one| ask.need(one.kind) > one.limit);
    consumed.next().map(|one| (one.kind, one.limit))
}

fn enter(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Reservation {
    let amounts = &ask.amounts;
    let mut reservation = Reservation::new(now.mono, *amounts, ask.holder);
    for sum in terms.plan.sums() {
        let (meter, family, units) = (sum.meter, sum.meter.family, sum.units);
        let counts = units.iter().any(|unit| amounts.get(unit) > 0);
        let amounts = &amounts.without(sum.uncounted);
        match meter.part {
            MeterPart::Sliding(window, _) if counts => {
                record.add(now.mono, family, window, units, amounts);
            }
            MeterPart::Period(calendar, _) => {
                if counts {
                    let period = (calendar, terms.plan.windows().day);
                    record.add_to_period(now, family, period, units, amounts);
                }
                let end = record.period(family, calendar);
                let end = end.map(|period| period.ends_at());
                reservation.of_mut(family).periods.set(calendar, end);
            }
            MeterPart::Leases | MeterPart::Sliding(..) => {}
        }
    }
    for family in terms.plan.leases() {
        reservation.of_mut(*family).leased = record.acquire(*family, ask.holder);
    }
    reservation.overflow = record.is_overflow();
    reservation
}
