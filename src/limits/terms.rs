//! What a decision is made by: the request, and the limits it is judged by.

use crate::limits::effective::Lowered;
use crate::limits::kinds::Limits;
use crate::limits::lease::Holder;
use crate::limits::record::Windows;
use crate::time::{Now, Span};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// How many requests it counts for.
    pub requests: u64,
    /// Tokens to reserve.
    pub tokens: u64,
    /// Who holds its lease.
    pub holder: Holder,
}

/// The limits that a request is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The limits that the account base.
    pub limits: &'a Limits,
    /// What is in force of them for the load, while that is less.
    pub lowered: Option<Lowered>,
    /// The windows' lengths.
    pub windows: &'a Windows,
    /// The wait that is named when concurrency refuses: nobody knows when a lease frees.
    pub concurrency_wait: Span,
}

impl Terms<'_> {
    /// The terms without what has ended at `now`.
    pub(super) fn at(&self, now: Now) -> Self {
        Self {
            lowered: self.lowered.map(|lowered| lowered.at(now.mono)),
            ..*self
        }
    }
}
