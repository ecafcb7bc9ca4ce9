//! The input and the result of a decision: the request, the limits that apply, and the reservation
//! of an admitted request.

use super::effective::Lowered;
use super::kinds::{Counted, LimitKind};
use super::lease::Holder;
use super::plan::Plan;
use super::record::FamilyKey;
use super::snapshot::Tells;
use super::units::{Amounts, Units};
use crate::time::{Mono, Now, Span, Wall};
use crate::zone::Calendar;

/// The demand of a request.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The amounts to reserve.
    pub amounts: Amounts,
    /// The VM that gets the lease.
    pub holder: Holder,
    /// The units of which the request costs nothing whatever comes: no limit on them refuses it.
    pub free: Units,
}

/// The limits that a request is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The base limits of the account, and of one family of models.
    pub plan: &'a Plan,
    /// The lowered limits, if any.
    pub lowered: Option<Lowered>,
    /// The limits that the client is told, if any.
    pub tells: Option<&'a Tells>,
    /// The wait to report when concurrency refuses: the end of a lease is unknown.
    pub concurrency_wait: Span,
}

impl Ask {
    /// Returns the amount that the request needs of a kind.
    #[inline]
    pub const fn need(&self, kind: LimitKind) -> u64 {
        match kind.counted() {
            Counted::Leases => 1,
            Counted::Sum(unit, _) => self.amounts.get(unit),
        }
    }

    /// True when a limit of the kind does not concern the request.
    #[inline]
    pub const fn is_free(&self, kind: LimitKind) -> bool {
        match kind.counted() {
            Counted::Leases => false,
            Counted::Sum(unit, _) => self.free.contains(unit),
        }
    }
}

impl Terms<'_> {
    /// True when a decision reads the wall clock, which costs a host call.
    pub fn needs_wall_clock(&self) -> bool {
        self.plan.needs_wall_clock() || self.tells.is_some_and(|tells| tells.wall)
    }

    /// Returns the terms without the lowerings that have expired at `now`.
    pub(super) fn at(&self, now: Now) -> Self {
        Self {
            lowered: self.lowered.map(|lowered| lowered.at(now.mono)),
            ..*self
        }
    }
}

/// The ends of the calendar periods that a request was admitted in; `None` where none is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeriodEnds {
    day: Option<Wall>,
    week: Option<Wall>,
    month: Option<Wall>,
}

impl PeriodEnds {
    /// Returns the end of the period of a calendar.
    pub const fn get(&self, calendar: Calendar) -> Option<Wall> {
        match calendar {
            Calendar::Day => self.day,
            Calendar::Week => self.week,
            Calendar::Month => self.month,
        }
    }

    pub(super) const fn set(&mut self, calendar: Calendar, end: Option<Wall>) {
        match calendar {
            Calendar::Day => self.day = end,
            Calendar::Week => self.week = end,
            Calendar::Month => self.month = end,
        }
    }

    /// True when no period counts the request.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The part of an admitted request that one family of a record counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entered {
    /// The calendar periods of the reserved amounts.
    pub periods: PeriodEnds,
    /// True when the request holds a lease.
    pub leased: bool,
}

/// The part of an admitted request that its settlement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Time of the admission.
    pub at: Mono,
    /// The amounts reserved.
    pub reserved: Amounts,
    /// The VM that has the leases.
    pub holder: Holder,
    /// The part that the account's own limits count.
    pub account: Entered,
    /// The part that the limits of the family of models count.
    pub model: Entered,
    /// True when the page's overflow record counts the request.
    pub overflow: bool,
}

impl Reservation {
    /// Returns the reservation of a request that nothing counts yet.
    pub fn new(at: Mono, reserved: Amounts, holder: Holder) -> Self {
        Self {
            at,
            reserved,
            holder,
            account: Entered::default(),
            model: Entered::default(),
            overflow: false,
        }
    }

    /// Returns the part that a family counts.
    pub fn of(&self, family: FamilyKey) -> &Entered {
        match family {
            FamilyKey::ACCOUNT => &self.account,
            _ => &self.model,
        }
    }

    pub(super) fn of_mut(&mut self, family: FamilyKey) -> &mut Entered {
        match family {
            FamilyKey::ACCOUNT => &mut self.account,
            _ => &mut self.model,
        }
    }

    /// True when a period or a lease keeps the request until it is settled.
    pub fn is_kept(&self) -> bool {
        [&self.account, &self.model]
            .into_iter()
            .any(|entered| entered.leased || !entered.periods.is_empty())
    }
}
