//! The end of a request in the account's part of the fleet.

use super::allowances::Allowances;
use super::meter_key::{Demand, demands};
use crate::limits::plan::Plan;
use crate::limits::record::Record;
use crate::limits::{Amounts, Reservation};
use crate::time::Now;

/// Requests that end.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The requests, which are of one moment or later.
    pub reservation: &'a Reservation,
    /// The amounts that they used.
    pub used: &'a Amounts,
    /// The number of leases that go back.
    pub leases: u32,
}

/// Counts what requests used beyond their reserve, and gives back what they did not use, in the
/// account's part; it does nothing in a record without one. The record must be settled. Returns true
/// when other edges wait to hear of it: a lease of a small limit is free.
pub fn settle(record: &mut Record, ended: &Ended<'_>, plan: &Plan, now: Now) -> bool {
    let Some(mut own) = Allowances::read(record) else {
        return false;
    };
    let mut is_urgent = false;
    own.advance(now.mono);
    let (at, reserved) = (ended.reservation.at, &ended.reservation.reserved);
    let (extra, refund) = (ended.used.over(reserved), reserved.over(ended.used));
    let amount =
        |amounts: &Amounts, demand: &Demand| demand.key.unit().map_or(0, |unit| amounts.get(unit));
    let knows_it = at >= own.begun();
    for demand in demands(plan, None, |_| 0) {
        let Some(found) = own.meters.iter().position(|one| one.key == demand.key) else {
            continue;
        };
        let asked = own.meters.get(found).map_or(0, |one| one.limit);
        let is_small = own.is_small(asked);
        let is_good = own.good_until > now.mono.as_millis();
        let Some(one) = own.meters.get_mut(found) else {
            continue;
        };
        if demand.key.is_leases() {
            let leased = ended.reservation.of(demand.key.family()).leased && ended.leases > 0;
            is_urgent |= leased && is_small;
            if leased && is_good && !is_small {
                one.held = one.held.saturating_add(ended.leases.into());
            }
            continue;
        }
        let beyond = demand.key.in_messages(amount(&extra, &demand));
        one.spend(beyond, record, now);
        let back = demand.key.in_messages_floor(amount(&refund, &demand));
        if back == 0 || !knows_it {
            continue;
        }
        match demand.key.window() {
            Some(length) if now.mono.since(at) < length => one.refund(at.as_millis(), back),
            Some(_) => {}
            None => {
                if let Some(end) = one.period_of(ended.reservation) {
                    one.refund(end, back);
                }
            }
        }
    }
    own.write(record, now.mono);
    is_urgent
}
