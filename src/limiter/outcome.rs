//! The outcome of a check, for metrics, the refusal log and access logs.

use super::notices;
use super::sources;
use super::{Admission, CheckResult, Forwarded, Limiter, Next};
use crate::config::{FaultAction, Mode};
use crate::identity::{Account, IdentityError};
use crate::ledger::Fault;
use crate::limits::Snapshot;
use crate::limits::notice::ShareReport;
use crate::metrics::{Outcome, TokenKind};
use crate::models::FamilyId;
use crate::refusals::batch::Refused;
use crate::reply::api::CalledApi;
use crate::reply::{Answer, Code, Refusal};
use crate::scheduler::UpstreamHeader;
use crate::tiers::TierId;
use crate::tiers::table::NO_TIER;
use crate::time::Mono;
use std::fmt;
use std::rc::Rc;

/// The line that access logs show: `tier=tier0 outcome=limited limit=rpm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The tier's name; "none" where it is unknown.
    pub tier: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The code of the refusal, also when shadow mode forwards the request.
    pub code: Option<Code>,
    /// The family of the request's model, if it has one.
    pub model: Option<String>,
    /// The account, escaped, where the config logs it.
    pub account: Option<String>,
    /// The sources that gave no account, or no tier.
    pub sources: Option<String>,
}

/// A line for access logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// That of all admitted requests of a tier and a family.
    Admitted(Rc<str>),
    /// That of one request.
    Own(AccessLog),
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted(line) => f.write_str(line),
            Self::Own(log) => log.fmt(f),
        }
    }
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tier={} outcome={}", self.tier, self.outcome.as_str())?;
        match self.code {
            None => {}
            Some(Code::Limited(limit) | Code::Overloaded(limit)) => {
                write!(f, " limit={}", limit.as_str())?;
            }
            Some(code) => write!(f, " code={}", code.as_str())?,
        }
        if let Some(model) = &self.model {
            write!(f, " model={model}")?;
        }
        if let Some(account) = &self.account {
            write!(f, " account={account}")?;
        }
        if let Some(sources) = &self.sources {
            write!(f, " sources={sources}")?;
        }
        match self.code {
            Some(Code::Overloaded(_)) => f.write_str(" overloaded=true"),
            _ => Ok(()),
        }
    }
}

/// The account, tier and family of a request, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject<'a> {
    pub account: Option<&'a Account>,
    pub tier: Option<TierId>,
    pub family: Option<FamilyId>,
}

impl<'a> Subject<'a> {
    /// Returns the subject of a request with this account, and without a tier.
    pub const fn of(account: Option<&'a Account>) -> Self {
        Self {
            account,
            tier: None,
            family: None,
        }
    }

    /// Returns the subject with a tier.
    pub const fn in_tier(self, tier: Option<TierId>, family: Option<FamilyId>) -> Self {
        Self {
            tier,
            family,
            ..self
        }
    }
}

impl Limiter {
    pub(super) fn admitted(
        &mut self,
        account: &Account,
        admission: Admission,
        (called, snapshot): (CalledApi, Snapshot),
        report: &ShareReport,
    ) -> CheckResult {
        let (tier, family) = (admission.tier, admission.family);
        let subject = Subject::of(Some(account)).in_tier(Some(tier), family);
        self.counts.request(Some(tier), Outcome::Admitted);
        self.begun(tier, admission.reservation.at);
        let reserved = admission.reservation.reserved.tokens;
        self.counts.tokens(tier, TokenKind::Reserved, reserved);
        let log = match self.plans.get(tier, family).map(|shared| &shared.line) {
            Some(Some(_)) if self.config.log_account => self.log(subject, Outcome::Admitted, None),
            Some(Some(line)) => Some(LogLine::Admitted(Rc::clone(line))),
            Some(None) | None => None,
        };
        CheckResult {
            log,
            next: Next::Forward(Forwarded {
                snapshot: self.config.tells(tier, called).map(|_| snapshot),
                called,
                admission: Some(admission),
                neighbours: self.for_neighbours(subject),
                warning: notices::warning(&report.at),
            }),
        }
    }

    /// Returns the result for an account on the directory's list of exempt ones, and for a request
    /// that a rule of the routes exempts.
    pub(super) fn exempted(&mut self, subject: Subject<'_>) -> CheckResult {
        self.counts.request(subject.tier, Outcome::Exempt);
        CheckResult {
            log: self.log(subject, Outcome::Exempt, None),
            next: self.forward(subject),
        }
    }

    fn begun(&self, tier: TierId, at: Mono) {
        if let Some(tier) = self.config.tiers.get(tier) {
            self.vm.borrow_mut().begun(&tier.name, at);
        }
    }

    /// Counts the end of an admitted request.
    pub(super) fn ended(&mut self, tier: TierId) {
        self.counts.ended(tier);
        if let Some(tier) = self.config.tiers.get(tier) {
            self.vm.borrow_mut().ended(&tier.name);
        }
    }

    pub(super) fn limited(
        &mut self,
        subject: Subject<'_>,
        tier: TierId,
        refusal: &Refusal,
    ) -> CheckResult {
        let code = refusal.code();
        if let Code::Limited(limit) | Code::Overloaded(limit) = code {
            self.counts.limited(tier, limit, code.is_overloaded());
        }
        self.turned_down(subject, Outcome::Limited, refusal)
    }

    pub(super) fn refuse(&mut self, subject: Subject<'_>, refusal: &Refusal) -> CheckResult {
        self.turned_down(subject, Outcome::Refused, refusal)
    }

    /// Returns the result for a request without an account or a tier.
    pub(super) fn unidentified(
        &mut self,
        account: Option<&Account>,
        error: IdentityError,
    ) -> CheckResult {
        let subject = Subject::of(account);
        if let IdentityError::DirectoryFault(error) = error {
            return self.faulted(subject, error.into());
        }
        let first = self.config.tiers.first_recharge();
        self.refuse(subject, &Refusal::Identity(error, first))
    }

    /// Returns the result for a request that can't be read.
    pub fn fault(&mut self, fault: Fault) -> CheckResult {
        self.faulted(Subject::default(), fault)
    }

    pub(super) fn faulted(&mut self, subject: Subject<'_>, fault: Fault) -> CheckResult {
        let denies = self.config.on_fault.action(fault.cause()) == FaultAction::Deny;
        self.note_fault(fault);
        self.counts.request(subject.tier, Outcome::Faulted);
        if denies {
            self.note(subject, Refusal::Unavailable.code());
        }
        CheckResult {
            log: self.log(subject, Outcome::Faulted, None),
            next: match denies && self.config.mode_of(subject.tier) == Mode::Enforce {
                true => Next::Reply(Answer::Refused(Refusal::Unavailable.into())),
                false => self.forward(subject),
            },
        }
    }

    /// Refuses a request, or lets it through in shadow mode.
    fn turned_down(
        &mut self,
        subject: Subject<'_>,
        outcome: Outcome,
        refusal: &Refusal,
    ) -> CheckResult {
        let code = refusal.code();
        self.note(subject, code);
        let (outcome, next) = match self.config.mode_of(subject.tier) {
            Mode::Shadow => (Outcome::Shadowed, self.forward(subject)),
            Mode::Enforce => (
                outcome,
                Next::Reply(Answer::Refused(refusal.clone().into())),
            ),
        };
        self.counts.request(subject.tier, outcome);
        CheckResult {
            log: self.log(subject, outcome, Some(code)),
            next,
        }
    }

    /// Lets a request through of which nothing was recorded.
    fn forward(&self, subject: Subject<'_>) -> Next {
        Next::Forward(Forwarded {
            neighbours: self.for_neighbours(subject),
            ..Forwarded::default()
        })
    }

    /// Returns the headers for a scheduler behind the proxy.
    pub(super) fn for_neighbours(&self, subject: Subject<'_>) -> Vec<UpstreamHeader> {
        let Some(scheduler) = &self.config.scheduler else {
            return Vec::new();
        };
        let keyed = |id: &[u8]| self.ledger.key(id).to_bytes();
        let account = subject.account.map(|account| account.id.as_slice());
        scheduler.headers(subject.tier, account, keyed)
    }

    fn note(&mut self, subject: Subject<'_>, code: Code) {
        let tier = subject.tier;
        let shadowed = self.config.mode_of(tier) == Mode::Shadow;
        let refused = Refused {
            tier,
            code,
            shadowed,
        };
        self.refused.note(subject.account, refused);
    }

    pub(super) fn log(
        &self,
        subject: Subject<'_>,
        outcome: Outcome,
        code: Option<Code>,
    ) -> Option<LogLine> {
        let tier = subject.tier.and_then(|tier| self.config.tiers.get(tier));
        let model = subject.family;
        let model = model.and_then(|family| self.config.models.get(family));
        let account = subject.account.filter(|_| self.config.log_account);
        Some(LogLine::Own(AccessLog {
            tier: tier.map_or(NO_TIER, |tier| tier.name.as_str()).to_owned(),
            outcome,
            code,
            model: model.map(|model| model.name.clone()),
            account: account.map(Account::in_log),
            sources: sources::looked_at(&self.config, code),
        }))
    }
}
