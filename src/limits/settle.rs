//! The end of an admitted request.

use super::day::DayRule;
use super::kinds::LimitKind;
use super::meter::{ACCOUNT, Meter, Needed};
use super::record::Record;
use super::record::period::Settled;
use super::terms::{Reservation, Terms};
use super::units::{Amounts, Units};
use crate::time::Now;
use crate::zone::Calendar;

/// Returns the lease and replaces the reserve with `used` tokens.
pub fn settle(
    record: &mut Record,
    reservation: &Reservation,
    used: u64,
    terms: &Terms<'_>,
    now: Now,
) {
    let windows = terms.windows;
    record.advance(now, windows);
    if let Some(holder) = reservation.holder {
        record.release(ACCOUNT, holder);
    }
    let tokens = |tokens: u64| Amounts {
        tokens,
        ..Amounts::default()
    };
    let (reserved, used) = (tokens(reservation.reserved), tokens(used));
    let (extra, refund) = (used.over(&reserved), reserved.over(&used));
    let mut slide = |kind: LimitKind, units: Units| {
        let Meter::Sliding(window, _) = Meter::of(kind, windows) else {
            return;
        };
        if extra.is_zero() {
            record.refund(now.mono, ACCOUNT, window.id, reservation.at, &refund);
        } else if !units.is_empty() {
            record.charge(now.mono, ACCOUNT, window, units, &extra);
        }
    };
    let needed = Needed::by(terms.limits);
    slide(LimitKind::Rpm, needed.minute);
    slide(LimitKind::Tpd, needed.day);
    if !needed.day.is_empty() && matches!(windows.day, DayRule::Calendar { .. }) {
        let settled = Settled {
            at: reservation.at,
            ends_at: reservation.day,
            reserved: &reserved,
            used: &used,
        };
        let calendar = (Calendar::Day, windows.day);
        record.settle_period(now, ACCOUNT, calendar, needed.day, &settled);
    }
}
