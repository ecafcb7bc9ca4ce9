//! What refuses a request: the limits that were base, and what is in force of them for the load.

use crate::limits::kinds::{LimitName, Limits};
use crate::limits::leaky_bucket::LeakyBucket;
use crate::limits::record::Record;
use crate::limits::terms::{Ask, Terms};
use crate::limits::window::Column;
use crate::time::{Mono, Now, Span};

/// The wait for what never fits.
const NEVER: Span = Span::from_millis(u64::MAX);

/// A limit that refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exceeded {
    pub name: LimitName,
    /// How much of it is used.
    pub used: u64,
    /// From when on it lets the request through.
    pub wait: Span,
}

/// How a limit is kept.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// Over its whole window.
    Whole,
    /// As a pace, since that moment.
    Paced(Mono),
}

/// One of the ways in which an account's limits are kept.
#[derive(Clone, Copy, Debug)]
struct Rule<'a> {
    limits: &'a Limits,
    kept: Kept,
}

/// Who refuses, if anybody does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    /// The limit with the longest wait; a bought one, if one of those refuses.
    pub exceeded: Exceeded,
    /// From when on all let it through.
    pub wait: Span,
    /// The limit that refuses for so long.
    pub last: LimitName,
    /// Whether only what is lowered refuses.
    pub overloaded: bool,
}

/// What refuses a request; `None` when nothing does.
pub(super) fn check(record: &Record, ask: &Ask, terms: &Terms<'_>, now: Now) -> Option<Binding> {
    let longest = |limits, kept| longest(record, ask, terms, Rule { limits, kept }, now);
    let base = longest(terms.limits, Kept::Whole);
    let lowered = terms.lowered.unwrap_or_default();
    let manual = lowered.manual.as_ref().and_then(|(limits, ends)| {
        let exceeded = longest(limits, Kept::Whole)?;
        let wait = exceeded.wait.min(ends.since(now.mono));
        Some(Exceeded { wait, ..exceeded })
    });
    let adaptive = lowered.adaptive.as_ref();
    let adaptive =
        adaptive.and_then(|adaptive| longest(&adaptive.limits, Kept::Paced(adaptive.since)));
    let all = [base, manual, adaptive].into_iter().flatten();
    let longest = all.max_by_key(|exceeded| exceeded.wait)?;
    Some(Binding {
        exceeded: base.unwrap_or(longest),
        wait: longest.wait,
        last: longest.name,
        overloaded: base.is_none(),
    })
}

/// What is left of a limit now, of all that is in force; `None` where it is unlimited.
pub(super) fn left(record: &Record, terms: &Terms<'_>, now: Now, name: LimitName) -> Option<u64> {
    let over = |limits: &Limits| {
        Some(
            limits
                .get(name)
                .finite()?
                .saturating_sub(used(record, name)),
        )
    };
    let base = over(terms.limits)?;
    let lowered = terms.lowered.unwrap_or_default();
    let manual = lowered.manual.as_ref().and_then(|(limits, _)| over(limits));
    let adaptive = lowered.adaptive.as_ref().and_then(|adaptive| {
        let limit = adaptive.limits.get(name).finite()?;
        let column = match name {
            LimitName::Concurrency | LimitName::Tpd => return over(&adaptive.limits),
            LimitName::Rpm => Column::Requests,
            LimitName::Tpm => Column::Tokens,
        };
        let bucket = bucket(limit, terms, adaptive.since);
        Some(bucket.left(&record.minute, now.mono, column))
    });
    [manual, adaptive].into_iter().flatten().chain([base]).min()
}

/// What is used of a limit.
pub(super) fn used(record: &Record, name: LimitName) -> u64 {
    match name {
        LimitName::Concurrency => record.leases.count(),
        LimitName::Rpm => record.minute.used(Column::Requests),
        LimitName::Tpm => record.minute.used(Column::Tokens),
        LimitName::Tpd => record.day.used(),
    }
}

fn bucket(limit: u64, terms: &Terms<'_>, since: Mono) -> LeakyBucket {
    LeakyBucket {
        limit,
        window: terms.windows.minute,
        since,
    }
}

fn longest(
    record: &Record,
    ask: &Ask,
    terms: &Terms<'_>,
    rule: Rule<'_>,
    now: Now,
) -> Option<Exceeded> {
    let exceeded = LimitName::ALL.into_iter().filter_map(|name| {
        let wait = wait(record, ask, terms, rule, now, name)?;
        (wait > Span::ZERO).then(|| Exceeded {
            name,
            used: used(record, name),
            wait,
        })
    });
    exceeded.max_by_key(|exceeded| exceeded.wait)
}

/// How long a limit refuses; `None` where it is unlimited.
///
/// What is more than a lowered limit has in all waits for the end of that, where it is known, and
/// asks again a minute later where it is not; what is more than was bought has been exceeded for
/// good before.
fn wait(
    record: &Record,
    ask: &Ask,
    terms: &Terms<'_>,
    Rule { limits, kept }: Rule<'_>,
    now: Now,
    name: LimitName,
) -> Option<Span> {
    let limit = limits.get(name).finite()?;
    let (log, minute) = (&record.minute, terms.windows.minute);
    let never = match kept {
        Kept::Whole => NEVER,
        Kept::Paced(_) => minute,
    };
    let column = |column, need| {
        let wait = match kept {
            Kept::Whole => log.wait(now.mono, minute, column, need, limit),
            Kept::Paced(since) => bucket(limit, terms, since).wait(log, now.mono, column, need),
        };
        wait.unwrap_or(never)
    };
    Some(match name {
        LimitName::Concurrency if record.leases.count() >= limit => terms.concurrency_wait,
        LimitName::Concurrency => Span::ZERO,
        LimitName::Rpm => column(Column::Requests, ask.requests),
        LimitName::Tpm => column(Column::Tokens, ask.tokens),
        LimitName::Tpd => {
            let wait = record.day.wait(now, terms.windows.day, ask.tokens, limit);
            wait.unwrap_or(never)
        }
    })
}
