//! The part of a record that counts a limit kind.

use super::day::DayRule;
use super::kinds::{Counted, LimitKind, Per};
use super::record::{FamilyKey, Record, Window, Windows, window_id};
use super::units::Unit;
use crate::time::{Now, Span};
use crate::zone::Calendar;

/// The part of a record that counts a limit kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The family of models, or the account.
    pub family: FamilyKey,
    /// The part.
    pub part: MeterPart,
}

/// A part of what a record keeps of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterPart {
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
        Self {
            family: kind.family(),
            part: MeterPart::of(kind.counted(), windows),
        }
    }

    /// Returns the use, as of the last [`Record::advance`].
    #[inline]
    pub fn used(self, record: &Record, now: Now) -> u64 {
        match self.part {
            MeterPart::Leases => record.leases(self.family),
            MeterPart::Sliding(window, unit) => {
                let log = record.log(self.family, window);
                log.map_or(0, |log| log.used(now.mono, window.length, unit))
            }
            MeterPart::Period(calendar, unit) => {
                let period = record.period(self.family, calendar);
                period.map_or(0, |period| period.used(unit))
            }
        }
    }

    /// Returns the time until nothing is used, if nothing more happens; zero for leases, whose end
    /// is unknown.
    pub fn resets_in(self, record: &Record, now: Now) -> Span {
        match self.part {
            MeterPart::Leases => Span::ZERO,
            MeterPart::Sliding(window, unit) => {
                let log = record.log(self.family, window);
                log.map_or(Span::ZERO, |log| {
                    log.resets_in(now.mono, window.length, unit)
                })
            }
            MeterPart::Period(calendar, unit) => {
                let period = record.period(self.family, calendar);
                let period = period.filter(|period| period.used(unit) > 0);
                period.map_or(Span::ZERO, |period| period.resets_in(now))
            }
        }
    }

    /// Returns the time until `need` more fits under `limit`; zero when it fits now, `None` when
    /// it never fits. Not for leases.
    pub fn wait(self, record: &Record, now: Now, need: u64, limit: u64) -> Option<Span> {
        let alone = || limit.checked_sub(need).map(|_| Span::ZERO);
        match self.part {
            MeterPart::Leases => alone(),
            MeterPart::Sliding(window, unit) => match record.log(self.family, window) {
                Some(log) => log.wait(now.mono, window.length, unit, need, limit),
                None => alone(),
            },
            MeterPart::Period(calendar, unit) => match record.period(self.family, calendar) {
                Some(period) => period.wait(now, unit, need, limit),
                None => alone(),
            },
        }
    }

    /// True when both count in the same log or period.
    pub(super) fn shares_with(self, other: Self) -> bool {
        self.family == other.family
            && match (self.part, other.part) {
                (MeterPart::Sliding(a, _), MeterPart::Sliding(b, _)) => {
                    // A record finds a log by its window's id, or else by its length.
                    a.id == b.id || a.length == b.length
                }
                (MeterPart::Period(a, _), MeterPart::Period(b, _)) => a == b,
                _ => false,
            }
    }

    /// Returns the length of the window; `None` for leases, and for a calendar month.
    pub(super) const fn window(self) -> Option<Span> {
        const DAY: Span = Span::from_secs(86_400);
        match self.part {
            MeterPart::Sliding(window, _) => Some(window.length),
            MeterPart::Period(Calendar::Day, _) => Some(DAY),
            MeterPart::Period(Calendar::Week, _) => Some(times(DAY, 7)),
            MeterPart::Period(Calendar::Month, _) | MeterPart::Leases => None,
        }
    }

    /// Returns the unit; `None` for leases.
    pub(super) const fn unit(self) -> Option<Unit> {
        match self.part {
            MeterPart::Leases => None,
            MeterPart::Sliding(_, unit) | MeterPart::Period(_, unit) => Some(unit),
        }
    }
}

impl MeterPart {
    const fn of(counted: Counted, windows: &Windows) -> Self {
        let Counted::Sum(unit, per) = counted else {
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
