//! The end of an admitted request.

use super::meter::MeterPart;
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
    release(record, reservation, terms);
    let (at, reserved) = (reservation.at, &reservation.reserved);
    let (extra, refund) = (used.over(reserved), reserved.over(used));
    for sum in terms.plan.sums() {
        let (meter, family, units) = (sum.meter, sum.meter.family, sum.units);
        match meter.part {
            MeterPart::Sliding(window, _) => {
                let extra = extra.without(sum.uncounted);
                if units.iter().any(|unit| extra.get(unit) > 0) {
                    record.charge(now.mono, family, window, units, &extra);
                }
                if units.iter().any(|unit| refund.get(unit) > 0) {
                    record.refund(now.mono, family, window, units, (at, &refund));
                }
            }
            MeterPart::Period(calendar, _) => {
                let settled = Settled {
                    at,
                    ends_at: reservation.of(family).periods.get(calendar),
                    reserved: &reserved.without(sum.uncounted),
                    used: &used.without(sum.uncounted),
                };
                let period = (calendar, terms.plan.windows().day);
                record.settle_period(now, family, period, units, &settled);
            }
            MeterPart::Leases => {}
        }
    }
}

/// Returns the leases of one request.
pub fn release(record: &mut Record, reservation: &Reservation, terms: &Terms<'_>) {
    for family in terms.plan.leases() {
        if reservation.of(*family).leased {
            record.release(*family, reservation.holder);
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
    for sum in terms.plan.sums() {
        let (meter, family, units) = (sum.meter, sum.meter.family, sum.units);
        let extra = extra.without(sum.uncounted);
        match meter.part {
            _ if units.iter().all(|unit| extra.get(unit) == 0) => {}
            MeterPart::Sliding(window, _) => {
                record.charge(now.mono, family, window, units, &extra);
            }
            MeterPart::Period(calendar, _) => {
                let period = (calendar, terms.plan.windows().day);
                record.add_to_period(now, family, period, units, &extra);
            }
            MeterPart::Leases => {}
        }
    }
}
