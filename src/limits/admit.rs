//! Admission: admits a request against all limits at once, or names the limit that refuses it.

use super::check::Check;
use super::day::DayRule;
use super::kinds::{LimitKind, Limits};
use super::meter::{ACCOUNT, Meter, Needed};
use super::record::Record;
use super::snapshot::Snapshot;
use super::terms::{Ask, Reservation, Terms};
use super::units::Units;
use crate::time::{Now, Span};
use crate::zone::Calendar;

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
        /// TPM or TPD.
        kind: LimitKind,
        /// The size of the base limit.
        limit: u64,
    },
}

/// Decides on a request and records an admitted one.
///
/// The caller must have dropped the leases of lost VMs.
pub fn admit(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Decision {
    record.advance(now, terms.windows);
    if let Some((kind, limit)) = too_large(ask, terms.limits) {
        return Decision::TooLarge { kind, limit };
    }
    let terms = &terms.at(now);
    let check = Check { record, terms, now };
    if let Some(binding) = check.binding(ask) {
        let exceeded = binding.exceeded;
        return Decision::Limited(Limited {
            kind: exceeded.kind,
            limit: terms.limits[exceeded.kind].finite().unwrap_or(0),
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
    limits.iter().find_map(|(kind, limit)| {
        let limit = limit.finite().filter(|_| kind.counts_tokens())?;
        (ask.tokens > limit).then_some((kind, limit))
    })
}

fn enter(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Reservation {
    let (limits, windows) = (terms.limits, terms.windows);
    let (needed, amounts) = (Needed::by(limits), ask.amounts());
    let mut slide = |kind: LimitKind, units: Units| {
        if let Meter::Sliding(window, _) = Meter::of(kind, windows)
            && units.iter().any(|unit| amounts.get(unit) > 0)
        {
            record.add(now.mono, ACCOUNT, window, units, &amounts);
        }
    };
    slide(LimitKind::Rpm, needed.minute);
    slide(LimitKind::Tpd, needed.day);
    let calendar = (Calendar::Day, windows.day);
    if matches!(windows.day, DayRule::Calendar { .. }) && !needed.day.is_empty() && ask.tokens > 0 {
        record.add_to_period(now, ACCOUNT, calendar, needed.day, &amounts);
    }
    let leased = limits.is_limited(LimitKind::Concurrency);
    if leased {
        record.acquire(ACCOUNT, ask.holder);
    }
    let day = record.period(ACCOUNT, Calendar::Day);
    Reservation {
        at: now.mono,
        day: day.map(|day| day.ends_at()),
        reserved: ask.tokens,
        holder: leased.then_some(ask.holder),
        overflow: record.is_overflow(),
    }
}
