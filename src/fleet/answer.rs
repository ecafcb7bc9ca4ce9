//! The answer of the service to what an edge said of an account.

use super::allowances::{Allowance, Allowances, LIFE, Remembered};
use super::meter_key::MeterKey;
use crate::limits::record::Record;
use crate::time::{Mono, Now, Span};

/// The time for which a refusal is remembered at most.
const REMEMBERED: Span = Span::from_secs(1);
/// The time after which a lease is asked for again.
const LEASE_AGAIN: Span = Span::from_millis(50);

/// The answer about one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The incarnation that the message was of.
    pub incarnation: u64,
    /// The number of the message.
    pub seq: u32,
    /// The generation of the account.
    pub generation: u32,
    /// The number of edges that share the account's limits.
    pub edges: u32,
    /// True when little is left.
    pub tight: bool,
    /// The account's clock in the store; 0 for none.
    pub store_time: u64,
    /// The granted amount.
    pub meters: Vec<GrantedMeter>,
    /// The refusal, if there is one.
    pub refused: Option<AskRefused>,
}

/// A grant of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedMeter {
    /// The meter.
    pub key: MeterKey,
    /// The amount granted on top of what is held.
    pub grant: u64,
    /// The use by the fleet.
    pub used: u64,
    /// The amount that is left for others.
    pub left: u64,
    /// The time until the period ends, in milliseconds; 0 for no period.
    pub ends_in: u64,
}

/// The refusal of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskRefused {
    /// The meter.
    pub key: MeterKey,
    /// The amount that was asked for.
    pub need: u64,
    /// The time until it may be granted.
    pub wait: Span,
    /// True for a store that admits nothing, since it lost what it knew: it says so in each answer,
    /// asked or told.
    pub closed: bool,
}

/// Applies an answer to the account's record; false for one that no longer counts. The record must
/// be advanced.
pub fn apply(record: &mut Record, answer: &Granted, epoch: u64, now: Now) -> bool {
    let own = Allowances::read(record);
    let Some(mut own) = own.filter(|own| own.epoch == epoch) else {
        return false;
    };
    own.advance(now.mono);
    let is_awaited =
        own.pending_until > 0 && own.seq == answer.seq && own.incarnation == answer.incarnation;
    if !is_awaited {
        return false;
    }
    if own.generation > 0 && answer.generation > own.generation {
        record.clear_usage();
        own.reset(answer.generation, now.mono);
    }
    own.pending_until = 0;
    own.generation = own.generation.max(answer.generation);
    own.heard_at = own.sent_at;
    own.good_until = after(own.sent_at, LIFE);
    own.edges = answer.edges;
    own.tight = answer.tight;
    own.store_clock = (answer.store_time > 0)
        .then_some((answer.store_time, now.mono.as_millis()))
        .or(own.store_clock);
    own.closed_until = 0;
    own.refused = None;
    let sent_at = own.sent_at;
    let is_closed = answer.refused.is_some_and(|refused| refused.closed);
    for one in &mut own.meters {
        let granted = answer.meters.iter().find(|granted| granted.key == one.key);
        take(one, granted, (sent_at, is_closed));
    }
    if let Some(refused) = &answer.refused {
        remember(&mut own, refused, answer, now.mono);
    }
    own.write(record, now.mono);
    true
}

/// Ends the wait for an answer that will not come.
pub fn give_up(record: &mut Record, seq: u32, epoch: u64, now: Now) -> bool {
    let own = Allowances::read(record);
    let Some(mut own) = own.filter(|own| own.epoch == epoch && own.seq == seq) else {
        return false;
    };
    own.pending_until = 0;
    own.advance(now.mono);
    own.write(record, now.mono);
    true
}

fn take(one: &mut Allowance, granted: Option<&GrantedMeter>, (sent_at, is_closed): (u64, bool)) {
    one.spent.acknowledge();
    one.extra.acknowledge();
    one.refunded.acknowledge();
    let Some(granted) = granted else {
        return;
    };
    one.held = one.held.saturating_add(granted.grant);
    if one.key.is_leases() {
        one.told = one.told.saturating_add(granted.grant);
    }
    // A store that lost writes believes that more is left than there is.
    (one.left, one.cut) = match is_closed {
        true => (one.left.min(granted.left), one.cut),
        false => (granted.left, 0),
    };
    one.used = granted.used;
    one.ends_at = match granted.ends_in {
        0 => 0,
        ms => sent_at.saturating_add(ms),
    };
}

fn remember(own: &mut Allowances, refused: &AskRefused, answer: &Granted, now: Mono) {
    if refused.closed {
        own.closed_until = after(now.as_millis(), refused.wait);
        return;
    }
    let longest = match refused.key.is_leases() {
        true => LEASE_AGAIN,
        false => REMEMBERED,
    };
    let granted = answer.meters.iter().find(|one| one.key == refused.key);
    let limit = own.find(refused.key).map_or(0, |one| one.limit);
    own.refused = Some(Remembered {
        key: refused.key,
        limit,
        need: refused.need,
        until: after(now.as_millis(), refused.wait.min(longest)),
        open_at: after(now.as_millis(), refused.wait),
        used: granted.map_or(0, |granted| granted.used),
    });
}

const fn after(ms: u64, span: Span) -> u64 {
    ms.saturating_add(span.as_millis())
}
