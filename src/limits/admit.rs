//! Admit against all four limits at once, or name the one that refuses and its exact wait; and
//! settle what was admitted.

use crate::limits::check::{check, left, used};
use crate::limits::kinds::{Limit, LimitName, Limits};
use crate::limits::lease::Holder;
use crate::limits::record::Record;
use crate::limits::terms::{Ask, Terms};
use crate::limits::window::Column;
use crate::time::{Mono, Now, Span};

/// What an admitted request holds until it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// When it was admitted.
    pub at: Mono,
    /// The calendar day that its tokens were reserved on, where days are counted.
    pub day: Option<u32>,
    /// Tokens reserved.
    pub reserved: u64,
    /// Who holds its lease; `None` where concurrency is unlimited.
    pub holder: Option<Holder>,
}

impl Reservation {
    /// The reservation of a request that nothing is recorded of.
    pub const fn unrecorded(reserved: u64) -> Self {
        Self {
            at: Mono::from_millis(0),
            day: None,
            reserved,
            holder: None,
        }
    }
}

/// One window as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// The limit that was base.
    pub limit: u64,
    /// What is left of it, or of what is in force of it.
    pub remaining: u64,
    /// Used, this request included if it was admitted.
    pub used: u64,
    /// Until the window is whole again.
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

/// Over a limit: which, how full, and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The limit with the longest wait.
    pub name: LimitName,
    /// Its size, as it was base.
    pub limit: u64,
    /// How much of it is used.
    pub used: u64,
    /// From when on a request like this one is admitted, if nobody else comes.
    pub wait: Span,
    /// The limit that refuses for so long; another one than `name` where a lowered one does.
    pub last: LimitName,
    /// Whether the limits that were bought would have admitted it, and only those lowered for load
    /// do not.
    pub overloaded: bool,
    /// The minute windows.
    pub snapshot: Snapshot,
}

/// What the rule says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Admitted, and recorded.
    Admitted(Reservation, Snapshot),
    /// Exceeded for now; the record is as it was, but for what has expired.
    Limited(Limited),
    /// Exceeded for good: it asks for more tokens than `limit` of that name allows in all.
    TooLarge {
        /// TPM or TPD.
        name: LimitName,
        /// Its size.
        limit: u64,
    },
}

/// Decides on a request, and records it when it is admitted.
///
/// Leases of dead holders must have been forgotten before.
pub fn admit(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Decision {
    record.advance(now, terms.windows);
    if let Some((name, limit)) = too_large(ask, terms.limits) {
        return Decision::TooLarge { name, limit };
    }
    let terms = &terms.at(now);
    if let Some(binding) = check(record, ask, terms, now) {
        let exceeded = binding.exceeded;
        return Decision::Limited(Limited {
            name: exceeded.name,
            limit: terms.limits.get(exceeded.name).finite().unwrap_or(0),
            used: exceeded.used,
            wait: binding.wait,
            last: binding.last,
            overloaded: binding.overloaded,
            snapshot: snapshot(record, terms, now),
        });
    }
    let reservation = enter(record, ask, terms, now);
    Decision::Admitted(reservation, snapshot(record, terms, now))
}

/// Gives the lease back and replaces the reserve by `used`.
pub fn settle(
    record: &mut Record,
    reservation: &Reservation,
    used: u64,
    terms: &Terms<'_>,
    now: Now,
) {
    record.advance(now, terms.windows);
    if let Some(holder) = reservation.holder {
        record.leases.release(holder);
    }
    let window = terms.windows.minute;
    let extra = used.saturating_sub(reservation.reserved);
    if extra == 0 {
        let refund = reservation.reserved.saturating_sub(used);
        record
            .minute
            .refund(now.mono, window, reservation.at, refund);
    } else if terms.limits.count_minute() {
        record.minute.charge(now.mono, window, extra);
    }
    if terms.limits.tpd != Limit::Unlimited {
        record.day.settle(
            now,
            terms.windows.day,
            reservation.at,
            reservation.day,
            reservation.reserved,
            used,
        );
    }
}

/// What is used of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// How much.
    pub used: u64,
    /// What is left of it, or of what is in force of it; `None` where it is unlimited.
    pub remaining: Option<u64>,
    /// Until nothing is used, if nothing more happens; zero for leases, of which nobody knows.
    pub resets_in: Span,
}

/// What is used of all four limits, whether they are finite or not; a day is only kept for
/// accounts that have a limit for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Requests in process.
    pub concurrency: Level,
    /// Requests in the minute window.
    pub rpm: Level,
    /// Tokens in the minute window.
    pub tpm: Level,
    /// Tokens of the day.
    pub tpd: Level,
}

/// What is used of a record's limits; leases of dead holders must have been forgotten before.
pub fn in_use(record: &mut Record, terms: &Terms<'_>, now: Now) -> InUse {
    record.advance(now, terms.windows);
    let terms = &terms.at(now);
    let minute = terms.windows.minute;
    let level = |name, resets_in| Level {
        used: used(record, name),
        remaining: left(record, terms, now, name),
        resets_in,
    };
    let whole = |column| record.minute.resets_in(now.mono, minute, column);
    InUse {
        concurrency: level(LimitName::Concurrency, Span::ZERO),
        rpm: level(LimitName::Rpm, whole(Column::Requests)),
        tpm: level(LimitName::Tpm, whole(Column::Tokens)),
        tpd: level(LimitName::Tpd, record.day.resets_in(now, terms.windows.day)),
    }
}

fn too_large(ask: &Ask, limits: &Limits) -> Option<(LimitName, u64)> {
    [(LimitName::Tpm, limits.tpm), (LimitName::Tpd, limits.tpd)]
        .into_iter()
        .find_map(|(name, limit)| Some((name, limit.finite().filter(|l| ask.tokens > *l)?)))
}

fn enter(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Reservation {
    let limits = terms.limits;
    if limits.count_minute() {
        let window = terms.windows.minute;
        record
            .minute
            .add(now.mono, window, ask.requests, ask.tokens);
    }
    if limits.tpd != Limit::Unlimited {
        record.day.add(now, terms.windows.day, ask.tokens);
    }
    let leased = limits.concurrency != Limit::Unlimited;
    if leased {
        record.leases.acquire(ask.holder);
    }
    Reservation {
        at: now.mono,
        day: record.day.label(),
        reserved: ask.tokens,
        holder: leased.then_some(ask.holder),
    }
}

fn snapshot(record: &Record, terms: &Terms<'_>, now: Now) -> Snapshot {
    let gauge = |name, column| {
        Some(Gauge {
            limit: terms.limits.get(name).finite()?,
            remaining: left(record, terms, now, name)?,
            used: record.minute.used(column),
            resets_in: record
                .minute
                .resets_in(now.mono, terms.windows.minute, column),
        })
    };
    Snapshot {
        requests: gauge(LimitName::Rpm, Column::Requests),
        tokens: gauge(LimitName::Tpm, Column::Tokens),
    }
}
