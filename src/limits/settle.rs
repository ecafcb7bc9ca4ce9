//! The end of an admitted request.

use super::record::{Meter, Record};
use super::terms::{Reservation, Terms};
use crate::time::Now;

/// Returns the lease and replaces the reserve with `used` tokens.
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
        let at = reservation.at;
        record.minute.refund(now.mono, window, at, refund);
    } else if Meter::needs_minute(terms.limits) {
        record.minute.charge(now.mono, window, extra);
    }
    if Meter::needs_day(terms.limits) {
        record.day.settle(now, terms.windows.day, reservation, used);
    }
}
