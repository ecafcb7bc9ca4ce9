//! A message of an edge about one account: an ask, a report or a give-back, which are one kind.

use super::allowances::{Allowance, Allowances, FleetAccount};
use super::meter_key::{Demand, MeterKey};
use crate::limits::record::Record;
use crate::time::{Now, Span};

/// The time for which an edge holds what an account spends: ten reports.
const HORIZON: Span = Span::from_millis(2_500);
/// The shortest time that a rate is measured over.
const SHORTEST: u64 = 250;
/// The part of a limit that one edge holds at most.
const MOST_HELD: u64 = 4;
/// The part of a period's limit that one edge holds at most: what a dead edge held is lost until
/// the period ends.
const MOST_HELD_OF_PERIOD: u64 = 100;

/// A message about one account, as the record had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The account's name in messages.
    pub account: FleetAccount,
    /// The incarnation of the record's part.
    pub incarnation: u64,
    /// The number of the message.
    pub seq: u32,
    /// The generation of the account that the store last said.
    pub generation: u32,
    /// The meters.
    pub meters: Vec<DraftMeter>,
}

/// A meter in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftMeter {
    /// The meter.
    pub key: MeterKey,
    /// The limit.
    pub limit: u64,
    /// The unspent part of what was granted.
    pub held: u64,
    /// This edge's own use of the window or the period; of leases, those in flight.
    pub own: u64,
    /// The amount on top of what is held, without which nothing is granted.
    pub need: u64,
    /// The amount beyond it that is welcome.
    pub want: u64,
    /// Spent, extra and refunded: the base, and then an age and a total for each part.
    pub series: [Vec<u64>; 3],
}

impl Draft {
    /// Makes the next message of an account, and marks it as on its way. `demands`, whose meters
    /// it must have, is empty for a report. The answer counts for `deadline`.
    pub fn new(
        own: &mut Allowances,
        record: &Record,
        demands: &[Demand],
        deadline: Span,
        now: Now,
    ) -> Self {
        let ms = now.mono.as_millis();
        let elapsed = ms.saturating_sub(own.sent_at).max(SHORTEST);
        // The meters are taken out, so that the clock can be asked.
        let mut all = std::mem::take(&mut own.meters);
        let clock = &*own;
        let meters = all.iter_mut().map(|one| {
            let demand = demands.iter().find(|demand| demand.key == one.key);
            let need = demand.map_or(0, |demand| demand.need);
            let want = match clock.tight || clock.is_small(one.limit) {
                true => 0,
                false => want(one, need, elapsed),
            };
            // The allowance in hand serves the request: only the rest must be granted.
            let rest = need.saturating_sub(one.held);
            draft_meter(one, record, (rest, want), (clock, now))
        });
        let meters = meters.collect();
        own.meters = all;
        own.seq = own.seq.wrapping_add(1);
        own.pending_until = ms.saturating_add(deadline.as_millis());
        own.sent_at = ms;
        Self {
            account: own.account,
            incarnation: own.incarnation,
            seq: own.seq,
            generation: own.generation,
            meters,
        }
    }
}

/// Returns the amount beyond `need` that the account will spend within the horizon, at the rate
/// since the last message.
fn want(one: &Allowance, need: u64, elapsed: u64) -> u64 {
    let spent = one
        .spent
        .since_sent()
        .saturating_add(one.extra.since_sent());
    let used = u128::from(spent.saturating_add(need));
    let target = used.saturating_mul(u128::from(HORIZON.as_millis()));
    let target = target.div_ceil(u128::from(elapsed));
    let most = match one.key.is_period() {
        true => one.limit.div_euclid(MOST_HELD_OF_PERIOD),
        false => one.limit.div_euclid(MOST_HELD),
    };
    let target = u64::try_from(target).unwrap_or(u64::MAX).min(most);
    target.saturating_sub(one.held)
}

fn draft_meter(
    one: &mut Allowance,
    record: &Record,
    (need, want): (u64, u64),
    (clock, now): (&Allowances, Now),
) -> DraftMeter {
    let ms = now.mono.as_millis();
    let is_period = one.key.is_period();
    let age = |at: u64| match is_period {
        true => at,
        false => ms.saturating_sub(at),
    };
    let store_time = |at: u64| match is_period {
        true => at,
        false => clock.store_time(at),
    };
    let used = one.key.used(record, now);
    if one.key.is_leases() {
        one.told = used.saturating_add(one.held);
    }
    // The store may not know of refunds yet that the record has.
    let own = used.saturating_add(one.refunded.unacknowledged());
    DraftMeter {
        key: one.key,
        limit: one.limit,
        held: one.held,
        own,
        need,
        want,
        series: [
            one.spent.message(age),
            one.extra.message(age),
            one.refunded.message(store_time),
        ],
    }
}
