//! The check of a request: account, tier, and the result: forward, reply or queue.

use super::fleet::FleetWait;
use super::notices;
use super::outcome::Subject;
use super::queue::{Ticket, Turn, hold};
use super::reserve::{self, AdaptiveReserve, Rates};
use super::{Admission, CheckResult, Limiter, terms};
use crate::config::{FaultAction, Mode};
use crate::directory::entry::AccountEntry;
use crate::fleet::Draft;
use crate::host::{Host, Request};
use crate::identity::{self, Account, IdentityError, Lookup, NoTier, TierMatch};
use crate::ledger::{Fault, RecordChange, SlotError};
use crate::limits::notice::ShareReport;
use crate::limits::{
    Amounts, Ask, Decision, Holder, OwnLimits, Plan, Reservation, Snapshot, Terms, admit,
};
use crate::models::{self, FamilyId, ModelName, UnknownModel};
use crate::reply::Refusal;
use crate::routes::{Applies, LimitList, TokenCharge};
use crate::scheduler::UpstreamHeader;
use crate::tiers::{Tier, TierId};
use crate::time::{Mono, Wall};
use crate::tokens::Reserve;
use crate::tokens::request::ReadBody;
use std::rc::Rc;

/// A decision with what goes along.
struct Decided {
    /// The decision; `None` for a request that waits for the fleet.
    decision: Option<Decision>,
    /// The shares of limits that the account is at.
    report: ShareReport,
    /// True when the settlement may wait for the next write of the page.
    joins: bool,
    /// What the request asks of the fleet.
    draft: Option<Draft>,
}

/// What came of a request's turn in the queue.
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
    /// Checks a request of the stream `id`; `body` is what was read of its body, and `applies` what
    /// the routes say of it.
    pub fn check(
        &mut self,
        host: &dyn Host,
        request: &dyn Request,
        body: &ReadBody,
        applies: Applies,
        id: u32,
    ) -> CheckResult {
        self.claim.note_request();
        let charge = match applies {
            Applies::Not => return self.exempted(Subject::default()),
            Applies::As(charge) => charge,
        };
        let account = match identity::account(request, &self.config.account) {
            Ok(account) => account,
            Err(error) => return self.unidentified(None, error),
        };
        let found = match self.resolve_tier(host, request, &account) {
            Ok(found) => found,
            Err(NoTier { error, target }) => {
                return self.unidentified(Some(&target.unwrap_or(account)), error);
            }
        };
        if found.is_exempt {
            let account = found.alias_of.as_ref().unwrap_or(&account);
            return self.exempted(Subject::of(Some(account)).in_tier(found.tier, None));
        }
        let Some(tier) = found.tier else {
            return self.unidentified(Some(&account), IdentityError::TierMissing);
        };
        let family = match self.family(request, body) {
            Ok(family) => family,
            Err(named) => {
                let refusal = Refusal::ModelUnknown(named);
                let account = found.alias_of.as_ref().unwrap_or(&account);
                let subject = Subject::of(Some(account)).in_tier(Some(tier), None);
                return self.refuse(subject, &refusal);
            }
        };
        let plan = self.plan(tier, &found.limits, family, charge.limits);
        let account = found.alias_of.unwrap_or(account);
        let Some(plan) = plan else {
            return self.refuse(Subject::of(Some(&account)), &Refusal::Unavailable);
        };
        let rates = Rates::of(&self.config, family).as_requests(charge.requests);
        let asked = body.asked.as_ref();
        let generates = charge.tokens == TokenCharge::Generated;
        let written = generates.then(|| reserve::written(&self.config, &rates, request, body));
        let ticket = Ticket {
            id,
            key: self.ledger.key(&account.id),
            called: self.config.replies.styles.called(request),
            addressee: self.addressee(&account, tier),
            account,
            tier,
            family,
            reserve: match &written {
                None => reserve::amounts(&rates, &plan, &Reserve::default()),
                Some(written) => reserve::amounts(&rates, &plan, written),
            },
            adaptive: written
                .and_then(|written| AdaptiveReserve::of(&self.config, &rates, &written, asked)),
            tokens: charge.tokens,
            long_completion: written
                .is_some_and(|written| written.said_completion > written.said_prompt),
            priced: rates.is_priced(),
            unpriced: !rates.is_priced() && request.has_body() && plan.counts_money(),
            plan,
            until: None,
            fleet: FleetWait::default(),
        };
        self.enter(host, ticket)
    }

    /// Returns the headers for a scheduler of a request that is not checked yet: its headers go on
    /// before its body.
    pub fn identify(&self, host: &dyn Host, request: &dyn Request) -> Vec<UpstreamHeader> {
        let Ok(account) = identity::account(request, &self.config.account) else {
            return self.for_neighbours(Subject::default());
        };
        let found = self.resolve_tier(host, request, &account);
        let (tier, target) = match found {
            Ok(found) => (found.tier, found.alias_of),
            Err(none) => (None, none.target),
        };
        let account = target.unwrap_or(account);
        self.for_neighbours(Subject::of(Some(&account)).in_tier(tier, None))
    }

    /// Returns the family of the request's model; `None` for a request that counts on the account's
    /// limits alone.
    ///
    /// # Errors
    /// The model that the config refuses, as far as it could be read.
    fn family(
        &mut self,
        request: &dyn Request,
        body: &ReadBody,
    ) -> Result<Option<FamilyId>, ModelName> {
        if self.config.models.is_empty() || !request.has_body() {
            return Ok(None);
        }
        let named = models::find(request, &self.config.model, &body.models);
        if let ModelName::Model(name) = &named
            && let Some(family) = self.config.models.of_model(name)
        {
            return Ok(Some(family));
        }
        let unknown = &mut self.uncounted.model_unknown;
        *unknown = unknown.saturating_add(1);
        match self.config.unknown_model {
            UnknownModel::Share => Ok(None),
            UnknownModel::Family(family) => Ok(Some(family)),
            UnknownModel::Refuse => Err(named),
        }
    }

    /// Returns the limits of a request; `None` for a tier or a family of another config.
    fn plan(
        &mut self,
        tier: TierId,
        own: &OwnLimits,
        family: Option<FamilyId>,
        list: Option<LimitList>,
    ) -> Option<Rc<Plan>> {
        if own.is_empty() {
            return self.plans.of(tier, family, list, &self.config.routes);
        }
        let shared = self.plans.get(tier, family)?;
        let family = family.and_then(|family| self.config.models.get(family));
        let limits = own.over(shared.plan.limits(), family.map(|family| &*family.name));
        let plan = Plan::new(limits, self.config.windows);
        Some(Rc::new(match list {
            Some(list) => plan.only(self.config.routes.names(list)),
            None => plan,
        }))
    }

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

    fn enter(&mut self, host: &dyn Host, ticket: Ticket) -> CheckResult {
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

    /// Resolves the tier of an account.
    pub(super) fn resolve_tier(
        &self,
        host: &dyn Host,
        request: &dyn Request,
        account: &Account,
    ) -> Result<TierMatch, NoTier> {
        let lookup = Here {
            limiter: self,
            host,
        };
        let (sources, tiers) = (&self.config.tier, &self.config.tiers);
        let found = identity::tier(request, &lookup, account, sources, tiers);
        found.or_else(|none| {
            let tier = match none.error {
                IdentityError::TierMissing => self.config.unknown_tier,
                IdentityError::DirectoryUnready => self.config.not_ready,
                _ => None,
            };
            // The tier of an unknown account: an alias keeps its target.
            let found = |tier| TierMatch {
                alias_of: none.target.clone(),
                ..TierMatch::tier(tier)
            };
            tier.map(found).ok_or(none)
        })
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
            priced: ticket.priced,
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

/// The look-ups of this limiter while it checks a request.
struct Here<'a> {
    limiter: &'a Limiter,
    host: &'a dyn Host,
}

impl Lookup for Here<'_> {
    fn shared(&self, key: &str) -> Option<Vec<u8>> {
        // A client can choose its account, and so the key: the limiter's own values are not for it.
        let own = key.strip_prefix(&self.limiter.config.namespace);
        if own.is_some_and(|rest| rest.starts_with('/')) {
            return None;
        }
        Some(self.host.get(key).ok()??.value)
    }

    fn entry(&self, account: &Account) -> Result<Option<AccountEntry>, IdentityError> {
        let Some(directory) = &self.limiter.directory else {
            return Ok(None);
        };
        let key = self.limiter.ledger.key(&account.id);
        let entry = directory.find(self.host, key);
        match entry.map_err(IdentityError::DirectoryFault)? {
            None if !self.limiter.directory_ready => Err(IdentityError::DirectoryUnready),
            entry => Ok(entry),
        }
    }
    fn wall(&self) -> Wall {
        self.host.wall()
    }
}
