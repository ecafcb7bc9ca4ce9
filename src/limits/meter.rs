//! The part of a record that counts a limit kind.

use super::day::DayRule;
use super::kinds::{Counted, LimitKind, Limits, Per};
use super::record::{FamilyKey, Record, Window, Windows, window_id};
use super::units::{Unit, Units};
use crate::time::{Now, Span};
use crate::zone::Calendar;

/// The account's own limits.
pub const ACCOUNT: FamilyKey = FamilyKey(0);

/// The part of a record that counts a limit kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Leases.
    Leases,
    /// A unit of a sliding window.
    Sliding(Window, Unit),
    /// A unit of a calendar period.
    Period(Calendar, Unit),
}

impl Meter {
    /// Returns the meter of a kind.
    #[inline]
    pub const fn of(kind: LimitKind, windows: &Windows) -> Self {
        let Counted::Sum(unit, per) = kind.counted() else {
            return Self::Leases;
        };
        let (id, length) = match per {
            Per::Second => (window_id::SECOND, windows.second),
            Per::Minute => (window_id::MINUTE, windows.minute),
            Per::Hour => (window_id::HOUR, windows.hour),
            Per::Custom(length) => return Self::Sliding(custom(length, windows), unit),
            Per::Day | Per::Week | Per::Month => {
                let DayRule::Rolling(day) = windows.day else {
                    return Self::Period(calendar(per), unit);
                };
                match per {
                    Per::Week => (window_id::WEEK, times(day, 7)),
                    Per::Month => (window_id::MONTH, times(day, 30)),
                    _ => (window_id::DAY, day),
                }
            }
        };
        Self::Sliding(Window { id, length }, unit)
    }

    /// Returns the use, as of the last [`Record::advance`].
    #[inline]
    pub fn used(self, record: &Record, now: Now) -> u64 {
        match self {
            Self::Leases => record.leases(ACCOUNT),
            Self::Sliding(window, unit) => {
                let log = record.log(ACCOUNT, window);
                log.map_or(0, |log| log.used(now.mono, window.length, unit))
            }
            Self::Period(calendar, unit) => {
                let period = record.period(ACCOUNT, calendar);
                period.map_or(0, |period| period.used(unit))
            }
        }
    }

    /// Returns the time until nothing is used, if nothing more happens; zero for leases, whose end
    /// is unknown.
    pub fn resets_in(self, record: &Record, now: Now) -> Span {
        match self {
            Self::Leases => Span::ZERO,
            Self::Sliding(window, unit) => {
                let log = record.log(ACCOUNT, window);
                log.map_or(Span::ZERO, |log| {
                    log.resets_in(now.mono, window.length, unit)
                })
            }
            Self::Period(calendar, unit) => {
                let period = record.period(ACCOUNT, calendar);
                let period = period.filter(|period| period.used(unit) > 0);
                period.map_or(Span::ZERO, |period| period.resets_in(now))
            }
        }
    }

    /// Returns the time until `need` more fits under `limit`; zero when it fits now, `None` when
    /// it never fits. Not for leases.
    pub fn wait(self, record: &Record, now: Now, need: u64, limit: u64) -> Option<Span> {
        let alone = || limit.checked_sub(need).map(|_| Span::ZERO);
        match self {
            Self::Leases => alone(),
            Self::Sliding(window, unit) => match record.log(ACCOUNT, window) {
                Some(log) => log.wait(now.mono, window.length, unit, need, limit),
                None => alone(),
            },
            Self::Period(calendar, unit) => match record.period(ACCOUNT, calendar) {
                Some(period) => period.wait(now, unit, need, limit),
                None => alone(),
            },
        }
    }

    /// True when both count in the same log or period.
    fn shares_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Sliding(a, _), Self::Sliding(b, _)) => a.id == b.id,
            (Self::Period(a, _), Self::Period(b, _)) => a == b,
            _ => false,
        }
    }

    const fn unit(self) -> Option<Unit> {
        match self {
            Self::Leases => None,
            Self::Sliding(_, unit) | Self::Period(_, unit) => Some(unit),
        }
    }
}

/// Returns the window of a custom length; a known window of that length, if there is one.
const fn custom(length: Span, windows: &Windows) -> Window {
    let ms = length.as_millis();
    let known = [
        (window_id::SECOND, windows.second),
        (window_id::MINUTE, windows.minute),
        (window_id::HOUR, windows.hour),
    ];
    let [(second, a), (minute, b), (hour, c)] = known;
    let id = if ms == a.as_millis() {
        second
    } else if ms == b.as_millis() {
        minute
    } else if ms == c.as_millis() {
        hour
    } else {
        let [a, b, c, d, ..] = ms.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    };
    Window { id, length }
}

const fn calendar(per: Per) -> Calendar {
    match per {
        Per::Week => Calendar::Week,
        Per::Month => Calendar::Month,
        _ => Calendar::Day,
    }
}

const fn times(day: Span, n: u64) -> Span {
    Span::from_millis(day.as_millis().saturating_mul(n))
}

/// The logs and the periods that finite limits need, each once, with its columns.
pub fn needed<'a>(
    limits: &'a Limits,
    windows: &'a Windows,
) -> impl Iterator<Item = (Meter, Units)> + use<'a> {
    let meters = move || limits.finite().map(|(kind, _)| Meter::of(kind, windows));
    meters().enumerate().filter_map(move |(i, meter)| {
        let mut units = Units::default().with(meter.unit()?);
        for (j, other) in meters().enumerate() {
            if meter.shares_with(other) {
                if j < i {
                    return None;
                }
                units = other.unit().map_or(units, |unit| units.with(unit));
            }
        }
        Some((meter, units))
    })
}

/// Returns the bytes of the windows and periods of a record that `limits` need, with so many grains
/// in each log, and amounts of `width` bytes.
pub fn record_bytes(limits: &Limits, windows: &Windows, grains: usize, width: usize) -> usize {
    let bytes = needed(limits, windows).map(|(meter, units)| {
        let columns = units.count();
        let head = columns.saturating_mul(8).saturating_add(28);
        match meter {
            Meter::Sliding(..) => {
                let grain = columns.saturating_mul(width).saturating_add(4);
                grains.saturating_mul(grain).saturating_add(head)
            }
            Meter::Leases | Meter::Period(..) => head,
        }
    });
    bytes.fold(0, usize::saturating_add)
}
