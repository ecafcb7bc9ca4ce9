//! The admission of a checked request: its turn in the queue, the decision by its account's record,
//! and the result: forward, reply or queue.

use super::fleet::FleetWait;
use super::notices;
use super::outcome::Subject;
use super::queue::{Ticket, Turn, hold};
use super::{Admission, CheckResult, Limiter, terms};
use crate::config::{FaultAction, Mode};
use crate::fleet::Draft;
use crate::host::Host;
use crate::ledger::{Fault, RecordChange, SlotError};
use crate::limits::notice::ShareReport;
use crate::limits::{Amounts, Ask, Decision, Holder, Reservation, Snapshot, Terms, admit};
use crate::reply::Refusal;
use crate::tiers::Tier;
use crate::time::Mono;
use std::rc::Rc;

/// A decision with what goes along.
struct Decided {
    /// The decision; `None` for a request that waits for the fleet.
    decision: Option<Decision>,
    /// The shares of limits that the account is at.
    report: ShareReport,
    /// True when the settlement may wait for the next write of the page.
    joins: bool,
    /// The request's ask of the fleet.
    draft: Option<Draft>,
}

/// The result of a request's turn in the queue.
pub(super) enum Taken {
    /// The request waits.
    Held(CheckResult),
    /// The decision on the request, or the fault that prevents one.
    Decided(Ticket, Result<(Decision, ShareReport, bool), Fault>),
}

/// The holder for a request without a lease, which records none.
const NO_HOLDER: Holder = Holder {
    slot: u16::MAX,
    generation: 0,
};

impl Limiter {
    /// Checks a queued request again.
    pub fn retry(&mut self, host: &dyn Host, ticket: Ticket) -> CheckResult {
        self.enter(host, ticket)
    }

    /// Checks a queued request for the last time: it can wait no longer.
    pub fn retry_at_once(&mut self, host: &dyn Host, ticket: Ticket) -> CheckResult {
        let until = Some(Mono::default());
        let mut ticket = Ticket { until, ..ticket };
        ticket.fleet.over = true;
        self.enter(host, ticket)
    }

    /// True when a retry can end the wait of a queued request at `now`, the time of a tick.
    pub fn is_due(&mut self, ticket: &Ticket, now: Mono) -> bool {
        match ticket.fleet.is_waiting() {
            true => self.is_answered(ticket, now),
            false => self.queue.is_due(ticket, now),
        }
    }

    /// Removes a queued request that has ended.
    pub fn leave(&mut self, ticket: &Ticket) {
        self.queue.leave(ticket);
    }

    /// Takes a request's turn, decides, and follows the decision.
    pub(super) fn enter(&mut self, host: &dyn Host, ticket: Ticket) -> CheckResult {
        let config = Rc::clone(&self.config);
        let Some(tier) = config.tiers.get(ticket.tier) else {
            let subject = Subject::of(Some(&ticket.account));
            return self.refuse(subject, &Refusal::Unavailable);
        };
        match self.take_turn(host, ticket, tier) {
            Taken::Held(held) => held,
            Taken::Decided(ticket, decided) => self.follow(ticket, tier, decided),
        }
    }

    /// Lets a request take its turn in the queue, and decides on it where it need not wait.
    pub(super) fn take_turn(&mut self, host: &dyn Host, mut ticket: Ticket, tier: &Tier) -> Taken {
        // A request in shadow mode is never delayed.
        let needs_lease = !ticket.plan.leases().is_empty();
        let enforces = self.config.mode_of(Some(ticket.tier)) == Mode::Enforce;
        let wait = tier.wait.filter(|_| enforces && needs_lease);
        let turn = wait.map(|wait| (wait, self.queue.enter(&ticket, || host.mono())));
        if let Some((wait, Turn::Behind)) = turn {
            return Taken::Held(hold(host, ticket, wait));
        }
        let decided = self.admit(host, &mut ticket).map(|mut decided| {
            self.tell(host, ticket.addressee.as_ref(), &decided.report);
            self.note_stake(ticket.key, decided.draft.take());
            decided
        });
        let decided = match decided {
            Ok(decided) => match decided.decision {
                None => return Taken::Held(self.hold_for_fleet(host, ticket)),
                Some(decision) => Ok((decision, decided.report, decided.joins)),
            },
            Err(fault) => Err(fault),
        };
        ticket.fleet = FleetWait::default();
        if let (Some((wait, Turn::First)), Ok((Decision::Limited(limited), ..))) = (turn, &decided)
            && limited.last.is_concurrency()
        {
            self.queue.looked(&ticket, host.mono());
            return Taken::Held(hold(host, ticket, wait));
        }
        self.queue.leave(&ticket);
        Taken::Decided(ticket, decided)
    }

    fn follow(
        &mut self,
        ticket: Ticket,
        base: &Tier,
        decided: Result<(Decision, ShareReport, bool), Fault>,
    ) -> CheckResult {
        let (account, tier, family) = (ticket.account, ticket.tier, ticket.family);
        let subject = Subject::of(Some(&account)).in_tier(Some(tier), family);
        let (decision, report, joins) = match decided {
            Ok(decided) => decided,
            Err(fault) => return self.faulted(subject, fault),
        };
        match decision {
            Decision::Admitted(reservation, snapshot) => {
                self.note_name(ticket.key, &account.id, &base.name);
                let unpriced = &mut self.uncounted.unpriced;
                *unpriced = unpriced.saturating_add(ticket.unpriced.into());
                let admission = Admission {
                    key: ticket.key,
                    reservation,
                    charged: Amounts::default(),
                    tier,
                    family,
                    tokens: ticket.tokens,
                    plan: ticket.plan,
                    addressee: ticket.addressee,
                    joins,
                };
                self.admitted(&account, admission, (ticket.called, snapshot), &report)
            }
            Decision::Limited(limited) => {
                let refusal = Refusal::Limited {
                    account: account.clone(),
                    tier: base.name.clone(),
                    limited: limited.into(),
                    warning: notices::warning(&report.at),
                };
                self.limited(subject, tier, &refusal)
            }
            Decision::TooLarge { kind, limit, need } => {
                let refusal = Refusal::TooLarge {
                    account: account.clone(),
                    tier: base.name.clone(),
                    need,
                    kind,
                    limit,
                    long_completion: ticket.long_completion,
                };
                self.refuse(subject, &refusal)
            }
        }
    }

    fn admit(&mut self, host: &dyn Host, ticket: &mut Ticket) -> Result<Decided, Fault> {
        if !ticket.plan.leases().is_empty() {
            match self.admit_leased(host, ticket) {
                Err(fault @ Fault::Slot(_)) => self.go_on_without_a_lease(ticket, fault)?,
                decided => return decided,
            }
            let decided = self.admit_unleased(host, ticket)?;
            let admitted = matches!(decided.decision, Some(Decision::Admitted(..)));
            let unleased = &mut self.uncounted.unleased;
            *unleased = unleased.saturating_add(admitted.into());
            return Ok(decided);
        }
        self.admit_unleased(host, ticket)
    }

    fn admit_unleased(&self, host: &dyn Host, ticket: &Ticket) -> Result<Decided, Fault> {
        if ticket.plan.is_unlimited() {
            // Only a log asks when that was.
            let at = match self.config.log_usage {
                true => host.mono(),
                false => Mono::default(),
            };
            let reservation = Reservation::new(at, ticket.reserve, NO_HOLDER);
            let decision = Decision::Admitted(reservation, Snapshot::default());
            return Ok(Decided {
                decision: Some(decision),
                report: ShareReport::default(),
                joins: false,
                draft: None,
            });
        }
        let always = |_| true;
        let decision = self.try_admit(host, ticket, NO_HOLDER, &always)?;
        decision.ok_or(Fault::Slot(SlotError::Overdue))
    }

    /// Leaves the concurrency out of a request's limits: all others need no slot.
    fn go_on_without_a_lease(&mut self, ticket: &mut Ticket, fault: Fault) -> Result<(), Fault> {
        if self.config.on_fault.action(fault.cause()) == FaultAction::Deny {
            return Err(fault);
        }
        self.note_fault(fault);
        // Its line is that of its plan.
        self.queue.leave(ticket);
        ticket.plan = ticket.plan.without_concurrency().into();
        Ok(())
    }

    fn admit_leased(&self, host: &dyn Host, ticket: &Ticket) -> Result<Decided, Fault> {
        // A VM takes a slot before the page is read, or its lease would count as lost.
        let holder = self.vm.borrow_mut().holder(host)?;
        let in_time = |now| !self.vm.borrow().is_overdue(now);
        if let Some(decision) = self.try_admit(host, ticket, holder, &in_time)? {
            return Ok(decision);
        }
        let holder = self.vm.borrow_mut().renewed(host)?;
        let decision = self.try_admit(host, ticket, holder, &in_time)?;
        decision.ok_or(Fault::Slot(SlotError::Overdue))
    }

    /// Tries to admit a request. Returns `None` and records nothing when the ledger's reading of
    /// the clock is not `in_time` for a lease of `holder`.
    fn try_admit(
        &self,
        host: &dyn Host,
        ticket: &Ticket,
        holder: Holder,
        in_time: &dyn Fn(Mono) -> bool,
    ) -> Result<Option<Decided>, Fault> {
        let lowered = self.overload.lowered(ticket.tier);
        let fleet = self.fleet();
        let may_join = self.config.tokens.join && lowered.is_none() && fleet.is_none();
        let terms = Terms {
            tells: self.config.tells(ticket.tier, ticket.called),
            ..terms(&self.config, &ticket.plan, lowered)
        };
        let ask = Ask {
            amounts: ticket.reserve,
            holder,
            free: ticket.free,
        };
        self.change(host, ticket.key.into(), &terms, |record, now| {
            if !in_time(now.mono) {
                return RecordChange::Keep(None);
            }
            let adaptive = ticket.adaptive.as_ref();
            let amounts =
                adaptive.map(|reserve| reserve.amounts(record.completion(), &ticket.plan));
            let ask = Ask {
                amounts: amounts.unwrap_or(ask.amounts),
                ..ask
            };
            let (decision, draft) = match fleet {
                None => (Some(admit(record, &ask, &terms, now)), None),
                Some(fleet) => self.admit_in_fleet(record, (ticket, &ask), &terms, fleet, now),
            };
            let (to, plan) = (ticket.addressee.as_ref(), &ticket.plan);
            let report = self.report(to, record, plan, decision.as_ref(), now);
            let admitted = matches!(decision, Some(Decision::Admitted(..)));
            let writes = admitted || draft.is_some() || !report.crossed.is_empty();
            // At a share of a limit, the settlement may have something to tell.
            let joins =
                may_join && admitted && report.at.is_empty() && plan.is_half_free(record, now);
            let decided = Decided {
                decision,
                report,
                joins,
                draft,
            };
            match writes {
                true => RecordChange::Write(Some(decided)),
                false => RecordChange::Keep(Some(decided)),
            }
        })
    }
}
