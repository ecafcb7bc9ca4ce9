//! One account's whole state: everything that a decision needs.

use crate::limits::day::{DayRule, DayUse};
use crate::limits::lease::Leases;
use crate::limits::window::Log;
use crate::time::{Mono, Now, Span};

/// How long windows are, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The window of RPM and TPM.
    pub minute: Span,
    /// What a day is, for TPD.
    pub day: DayRule,
}

/// What one account has used and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Requests and tokens of the last minute window.
    pub minute: Log,
    /// Tokens of the day; kept only for accounts with a TPD limit.
    pub day: DayUse,
    /// Requests in process.
    pub leases: Leases,
}

impl Record {
    /// Brings the windows to `now`.
    pub fn advance(&mut self, now: Now, windows: &Windows) {
        self.minute.advance(now.mono, windows.minute);
        self.day.advance(now, windows.day);
    }

    /// The newest event of the sliding logs.
    pub fn newest(&self) -> Mono {
        let day = match &self.day {
            DayUse::Rolling(log) => log.newest(),
            DayUse::None | DayUse::Calendar { .. } => Mono::default(),
        };
        self.minute.newest().max(day)
    }

    /// Forgets what was used; what is in process stays.
    pub fn clear_usage(&mut self) {
        self.minute = Log::default();
        self.day = DayUse::None;
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.minute.is_empty() && self.day == DayUse::None && self.leases.is_empty()
    }

    /// From when on the windows hold nothing, if nothing more happens; leases are not looked at.
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
