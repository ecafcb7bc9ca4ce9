//! Admission: admits a request against all limits at once, or names the limit that refuses it.

use super::check::{Binding, Check, Exceeded};
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

/// The view of others on a request that the record's own limits admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It is admitted.
    Open,
    /// It waits, and nothing is recorded.
    Waits,
    /// It is refused by this limit of the plan.
    Refuses(GateRefusal),
}

/// A refusal by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateRefusal {
    /// The limit.
    pub kind: LimitKind,
    /// The size of the base limit.
    pub limit: u64,
    /// The use of the limit, by all.
    pub used: u64,
    /// The time until a retry can succeed; `None` where the end of a lease decides.
    pub wait: Option<Span>,
    /// True where nobody could be asked.
    pub overloaded: bool,
}

/// Decides on a request and records an admitted one.
///
/// The caller must have dropped the leases of lost VMs.
pub fn admit(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Decision {
    let terms = &terms.at(now);
    match refuse(record, ask, terms, now) {
        Some(refusal) => refusal,
        None => accept(record, ask, terms, now),
    }
}

/// Decides on a request as [`admit`] does, where others have a say too: `gate` runs on the advanced
/// record of a request that the record's own limits admit. `None` for a request that waits.
pub fn admit_through(
    record: &mut Record,
    ask: &Ask,
    terms: &Terms<'_>,
    now: Now,
    gate: &mut dyn FnMut(&Record) -> Gate,
) -> Option<Decision> {
    let terms = &terms.at(now);
    if let Some(refusal) = refuse(record, ask, terms, now) {
        return Some(refusal);
    }
    match gate(record) {
        Gate::Open => Some(accept(record, ask, terms, now)),
        Gate::Waits => None,
        Gate::Refuses(refusal) => {
            let check = Check { record, terms, now };
            Some(limited(&check, ask, &refusal.binding(terms)))
        }
    }
}

/// Advances the record, and returns the refusal of a request by its limits.
fn refuse(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Option<Decision> {
    record.advance(now, terms.plan.windows());
    if let Some((kind, limit)) = too_large(ask, terms.plan) {
        let need = ask.need(kind);
        return Some(Decision::TooLarge { kind, limit, need });
    }
    let check = Check { record, terms, now };
    let binding = check.binding(ask)?;
    Some(limited(&check, ask, &binding))
}

/// Records a request.
fn accept(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Decision {
    let reservation = enter(record, ask, terms, now);
    let snapshot = snapshot(&Check { record, terms, now }, ask);
    Decision::Admitted(reservation, snapshot)
}

impl GateRefusal {
    fn binding(&self, terms: &Terms<'_>) -> Binding {
        let wait = self.wait.unwrap_or(terms.concurrency_wait);
        Binding {
            exceeded: Exceeded {
                kind: self.kind,
                limit: self.limit,
                used: self.used,
                wait,
            },
            wait,
            last: self.kind,
            overloaded: self.overloaded,
        }
    }
}

fn limited(check: &Check<'_>, ask: &Ask, binding: &Binding) -> Decision {
    let exceeded = binding.exceeded;
    Decision::Limited(Limited {
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
                overloaded: binding.overloaded,
            }),
            ..snapshot(check, ask)
        },
    })
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
