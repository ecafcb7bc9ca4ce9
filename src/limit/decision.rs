//! Admit against all four limits at once, or name the one that refuses and its exact wait; and
//! settle what was admitted.

use super::lease::Holder;
use super::limits::{Limit, LimitName, Limits};
use super::record::{Record, Windows};
use super::scale::Lowered;
use super::window::Column;
use crate::time::{Mono, Now, Span};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// How many requests it counts for.
    pub requests: u64,
    /// Tokens to reserve.
    pub tokens: u64,
    /// Who holds its lease.
    pub holder: Holder,
}

/// What an admitted request holds until it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// When it was admitted.
    pub at: Mono,
    /// The calendar day that its tokens were reserved on, where days are counted.
    pub day: Option<u32>,
    /// Tokens reserved.
    pub reserved: u64,
    /// Who holds its lease; `None` where concurrency is unlimited.
    pub holder: Option<Holder>,
}

impl Claim {
    /// The claim of a request that nothing is recorded of.
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
    /// The limit that was bought.
    pub limit: u64,
    /// What is in force of it.
    pub in_force: u64,
    /// Used, this request included if it was admitted.
    pub used: u64,
    /// Until the window is whole again.
    pub whole_in: Span,
}

impl Gauge {
    /// What is left of the limit as it is in force.
    pub const fn remaining(&self) -> u64 {
        self.in_force.saturating_sub(self.used)
    }
}

/// The minute windows at the moment of the decision; `None` where unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
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
    /// Its size, as it was bought.
    pub limit: u64,
    /// How much of it is used.
    pub used: u64,
    /// From when on a request like this one is admitted, if nobody else comes.
    pub wait: Span,
    /// Whether the limits that were bought would have admitted it, and only those lowered for load
    /// do not.
    pub overloaded: bool,
    /// The minute windows.
    pub standing: Standing,
}

/// What the rule says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Admitted, and recorded.
    Admitted(Claim, Standing),
    /// Refused for now; the record is as it was, but for what has expired.
    Limited(Limited),
    /// Refused for good: it asks for more tokens than `limit` of that name allows in all.
    TooLarge {
        /// TPM or TPD.
        name: LimitName,
        /// Its size.
        limit: u64,
    },
}

/// The limits that a request is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The limits that the account bought.
    pub limits: &'a Limits,
    /// What is in force of them, while it is less.
    pub lowered: Option<Lowered>,
    /// The windows' lengths.
    pub windows: &'a Windows,
    /// The wait that is named when concurrency refuses: nobody knows when a lease frees.
    pub concurrency_wait: Span,
}

/// Decides on a request, and records it when it is admitted.
///
/// Leases of dead holders must have been forgotten before.
pub fn admit(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Decision {
    record.advance(now, terms.windows);
    if let Some((name, limit)) = too_large(ask, terms.limits) {
        return Decision::TooLarge { name, limit };
    }
    let bought = longest(record, ask, (terms, terms.limits), now);
    let lowered = terms.lowered.filter(|lowered| lowered.holds(now.mono));
    let in_force = match &lowered {
        Some(lowered) => longest(record, ask, (terms, &lowered.limits), now),
        None => bought,
    };
    let limits = lowered.map_or(*terms.limits, |lowered| lowered.limits);
    if let Some(refused) = bought.or(in_force) {
        let ends = lowered.and_then(|lowered| lowered.ends);
        let limit = terms.limits.get(refused.name).finite();
        return Decision::Limited(Limited {
            name: refused.name,
            limit: limit.unwrap_or(refused.limit),
            used: refused.used,
            wait: wait(bought, in_force.unwrap_or(refused), ends, now.mono),
            overloaded: bought.is_none(),
            standing: standing(record, terms, &limits, now),
        });
    }
    let claim = enter(record, ask, terms, now);
    Decision::Admitted(claim, standing(record, terms, &limits, now))
}

/// A limit that refuses.
#[derive(Clone, Copy)]
struct Refused {
    name: LimitName,
    limit: u64,
    used: u64,
    wait: Span,
}

/// The one of these limits that refuses for longest.
fn longest(
    record: &Record,
    ask: &Ask,
    (terms, limits): (&Terms<'_>, &Limits),
    now: Now,
) -> Option<Refused> {
    LimitName::ALL
        .into_iter()
        .filter_map(|name| refusal(record, ask, (terms, limits), now, name))
        .max_by_key(|refused| refused.wait)
}

/// Until the limits in force let it through, or the bought ones do when those are back before.
fn wait(bought: Option<Refused>, in_force: Refused, ends: Option<Mono>, now: Mono) -> Span {
    let Some(end) = ends else {
        return in_force.wait;
    };
    let by_then = bought.map_or(Span::ZERO, |refused| refused.wait);
    in_force.wait.min(by_then.max(end.since(now)))
}

/// Gives the lease back and replaces the reserve by `used`.
pub fn settle(record: &mut Record, claim: &Claim, used: u64, terms: &Terms<'_>, now: Now) {
    record.advance(now, terms.windows);
    if let Some(holder) = claim.holder {
        record.leases.release(holder);
    }
    let window = terms.windows.minute;
    let extra = used.saturating_sub(claim.reserved);
    if extra == 0 {
        let refund = claim.reserved.saturating_sub(used);
        record.minute.refund(now.mono, window, claim.at, refund);
    } else if terms.limits.count_minute() {
        record.minute.charge(now.mono, window, extra);
    }
    if terms.limits.tpd != Limit::Unlimited {
        record.day.settle(
            now,
            terms.windows.day,
            claim.at,
            claim.day,
            claim.reserved,
            used,
        );
    }
}

/// What is used of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// How much.
    pub used: u64,
    /// Until nothing is, if nothing more happens; zero for leases, of which nobody knows.
    pub whole_in: Span,
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
pub fn in_use(record: &mut Record, windows: &Windows, now: Now) -> InUse {
    record.advance(now, windows);
    let column = |column| Level {
        used: record.minute.used(column),
        whole_in: record.minute.whole_in(now.mono, windows.minute, column),
    };
    InUse {
        concurrency: Level {
            used: record.leases.count(),
            whole_in: Span::ZERO,
        },
        rpm: column(Column::Requests),
        tpm: column(Column::Tokens),
        tpd: Level {
            used: record.day.used(),
            whole_in: record.day.whole_in(now, windows.day),
        },
    }
}

fn too_large(ask: &Ask, limits: &Limits) -> Option<(LimitName, u64)> {
    [(LimitName::Tpm, limits.tpm), (LimitName::Tpd, limits.tpd)]
        .into_iter()
        .find_map(|(name, limit)| Some((name, limit.finite().filter(|l| ask.tokens > *l)?)))
}

/// What a limit refuses with; `None` when it lets the request through.
fn refusal(
    record: &Record,
    ask: &Ask,
    (terms, limits): (&Terms<'_>, &Limits),
    now: Now,
    name: LimitName,
) -> Option<Refused> {
    let minute = terms.windows.minute;
    let log = &record.minute;
    let limit = limits.get(name).finite()?;
    // More than a lowered limit has in all is asked for again a minute later; what is more than
    // was bought has been refused for good before.
    let (used, wait) = match name {
        LimitName::Concurrency => {
            let used = record.leases.count();
            let full = used >= limit;
            (used, full.then_some(terms.concurrency_wait)?)
        }
        LimitName::Rpm => {
            let wait = log.wait(now.mono, minute, Column::Requests, ask.requests, limit);
            (log.used(Column::Requests), wait.unwrap_or(minute))
        }
        LimitName::Tpm => {
            let wait = log.wait(now.mono, minute, Column::Tokens, ask.tokens, limit);
            (log.used(Column::Tokens), wait.unwrap_or(minute))
        }
        LimitName::Tpd => {
            let wait = record.day.wait(now, terms.windows.day, ask.tokens, limit);
            (record.day.used(), wait.unwrap_or(minute))
        }
    };
    (wait > Span::ZERO).then_some(Refused {
        name,
        limit,
        used,
        wait,
    })
}

fn enter(record: &mut Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Claim {
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
    Claim {
        at: now.mono,
        day: record.day.label(),
        reserved: ask.tokens,
        holder: leased.then_some(ask.holder),
    }
}

fn standing(record: &Record, terms: &Terms<'_>, in_force: &Limits, now: Now) -> Standing {
    let gauge = |limit: Limit, in_force: Limit, column| {
        let limit = limit.finite()?;
        Some(Gauge {
            limit,
            in_force: in_force.finite().unwrap_or(limit),
            used: record.minute.used(column),
            whole_in: record
                .minute
                .whole_in(now.mono, terms.windows.minute, column),
        })
    };
    Standing {
        requests: gauge(terms.limits.rpm, in_force.rpm, Column::Requests),
        tokens: gauge(terms.limits.tpm, in_force.tpm, Column::Tokens),
    }
}
