//! Judgement: who asks, in which tier, and whether the request is let through, answered or held.

use super::queue::{Ticket, hold};
use super::{Admission, CheckResult, Forwarded, Limiter, Next, terms};
use crate::config::{Mode, OnFault};
use crate::directory::entry::AccountEntry;
use crate::host::{Header, Host, Request};
use crate::identity;
use crate::identity::{Account, Found, IdentityError, Lookup};
use crate::ledger::Change;
use crate::ledger::{Fault, SlotError};
use crate::limits::{
    Ask, Decision, Holder, LimitKind, Limited, Limits, Reservation, Snapshot, admit,
};
use crate::metrics::{Outcome, TokenKind};
use crate::reply::Refusal;
use crate::reply::headers;
use crate::reply::headers::HeaderLine;
use crate::tiers::table::NO_TIER;
use crate::tiers::{Tier, TierId};
use crate::time::Mono;
use crate::tokens::request::Asked;
use crate::tokens::{Estimate, Reserve};
use std::rc::Rc;

impl Limiter {
    /// The result on a request of the stream `id`; `asked` is what its body asks for, where it was
    /// read.
    pub fn check(
        &mut self,
        host: &dyn Host,
        request: &dyn Request,
        asked: Option<&Asked>,
        id: u32,
    ) -> CheckResult {
        let account = match identity::account(request, &self.config.account) {
            Ok(account) => account,
            Err(error) => return self.unidentified(None, error),
        };
        let found = match self.resolve_tier(host, request, &account) {
            Ok(found) => found,
            Err(error) => return self.unidentified(Some(&account), error),
        };
        let Some(base) = self.config.tiers.get(found.tier) else {
            return self.refuse(Some(&account), None, Refusal::Unavailable);
        };
        let ticket = Ticket {
            id,
            key: self.ledger.key(&account.id),
            account,
            tier: found.tier,
            limits: found.limits.over(&base.limits),
            reserve: reserve(&self.config.tokens.estimate, request, asked),
            until: None,
        };
        self.enter(host, ticket)
    }

    /// The result on a request that was held, now that another try may help.
    pub fn retry(&mut self, host: &dyn Host, ticket: Ticket) -> CheckResult {
        self.enter(host, ticket)
    }

    /// Whether another try may help a request that is held: it is the first of its account, or its
    /// wait is over.
    pub fn is_due(&self, ticket: &Ticket, now: Mono) -> bool {
        self.queue.is_first(ticket) || ticket.is_over(now)
    }

    /// A request that is held is gone.
    pub fn leave(&mut self, ticket: &Ticket) {
        self.queue.leave(ticket);
    }

    fn enter(&mut self, host: &dyn Host, ticket: Ticket) -> CheckResult {
        let config = Rc::clone(&self.config);
        let Some(base) = config.tiers.get(ticket.tier) else {
            return self.refuse(Some(&ticket.account), None, Refusal::Unavailable);
        };
        let wait = base
            .wait
            .filter(|_| config.mode == Mode::Enforce && self.may_wait(host, &ticket));
        if let Some(wait) = wait
            && !self.queue.is_first(&ticket)
        {
            return hold(host, ticket, wait);
        }
        let tokens = ticket.reserve.tokens();
        let decision = self.admit(host, &ticket, tokens);
        if let (Some(wait), Ok(Decision::Limited(limited))) = (wait, &decision)
            && limited.last == LimitKind::Concurrency
        {
            return hold(host, ticket, wait);
        }
        self.queue.leave(&ticket);
        self.follow(ticket, base, decision)
    }

    /// Puts the request into the queue, unless that is full or the wait is over.
    fn may_wait(&mut self, host: &dyn Host, ticket: &Ticket) -> bool {
        let is_over = ticket.until.is_some() && ticket.is_over(host.mono());
        !is_over && self.queue.join(ticket)
    }

    fn follow(
        &mut self,
        ticket: Ticket,
        base: &Tier,
        decision: Result<Decision, Fault>,
    ) -> CheckResult {
        let (account, tier) = (ticket.account, ticket.tier);
        match decision {
            Ok(Decision::Admitted(reservation, snapshot)) => {
                let admission = Admission {
                    key: ticket.key,
                    reservation,
                    tier,
                    limits: ticket.limits,
                    prompt: ticket.reserve.prompt,
                };
                self.admitted(admission, &snapshot)
            }
            Ok(Decision::Limited(limited)) => {
                let (name, overloaded) = (limited.kind.as_str(), limited.overloaded);
                self.refused.note(
                    self.config.mode == Mode::Shadow,
                    Some(&account),
                    Some(tier),
                    name,
                    overloaded,
                );
                let refusal = Refusal::Limited {
                    account,
                    tier: base.name.clone(),
                    limited,
                };
                self.limited(tier, &limited, &refusal)
            }
            Ok(Decision::TooLarge { kind, limit }) => {
                let refusal = Refusal::TooLarge {
                    account: account.clone(),
                    tier: base.name.clone(),
                    tokens: ticket.reserve.tokens(),
                    kind,
                    limit,
                };
                self.refuse(Some(&account), Some(tier), refusal)
            }
            Err(fault) => self.faulted(Some(&account), Some(tier), fault),
        }
    }

    /// The tier of an account.
    pub(super) fn resolve_tier(
        &self,
        host: &dyn Host,
        request: &dyn Request,
        account: &Account,
    ) -> Result<Found, IdentityError> {
        let lookup = Here {
            limiter: self,
            host,
        };
        let (sources, tiers) = (&self.config.tier, &self.config.tiers);
        match identity::tier(request, &lookup, account, sources, tiers) {
            Err(IdentityError::TierMissing) => {
                let tier = self.config.unknown_tier;
                tier.map(Found::tier).ok_or(IdentityError::TierMissing)
            }
            Err(IdentityError::DirectoryUnready) => {
                let tier = self.config.not_ready;
                tier.map(Found::tier).ok_or(IdentityError::DirectoryUnready)
            }
            other => other,
        }
    }

    pub(super) fn unidentified(
        &mut self,
        account: Option<&Account>,
        error: IdentityError,
    ) -> CheckResult {
        if let IdentityError::DirectoryFault(error) = error {
            return self.faulted(account, None, error.into());
        }
        let first = self.config.tiers.first_recharge();
        self.refuse(account, None, Refusal::Identity(error, first))
    }

    fn admit(&mut self, host: &dyn Host, ticket: &Ticket, tokens: u64) -> Result<Decision, Fault> {
        if ticket.limits == Limits::UNLIMITED {
            let reservation = Reservation::unrecorded(tokens);
            return Ok(Decision::Admitted(reservation, Snapshot::default()));
        }
        // A slot is claimed before the page is read, or this VM's lease would count as dead.
        let holder = match self.vm.holder() {
            Some(holder) => holder,
            None => self.vm.beat(host)?,
        };
        if let Some(decision) = self.try_admit(host, ticket, tokens, holder)? {
            return Ok(decision);
        }
        let holder = self.vm.beat(host)?;
        let decision = self.try_admit(host, ticket, tokens, holder)?;
        decision.ok_or(Fault::Slot(SlotError::Overdue))
    }

    /// `None`, and nothing recorded, when this VM's heartbeat is overdue.
    ///
    /// The clock is read but once in an admission, so it is seen only here.
    fn try_admit(
        &self,
        host: &dyn Host,
        ticket: &Ticket,
        tokens: u64,
        holder: Holder,
    ) -> Result<Option<Decision>, Fault> {
        let limits = &ticket.limits;
        let terms = terms(
            &self.config,
            limits,
            self.overload.lowered(ticket.tier, limits),
        );
        let ask = Ask {
            requests: 1,
            tokens,
            holder,
        };
        let vm = &self.vm;
        self.ledger
            .change(host, ticket.key, &terms, vm.table(), |record, now| {
                if vm.is_overdue(now.mono) {
                    return Change::Keep(None);
                }
                match admit(record, &ask, &terms, now) {
                    decision @ Decision::Admitted(..) => Change::Write(Some(decision)),
                    decision => Change::Keep(Some(decision)),
                }
            })
    }

    fn admitted(&mut self, admission: Admission, snapshot: &Snapshot) -> CheckResult {
        let tier = admission.tier;
        self.counts.request(Some(tier), Outcome::Admitted);
        self.counts.begun(tier);
        self.counts
            .tokens(tier, TokenKind::Reserved, admission.reservation.reserved);
        CheckResult {
            log: self.log(Some(tier), Outcome::Admitted, None),
            next: Next::Forward(Forwarded {
                headers: headers::lines(&self.config.headers, snapshot),
                admission: Some(admission),
            }),
        }
    }

    fn limited(&mut self, tier: TierId, limited: &Limited, refusal: &Refusal) -> CheckResult {
        self.counts.limited(tier, limited.kind, limited.overloaded);
        let reason = Some(("limit", limited.kind.as_str()));
        let log = |limiter: &Self, outcome| {
            let mut log = limiter.log(Some(tier), outcome, reason);
            if limited.overloaded {
                log.push_str(" overloaded=true");
            }
            log
        };
        if self.config.mode == Mode::Shadow {
            let headers = headers::lines(&self.config.headers, &limited.snapshot);
            let result = self.shadowed(Some(tier), reason, headers);
            return CheckResult {
                log: log(self, Outcome::Shadowed),
                ..result
            };
        }
        self.counts.request(Some(tier), Outcome::Limited);
        CheckResult {
            log: log(self, Outcome::Limited),
            next: Next::Reply(refusal.reply(&self.config.headers)),
        }
    }

    pub(super) fn refuse(
        &mut self,
        account: Option<&Account>,
        tier: Option<TierId>,
        refusal: Refusal,
    ) -> CheckResult {
        self.refused.note(
            self.config.mode == Mode::Shadow,
            account,
            tier,
            refusal.code(),
            false,
        );
        let reason = Some(("code", refusal.code()));
        if self.config.mode == Mode::Shadow {
            return self.shadowed(tier, reason, Vec::new());
        }
        self.counts.request(tier, Outcome::Refused);
        CheckResult {
            log: self.log(tier, Outcome::Refused, reason),
            next: Next::Reply(refusal.reply(&self.config.headers)),
        }
    }

    fn shadowed(
        &mut self,
        tier: Option<TierId>,
        reason: Option<(&str, &str)>,
        headers: Vec<HeaderLine>,
    ) -> CheckResult {
        self.counts.request(tier, Outcome::Shadowed);
        CheckResult {
            log: self.log(tier, Outcome::Shadowed, reason),
            next: Next::Forward(Forwarded {
                headers,
                admission: None,
            }),
        }
    }

    /// The result on a request that can't even be read.
    pub fn fault(&mut self, fault: Fault) -> CheckResult {
        self.faulted(None, None, fault)
    }

    pub(super) fn faulted(
        &mut self,
        account: Option<&Account>,
        tier: Option<TierId>,
        fault: Fault,
    ) -> CheckResult {
        self.fault = Some(fault);
        self.counts.request(tier, Outcome::Faulted);
        if self.config.on_fault == OnFault::Deny {
            let code = Refusal::Unavailable.code();
            self.refused
                .note(self.config.mode == Mode::Shadow, account, tier, code, false);
        }
        let deny = self.config.on_fault == OnFault::Deny && self.config.mode == Mode::Enforce;
        CheckResult {
            log: self.log(tier, Outcome::Faulted, None),
            next: if deny {
                Next::Reply(Refusal::Unavailable.reply(&self.config.headers))
            } else {
                Next::Forward(Forwarded::default())
            },
        }
    }

    fn log(&self, tier: Option<TierId>, outcome: Outcome, reason: Option<(&str, &str)>) -> String {
        let tier = tier.and_then(|i| self.config.tiers.get(i));
        let name = tier.map_or(NO_TIER, |t| t.name.as_str());
        let outcome = outcome.as_str();
        match reason {
            None => format!("tier={name} outcome={outcome}"),
            Some((key, value)) => format!("tier={name} outcome={outcome} {key}={value}"),
        }
    }
}

/// What this gate can look up while it judges a request.
struct Here<'a> {
    limiter: &'a Limiter,
    host: &'a dyn Host,
}

impl Lookup for Here<'_> {
    fn shared(&self, key: &str) -> Option<Vec<u8>> {
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
}

fn reserve(estimate: &Estimate, request: &dyn Request, asked: Option<&Asked>) -> Reserve {
    match (asked, request.header("content-length")) {
        (Some(asked), _) => estimate.by_body(asked),
        (None, Header::Once(length)) => estimate.by_length(Some(length)),
        (None, Header::Absent | Header::Repeated) => estimate.by_length(None),
    }
}
