//! One account's complete state: everything that a decision needs.

use crate::limits::day::{DayRule, DayUse};
use crate::limits::kinds::{LimitKind, Limits};
use crate::limits::lease::Leases;
use crate::limits::window::{Log, LogColumn};
use crate::time::{Mono, Now, Span};

/// The lengths of the windows, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The window of RPM and TPM.
    pub minute: Span,
    /// The meaning of a day, for TPD.
    pub day: DayRule,
}

/// The use of an account's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Requests and tokens of the last minute window.
    pub minute: Log,
    /// Tokens of the day; kept only for accounts with a TPD limit.
    pub day: DayUse,
    /// Requests in flight.
    pub leases: Leases,
}

/// The part of a record that counts a limit kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Leases.
    Leases,
    /// A column of the minute window.
    Minute(LogColumn),
    /// Tokens of the day.
    Day,
}

impl Meter {
    /// Returns the meter of a kind.
    pub const fn of(kind: LimitKind) -> Self {
        match kind {
            LimitKind::Concurrency => Self::Leases,
            LimitKind::Rpm => Self::Minute(LogColumn::Requests),
            LimitKind::Tpm => Self::Minute(LogColumn::Tokens),
            LimitKind::Tpd => Self::Day,
        }
    }

    /// Tells whether any limit needs the minute window.
    pub fn needs_minute(limits: &Limits) -> bool {
        Self::any(limits, |meter| matches!(meter, Self::Minute(_)))
    }

    /// Tells whether any limit needs the day, and with it the wall clock.
    pub fn needs_day(limits: &Limits) -> bool {
        Self::any(limits, |meter| matches!(meter, Self::Day))
    }

    fn any(limits: &Limits, matches: impl Fn(Self) -> bool) -> bool {
        let mut kinds = LimitKind::ALL.into_iter();
        kinds.any(|kind| matches(Self::of(kind)) && limits.is_limited(kind))
    }
}

impl Record {
    /// Returns the use of a limit kind, as of the last [`Self::advance`].
    pub fn used(&self, kind: LimitKind) -> u64 {
        match Meter::of(kind) {
            Meter::Leases => self.leases.count(),
            Meter::Minute(column) => self.minute.used(column),
            Meter::Day => self.day.used(),
        }
    }

    /// Returns the time until nothing of a kind is used, if nothing more happens; zero for leases,
    /// whose end is unknown.
    pub fn resets_in(&self, kind: LimitKind, now: Now, windows: &Windows) -> Span {
        match Meter::of(kind) {
            Meter::Leases => Span::ZERO,
            Meter::Minute(column) => self.minute.resets_in(now.mono, windows.minute, column),
            Meter::Day => self.day.resets_in(now, windows.day),
        }
    }

    /// Advances the windows to `now`.
    pub fn advance(&mut self, now: Now, windows: &Windows) {
        self.minute.advance(now.mono, windows.minute);
        self.day.advance(now, windows.day);
    }

    /// Returns the time of the newest event in the sliding logs.
    pub fn newest(&self) -> Mono {
        let day = match &self.day {
            DayUse::Rolling(log) => log.newest(),
            DayUse::None | DayUse::Calendar { .. } => Mono::default(),
        };
        self.minute.newest().max(day)
    }

    /// Clears the windows and keeps the leases.
    pub fn clear_usage(&mut self) {
        self.minute = Log::default();
        self.day = DayUse::None;
    }

    /// True when the record has no use and no lease.
    pub fn is_empty(&self) -> bool {
        self.minute.is_empty() && self.day == DayUse::None && self.leases.is_empty()
    }

    /// Returns the moment from which the windows are empty, if nothing more happens; leases do not
    /// count.
    pub fn expires_at(&self, now: Now, windows: &Windows) -> Mono {
        let day = match &self.day {
            DayUse::None => Mono::default(),
            DayUse::Calendar { .. } => now.mono.after(self.day.resets_in(now, windows.day)),
            DayUse::Rolling(log) => match windows.day {
                DayRule::Rolling(window) => log.expires_at(window),
                DayRule::Calendar { .. } => Mono::default(),
            },
        };
        self.minute.expires_at(windows.minute).max(day)
    }
}
