//! When an edge speaks of an account by itself, and what it gives back.

use super::allowances::Allowances;
use super::draft::Draft;
use super::policy::FleetPolicy;
use crate::limits::record::Record;
use crate::time::{Now, Span};

/// The longest silence about an account of which something is held, or not acknowledged.
const SPEAKS: Span = Span::from_secs(1);
/// The time without use after which what is held goes back: longer than two requests are apart that
/// are to wait for no answer.
const IDLE: Span = Span::from_millis(2_500);
/// The longest silence about an account with requests in flight.
const RENEWS: Span = Span::from_secs(60);

/// The next step of an edge with an account.
#[derive(Debug, PartialEq, Eq)]
pub enum ReportStep {
    /// Everything is told: nothing follows until the account's next request.
    Done,
    /// There will be something to tell.
    Later,
    /// This is to be told; the record must be written.
    Send(Draft),
}

/// Returns what an edge has to say of an account; with `at_once` something in any case, unless a
/// message is on its way. The record must be advanced.
pub fn report(
    record: &mut Record,
    epoch: u64,
    policy: &FleetPolicy,
    at_once: bool,
    now: Now,
) -> ReportStep {
    let Some(mut own) = Allowances::read(record).filter(|own| own.epoch == epoch) else {
        return ReportStep::Done;
    };
    own.advance(now.mono);
    let due_in = match at_once {
        true => Some(Span::ZERO),
        false => silence(&own, record, policy, now),
    };
    let Some(due_in) = due_in else {
        return ReportStep::Done;
    };
    let since = now.mono.as_millis().saturating_sub(own.sent_at);
    let is_due = since >= due_in.as_millis();
    if own.pending_until > 0 || !is_due {
        return ReportStep::Later;
    }
    give_back(&mut own, now);
    let draft = Draft::new(&mut own, record, &[], policy.answer_within(), now);
    own.write(record, now.mono);
    ReportStep::Send(draft)
}

/// Returns the longest silence about an account since its last message; `None` where nothing is to
/// be told.
fn silence(own: &Allowances, record: &Record, policy: &FleetPolicy, now: Now) -> Option<Span> {
    let mut meters = own.meters.iter();
    let is_news = meters.any(|one| {
        let moved = one.series().iter().any(|series| series.since_sent() > 0);
        let in_flight = one.key.used(record, now);
        let leases = one.key.is_leases() && one.told != in_flight.saturating_add(one.held);
        moved || leases
    });
    if is_news {
        return Some(policy.sync);
    }
    if own.tight && !own.held_nothing() {
        return Some(policy.sync);
    }
    if !own.held_nothing() || !own.is_told() {
        return Some(SPEAKS);
    }
    let mut meters = own.meters.iter();
    let in_flight = meters.any(|one| one.key.is_leases() && one.key.used(record, now) > 0);
    in_flight.then_some(RENEWS)
}

/// Gives back what is idle, and, where little is left, what the account will not spend at once.
fn give_back(own: &mut Allowances, now: Now) {
    let ms = now.mono.as_millis();
    let since = ms.saturating_sub(own.sent_at);
    let spent = own.meters.iter();
    let is_idle = spent.clone().all(|one| one.spent.since_sent() == 0);
    if !is_idle {
        own.spent_at = ms;
    }
    let gives = is_idle && (own.tight || ms.saturating_sub(own.spent_at) >= IDLE.as_millis());
    let tight = own.tight;
    for one in &mut own.meters {
        one.held = match (gives, tight) {
            (true, _) => 0,
            // The next pause needs as much as was spent since the last message.
            (false, true) if since < IDLE.as_millis() => one.held.min(one.spent.since_sent()),
            _ => one.held,
        };
    }
}
