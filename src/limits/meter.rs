//! The part of a record that counts a limit kind.

use super::day::DayRule;
use super::kinds::{LimitKind, Limits};
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
        let minute = Window {
            id: window_id::MINUTE,
            length: windows.minute,
        };
        match kind {
            LimitKind::Concurrency => Self::Leases,
            LimitKind::Rpm => Self::Sliding(minute, Unit::Requests),
            LimitKind::Tpm => Self::Sliding(minute, Unit::Tokens),
            LimitKind::Tpd => match windows.day {
                DayRule::Calendar { .. } => Self::Period(Calendar::Day, Unit::Tokens),
                DayRule::Rolling(length) => Self::Sliding(
                    Window {
                        id: window_id::DAY,
                        length,
                    },
                    Unit::Tokens,
                ),
            },
        }
    }

    /// Returns the use, as of the last [`Record::advance`].
    #[inline]
    pub fn used(self, record: &Record, now: Now) -> u64 {
        match self {
            Self::Leases => record.leases(ACCOUNT),
            Self::Sliding(window, unit) => {
                let log = record.log(ACCOUNT, window.id);
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
                let log = record.log(ACCOUNT, window.id);
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
            Self::Sliding(window, unit) => match record.log(ACCOUNT, window.id) {
                Some(log) => log.wait(now.mono, window.length, unit, need, limit),
                None => alone(),
            },
            Self::Period(calendar, unit) => match record.period(ACCOUNT, calendar) {
                Some(period) => period.wait(now, unit, need, limit),
                None => alone(),
            },
        }
    }
}

/// The windows and the periods that limits need, each with its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The minute window.
    pub minute: Units,
    /// The day.
    pub day: Units,
}

impl Needed {
    /// Returns what `limits` need.
    #[inline]
    pub fn by(limits: &Limits) -> Self {
        let mut needed = Self::default();
        if limits.is_limited(LimitKind::Rpm) {
            needed.minute = needed.minute.with(Unit::Requests);
        }
        if limits.is_limited(LimitKind::Tpm) {
            needed.minute = needed.minute.with(Unit::Tokens);
        }
        if limits.is_limited(LimitKind::Tpd) {
            needed.day = needed.day.with(Unit::Tokens);
        }
        needed
    }
}
