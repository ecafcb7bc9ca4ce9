//! Requests that wait for a lease of their account or family: first come, first served, within one
//! limiter.
//!
//! A settlement of this limiter wakes the first request of its account. A lease that another one gives
//! back is only seen by a look, which reads a page: so looks back off, and are few in each tick.

use super::fleet::FleetWait;
use super::reserve::AdaptiveReserve;
use super::{CheckResult, Next};
use crate::host::Host;
use crate::identity::Account;
use crate::ledger::AccountKey;
use crate::limits::record::FamilyKey;
use crate::limits::units::Units;
use crate::limits::{Amounts, Plan};
use crate::models::FamilyId;
use crate::notices::Addressee;
use crate::reply::api::CalledApi;
use crate::routes::TokenCharge;
use crate::tiers::TierId;
use crate::time::{Mono, Span};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// The maximum number of queued requests in one VM; a further request does not wait.
pub const MOST_WAITING: usize = 1024;
/// The maximum number of queued requests of one line.
pub const MOST_IN_LINE: usize = 64;
/// The maximum number of looks in one tick.
const MOST_LOOKS: u32 = 32;
/// The wait for the second look; doubles with each further look.
const FIRST_LOOK: Span = Span::from_millis(10);
/// The longest wait for a look: in that time, ticks of 10 ms look at [`MOST_WAITING`] lines.
const LONGEST_LOOK: Span = Span::from_millis(320);

/// An identified request without a result.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(super) id: u32,
    pub(super) key: AccountKey,
    pub(super) account: Account,
    pub(super) tier: TierId,
    pub(super) family: Option<FamilyId>,
    pub(super) plan: Rc<Plan>,
    /// The API that the request calls, where it chooses the rate-limit headers.
    pub(super) called: CalledApi,
    /// The one that notices are about, if there are any.
    pub(super) addressee: Option<Rc<Addressee>>,
    pub(super) reserve: Amounts,
    /// The reserve that follows the account's completions; `None` for a fixed one.
    pub(super) adaptive: Option<AdaptiveReserve>,
    /// The tokens that the request counts.
    pub(super) tokens: TokenCharge,
    /// True for a request whose body asks for more completion than it has prompt.
    pub(super) long_completion: bool,
    /// The units of which the request costs nothing.
    pub(super) free: Units,
    /// True for a request with a model and without a price, under a limit on money.
    pub(super) unpriced: bool,
    /// The end of the wait for a lease; `None` before the first wait.
    pub(super) until: Option<Mono>,
    /// The wait for an answer of the fleet.
    pub(super) fleet: FleetWait,
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

/// Queued requests of one account, or of one family of it.
#[derive(Debug, Default)]
struct WaitingLine {
    ids: VecDeque<u32>,
    /// True after a settlement of the account.
    is_woken: bool,
    /// The time of the next look.
    look_at: Mono,
    /// The wait for the look after that.
    wait: Span,
}

/// Queued requests by account, and by family where it limits concurrency.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: HashMap<(AccountKey, Option<FamilyId>), WaitingLine>,
    length: usize,
    /// The time of the current tick, and the looks that it has left.
    looks: (Mono, u32),
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
        let line = self.lines.entry(ticket.line()).or_default();
        if line.ids.contains(&ticket.id) {
            return true;
        }
        if full || line.ids.len() >= MOST_IN_LINE {
            return false;
        }
        line.ids.push_back(ticket.id);
        self.length = self.length.saturating_add(1);
        true
    }

    /// True when no request of the line came before.
    pub fn is_first(&self, ticket: &Ticket) -> bool {
        let line = self.lines.get(&ticket.line());
        line.is_none_or(|line| line.ids.front() == Some(&ticket.id))
    }

    /// True when a retry can end the wait of a request at `now`, the time of a tick: its wait is over,
    /// or it is the first of its line and a lease came back, or a look is due.
    pub fn is_due(&mut self, ticket: &Ticket, now: Mono) -> bool {
        if ticket.is_over(now) {
            return true;
        }
        let Some(line) = self.lines.get(&ticket.line()) else {
            return true;
        };
        if line.ids.front() != Some(&ticket.id) {
            return false;
        }
        line.is_woken || (line.look_at <= now && self.may_look(now))
    }

    fn may_look(&mut self, now: Mono) -> bool {
        let (tick, left) = &mut self.looks;
        if *tick != now {
            (*tick, *left) = (now, MOST_LOOKS);
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// Notes a look at `now` that found no lease for the first of a line.
    pub fn looked(&mut self, ticket: &Ticket, now: Mono) {
        if let Some(line) = self.lines.get_mut(&ticket.line()) {
            line.is_woken = false;
            line.wait = line.wait.max(FIRST_LOOK);
            line.look_at = now.after(line.wait);
            let doubled = Span::from_millis(line.wait.as_millis().saturating_mul(2));
            line.wait = doubled.min(LONGEST_LOOK);
        }
    }

    /// Wakes the first of each line of an account: a lease came back.
    pub fn wake(&mut self, account: AccountKey) {
        if self.length == 0 {
            return;
        }
        for (_, line) in self
            .lines
            .iter_mut()
            .filter(|((key, _), _)| *key == account)
        {
            line.is_woken = true;
        }
    }

    /// Removes a request, if it is queued.
    pub fn leave(&mut self, ticket: &Ticket) {
        let Some(line) = self.lines.get_mut(&ticket.line()) else {
            return;
        };
        if let Some(at) = line.ids.iter().position(|id| *id == ticket.id) {
            line.ids.remove(at);
            self.length = self.length.saturating_sub(1);
            // The next one may be admitted too.
            line.is_woken |= at == 0;
        }
        if line.ids.is_empty() {
            self.lines.remove(&ticket.line());
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
