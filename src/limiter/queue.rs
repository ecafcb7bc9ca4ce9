//! Requests that wait for a lease of their account or family: first come, first served, within one
//! VM.

use super::reserve::AdaptiveReserve;
use super::{CheckResult, Next};
use crate::host::Host;
use crate::identity::Account;
use crate::ledger::AccountKey;
use crate::limits::record::FamilyKey;
use crate::limits::{Amounts, Plan};
use crate::models::FamilyId;
use crate::tiers::TierId;
use crate::time::{Mono, Span};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// The maximum number of queued requests in one VM; a further request does not wait.
pub const MOST_WAITING: usize = 1024;

/// An identified request without a result.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(super) id: u32,
    pub(super) key: AccountKey,
    pub(super) account: Account,
    pub(super) tier: TierId,
    pub(super) family: Option<FamilyId>,
    pub(super) plan: Rc<Plan>,
    pub(super) reserve: Amounts,
    /// The reserve that follows the account's completions; `None` for a fixed one.
    pub(super) adaptive: Option<AdaptiveReserve>,
    /// True for a request that costs no tokens.
    pub(super) free: bool,
    /// True for a request with a price.
    pub(super) priced: bool,
    /// True for a request with a model and without a price, under a limit on money.
    pub(super) unpriced: bool,
    /// The end of the wait; `None` before the first wait.
    pub(super) until: Option<Mono>,
}

impl Ticket {
    /// Returns the line that the request stands in: that of its account, or of its family where that
    /// limits concurrency, so that requests without this limit do not stand behind.
    fn line(&self) -> (AccountKey, Option<FamilyId>) {
        let limits_family = self
            .plan
            .leases()
            .iter()
            .any(|of| *of != FamilyKey::ACCOUNT);
        (self.key, self.family.filter(|_| limits_family))
    }

    /// True when the wait is over.
    pub(super) fn is_over(&self, now: Mono) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// The position of a request among the queued ones of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The request is the first.
    First,
    /// Another request came before.
    Behind,
    /// The queue is full, or the request's wait is over.
    Unqueued,
}

/// Queued requests by account, and by family where it limits concurrency.
#[derive(Debug, Default)]
pub(super) struct Queue {
    accounts: HashMap<(AccountKey, Option<FamilyId>), VecDeque<u32>>,
    length: usize,
}

impl Queue {
    /// Adds a request, unless it is queued; `now` runs only for a request that has waited.
    pub fn enter(&mut self, ticket: &Ticket, now: impl FnOnce() -> Mono) -> Turn {
        if ticket.until.is_some_and(|until| until <= now()) || !self.join(ticket) {
            return Turn::Unqueued;
        }
        match self.is_first(ticket) {
            true => Turn::First,
            false => Turn::Behind,
        }
    }

    /// Returns false when the queue is full and does not have the request.
    fn join(&mut self, ticket: &Ticket) -> bool {
        let full = self.length >= MOST_WAITING;
        let places = self.accounts.entry(ticket.line()).or_default();
        if places.contains(&ticket.id) {
            return true;
        }
        if full {
            return false;
        }
        places.push_back(ticket.id);
        self.length = self.length.saturating_add(1);
        true
    }

    /// True when no request of the line came before.
    pub fn is_first(&self, ticket: &Ticket) -> bool {
        let places = self.accounts.get(&ticket.line());
        places.is_none_or(|places| places.front() == Some(&ticket.id))
    }

    /// Removes a request, if it is queued.
    pub fn leave(&mut self, ticket: &Ticket) {
        let Some(places) = self.accounts.get_mut(&ticket.line()) else {
            return;
        };
        if let Some(at) = places.iter().position(|id| *id == ticket.id) {
            places.remove(at);
            self.length = self.length.saturating_sub(1);
        }
        if places.is_empty() {
            self.accounts.remove(&ticket.line());
        }
    }
}

/// Queues a request; `wait` counts from the first wait.
pub(super) fn hold(host: &dyn Host, mut ticket: Ticket, wait: Span) -> CheckResult {
    if ticket.until.is_none() {
        ticket.until = Some(host.mono().after(wait));
    }
    CheckResult {
        log: None,
        next: Next::Queue(Box::new(ticket)),
    }
}
