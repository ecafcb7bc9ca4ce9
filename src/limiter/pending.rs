//! Settlements that the ledger did not store, until a tick can. None is dropped: with it, a lease of
//! a living VM would be lost for good.
//!
//! Settlements of one account are merged where that changes nothing. Over [`MOST_APART`], refunds of
//! one account also merge within a 600th of the minute window. A merged refund goes to the earliest
//! moment, which refunds no more than each by itself: never over a limit.

use super::Admission;
use crate::fleet::{self, Ended};
use crate::ledger::{RecordKey, Which};
use crate::limits::record::Record;
use crate::limits::units::Unit;
use crate::limits::{Amounts, Plan, Reservation, Terms, charge_beyond, release, settle};
use crate::notices::Addressee;
use crate::time::{Now, Span};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The number of pending settlements from which near moments are merged.
const MOST_APART: usize = 1024;
/// The number of parts of a window within which moments are near.
const PARTS: u64 = 600;

/// The end of admitted requests of one account.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    pub key: RecordKey,
    plan: Rc<Plan>,
    /// The one that notices are about, if there are any.
    pub addressee: Option<Rc<Addressee>>,
    /// With the reserves of all the requests.
    reservation: Reservation,
    /// The amounts used by all the requests.
    used: Amounts,
    requests: u32,
    /// The output to note in the account's smoothed completion length.
    output: Option<u64>,
}

impl Settlement {
    /// Creates the settlement of one request that used these amounts.
    pub fn of(admission: &Admission, used: Amounts) -> Self {
        Self {
            output: None,
            key: RecordKey {
                account: admission.key,
                which: match admission.reservation.overflow {
                    true => Which::Overflow,
                    false => Which::Own,
                },
            },
            plan: Rc::clone(&admission.plan),
            addressee: admission.addressee.clone(),
            reservation: admission.reservation,
            used,
            requests: 1,
        }
    }

    /// Notes the output of the request in the account's smoothed completion length, where a limit
    /// counts tokens.
    pub fn note_output(&mut self, output: u64) {
        let mut sums = self.plan.sums().iter();
        let counts_tokens = sums.any(|sum| sum.units.iter().any(|unit| unit != Unit::Requests));
        if counts_tokens && !self.reservation.overflow && output > 0 {
            self.output = Some(output);
        }
    }

    /// Returns the terms under which it is settled.
    pub fn terms(&self) -> Terms<'_> {
        Terms {
            plan: &self.plan,
            lowered: None,
            tells: None,
            concurrency_wait: Span::ZERO,
        }
    }

    /// True when the record stays as it is.
    pub fn changes_nothing(&self) -> bool {
        let reservation = &self.reservation;
        let is_even = !reservation.is_kept() && self.used == reservation.reserved;
        self.plan.is_unlimited() || (is_even && self.output.is_none())
    }

    /// Settles the requests in the account's record. Returns true when other edges wait to hear of
    /// it.
    pub fn apply(&self, record: &mut Record, now: Now) -> bool {
        settle(record, &self.reservation, &self.used, &self.terms(), now);
        // The first lease went back with the tokens.
        for _ in 1..self.requests {
            release(record, &self.reservation, &self.terms());
        }
        if let Some(output) = self.output {
            record.note_completion(output);
        }
        let ended = self.ended(&self.used, self.requests);
        fleet::settle(record, &ended, &self.plan, now)
    }

    /// True when it gives back, in the account's own record, and charges nothing.
    pub fn gives_back_alone(&self) -> bool {
        !self.reservation.overflow && !self.sides().contains(&Ordering::Greater)
    }

    /// True when the account may have got a record since, which knows the reserve alone.
    pub fn is_beyond_a_shared_reserve(&self) -> bool {
        self.reservation.overflow && self.sides().contains(&Ordering::Greater)
    }

    /// Charges a record with what was used beyond the reserve.
    pub fn charge(&self, record: &mut Record, now: Now) {
        charge_beyond(record, &self.reservation, &self.used, &self.terms(), now);
        let used = self.used.at_least(&self.reservation.reserved);
        fleet::settle(record, &self.ended(&used, 0), &self.plan, now);
    }

    const fn ended<'a>(&'a self, used: &'a Amounts, leases: u32) -> Ended<'a> {
        Ended {
            reservation: &self.reservation,
            used,
            leases,
        }
    }

    /// For each unit: charged beyond the reserve, refunded, or neither.
    fn sides(&self) -> [Ordering; 5] {
        let reserved = &self.reservation.reserved;
        Unit::ALL.map(|unit| self.used.get(unit).cmp(&reserved.get(unit)))
    }

    fn refunds(&self) -> bool {
        self.sides().contains(&Ordering::Less)
    }

    /// True when both can be one. A charge is made at the moment of settlement, a refund to the
    /// moment of admission.
    fn merges(&self, other: &Self, merges_near: bool) -> bool {
        let (a, b) = (&self.reservation, &other.reservation);
        self.key == other.key
            && (Rc::ptr_eq(&self.plan, &other.plan) || self.plan == other.plan)
            && (a.holder, a.account, a.model) == (b.holder, b.account, b.model)
            && self.sides() == other.sides()
            && (!self.refunds() || a.at == b.at || (merges_near && self.part() == other.part()))
    }

    fn part(&self) -> u64 {
        let length = self
            .plan
            .windows()
            .minute
            .as_millis()
            .div_euclid(PARTS)
            .max(1);
        self.reservation.at.as_millis().div_euclid(length)
    }

    fn merge(&mut self, other: &Self) {
        let (a, b) = (&mut self.reservation, &other.reservation);
        a.at = a.at.min(b.at);
        a.reserved = a.reserved.plus(&b.reserved);
        self.used = self.used.plus(&other.used);
        self.output = other.output.or(self.output);
        self.requests = self.requests.saturating_add(other.requests);
    }
}

/// The pending settlements of one VM.
#[derive(Debug, Default)]
pub(super) struct Pending {
    accounts: BTreeMap<RecordKey, Vec<Settlement>>,
    length: usize,
}

impl Pending {
    /// True when none is left.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Keeps a settlement.
    pub fn add(&mut self, settlement: Settlement) {
        let merges_near = self.length >= MOST_APART;
        let own = self.accounts.entry(settlement.key).or_default();
        match own.iter_mut().find(|s| s.merges(&settlement, merges_near)) {
            Some(same) => same.merge(&settlement),
            None => {
                own.push(settlement);
                self.length = self.length.saturating_add(1);
            }
        }
    }

    /// Takes all of them.
    pub fn take(&mut self) -> Vec<Settlement> {
        let all = std::mem::take(self).accounts;
        all.into_values().flatten().collect()
    }
}
