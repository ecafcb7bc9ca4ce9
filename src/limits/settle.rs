//! The end of an admitted request.

use super::meter::{ACCOUNT, Meter, needed};
use super::record::Record;
use super::record::period::Settled;
use super::terms::{Reservation, Terms};
use super::units::Amounts;
use crate::time::Now;

/// Returns the lease and replaces the reserve with the amounts `used`.
pub fn settle(
    record: &mut Record,
    reservation: &Reservation,
    used: &Amounts,
    terms: &Terms<'_>,
    now: Now,
) {
    record.advance_to_settle(now);
    let windows = terms.windows;
    if let Some(holder) = reservation.holder {
        record.release(ACCOUNT, holder);
    }
    let (at, reserved) = (reservation.at, &reservation.reserved);
    let (extra, refund) = (used.over(reserved), reserved.over(used));
    for (meter, units) in needed(terms.limits, windows) {
        match meter {
            Meter::Sliding(window, _) => {
                if units.iter().any(|unit| extra.get(unit) > 0) {
                    record.charge(now.mono, ACCOUNT, window, units, &extra);
                }
                if units.iter().any(|unit| refund.get(unit) > 0) {
                    record.refund(now.mono, ACCOUNT, window, units, (at, &refund));
                }
            }
            Meter::Period(calendar, _) => {
                let settled = Settled {
                    at,
                    ends_at: reservation.periods.get(calendar),
                    reserved,
                    used,
                };
                let period = (calendar, windows.day);
                record.settle_period(now, ACCOUNT, period, units, &settled);
            }
            Meter::Leases => {}
        }
    }
}

/// Charges what a request of the overflow record used beyond its reserve, on the record that the
/// account got since: that began as a copy, with the reserve alone.
pub fn charge_beyond(
    record: &mut Record,
    reservation: &Reservation,
    used: &Amounts,
    terms: &Terms<'_>,
    now: Now,
) {
    record.advance_to_settle(now);
    let extra = used.over(&reservation.reserved);
    for (meter, units) in needed(terms.limits, terms.windows) {
        match meter {
            Meter::Sliding(window, _) => record.charge(now.mono, ACCOUNT, window, units, &extra),
            Meter::Period(calendar, _) => {
                let period = (calendar, terms.windows.day);
                record.add_to_period(now, ACCOUNT, period, units, &extra);
            }
            Meter::Leases => {}
        }
    }
}
