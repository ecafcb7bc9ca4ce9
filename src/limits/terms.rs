//! The input and the result of a decision: the request, the limits that apply, and the reservation
//! of an admitted request.

use super::day::DayRule;
use super::effective::Lowered;
use super::kinds::{LimitKind, Limits};
use super::lease::Holder;
use super::meter::Needed;
use super::record::Windows;
use super::units::Amounts;
use crate::time::{Mono, Now, Span, Wall};

/// The demand of a request.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The number of requests to count.
    pub requests: u64,
    /// Tokens to reserve.
    pub tokens: u64,
    /// The VM that gets the lease.
    pub holder: Holder,
}

/// The limits that a request is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The base limits of the account.
    pub limits: &'a Limits,
    /// The lowered limits, if any.
    pub lowered: Option<Lowered>,
    /// The windows' lengths.
    pub windows: &'a Windows,
    /// The wait to report when concurrency refuses: the end of a lease is unknown.
    pub concurrency_wait: Span,
}

impl Ask {
    /// Returns the amount that the request needs of a kind.
    pub(super) const fn need(&self, kind: LimitKind) -> u64 {
        if kind.counts_tokens() {
            self.tokens
        } else {
            self.requests
        }
    }

    /// Returns the amounts of the request.
    pub(super) fn amounts(&self) -> Amounts {
        Amounts {
            requests: self.requests,
            tokens: self.tokens,
            ..Amounts::default()
        }
    }
}

impl Terms<'_> {
    /// Tells whether a decision reads the wall clock, which costs a host call.
    pub fn needs_wall_clock(&self) -> bool {
        let day = Needed::by(self.limits).day;
        !day.is_empty() && matches!(self.windows.day, DayRule::Calendar { .. })
    }

    /// Returns the terms without the lowerings that have expired at `now`.
    pub(super) fn at(&self, now: Now) -> Self {
        Self {
            lowered: self.lowered.map(|lowered| lowered.at(now.mono)),
            ..*self
        }
    }
}

/// The part of an admitted request that its settlement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Time of the admission.
    pub at: Mono,
    /// The end of the calendar day of the reserved tokens, if days are counted.
    pub day: Option<Wall>,
    /// Tokens reserved.
    pub reserved: u64,
    /// The VM that has the lease; `None` where concurrency is unlimited.
    pub holder: Option<Holder>,
    /// True when the page's overflow record counts the request.
    pub overflow: bool,
}

impl Reservation {
    /// Returns the reservation of a request that is not recorded.
    pub const fn unrecorded(reserved: u64) -> Self {
        Self {
            at: Mono::from_millis(0),
            day: None,
            reserved,
            holder: None,
            overflow: false,
        }
    }
}
