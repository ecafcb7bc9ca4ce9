//! The input and the trace of a decision: the request, the limits that apply, and what an admitted
//! request holds until it is settled.

use super::effective::Lowered;
use super::kinds::{LimitKind, Limits};
use super::lease::Holder;
use super::record::{Meter, Windows};
use crate::time::{Mono, Now, Span};

/// The demand of a request.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The number of requests that it counts for.
    pub requests: u64,
    /// Tokens to reserve.
    pub tokens: u64,
    /// Who holds its lease.
    pub holder: Holder,
}

/// The limits that a request is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The base limits of the account.
    pub limits: &'a Limits,
    /// Their lowered values, while there are any.
    pub lowered: Option<Lowered>,
    /// The windows' lengths.
    pub windows: &'a Windows,
    /// The wait that is told when concurrency refuses: the end of a lease is unknown.
    pub concurrency_wait: Span,
}

impl Ask {
    /// The amount that the request needs of a kind.
    pub(super) const fn need(&self, kind: LimitKind) -> u64 {
        if kind.counts_tokens() {
            self.tokens
        } else {
            self.requests
        }
    }
}

impl Terms<'_> {
    /// Tells whether a decision reads the wall clock, which costs a host call.
    pub fn needs_wall_clock(&self) -> bool {
        Meter::needs_day(self.limits)
    }

    /// The terms without what has ended at `now`.
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
    /// The calendar day that its tokens were reserved on, where days are counted.
    pub day: Option<u32>,
    /// Tokens reserved.
    pub reserved: u64,
    /// Who holds its lease; `None` where concurrency is unlimited.
    pub holder: Option<Holder>,
}

impl Reservation {
    /// The reservation of a request that nothing is recorded of.
    pub const fn unrecorded(reserved: u64) -> Self {
        Self {
            at: Mono::from_millis(0),
            day: None,
            reserved,
            holder: None,
        }
    }
}
