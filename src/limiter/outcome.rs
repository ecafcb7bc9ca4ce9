//! The outcome of a check, for metrics, the refusal log and access logs.

use super::sources;
use super::{Admission, CheckResult, Forwarded, Limiter, Next};
use crate::config::{FaultAction, Mode};
use crate::identity::{Account, IdentityError};
use crate::ledger::Fault;
use crate::limits::Snapshot;
use crate::metrics::{Outcome, TokenKind};
use crate::models::FamilyId;
use crate::refusals::batch::Refused;
use crate::reply::{Code, Refusal};
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
        if let Some(sources) = &self.sources {
            write!(f, " sources={sources}")?;
        }
        match self.code {
            Some(Code::Overloaded(_)) => f.write_str(" overloaded=true"),
            _ => Ok(()),
        }
    }
}

/// The tier and the family of a request, as far as they are known.
pub(super) type Place = (Option<TierId>, Option<FamilyId>);
/// Nothing is known.
pub(super) const NOWHERE: Place = (None, None);

impl Limiter {
    pub(super) fn admitted(&mut self, admission: Admission, snapshot: &Snapshot) -> CheckResult {
        let (tier, family) = (admission.tier, admission.family);
        self.counts.request(Some(tier), Outcome::Admitted);
        self.begun(tier, admission.reservation.at);
        let reserved = admission.reservation.reserved.tokens;
        self.counts.tokens(tier, TokenKind::Reserved, reserved);
        CheckResult {
            log: self.plans.get(tier, family).and_then(|shared| {
                let line = shared.line.as_ref();
                line.map(|line| LogLine::Admitted(Rc::clone(line)))
            }),
            next: Next::Forward(Forwarded {
                snapshot: self.config.tells(tier).then_some(*snapshot),
                admission: Some(admission),
            }),
        }
    }

    /// Returns the result for an account on the directory's list of exempt ones.
    pub(super) fn exempted(&mut self, tier: Option<TierId>) -> CheckResult {
        self.counts.request(tier, Outcome::Exempt);
        CheckResult {
            log: self.log((tier, None), Outcome::Exempt, None),
            next: Next::Forward(Forwarded::default()),
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
        account: &Account,
        (tier, family): (TierId, Option<FamilyId>),
        refusal: &Refusal,
    ) -> CheckResult {
        let code = refusal.code();
        if let Code::Limited(limit) | Code::Overloaded(limit) = code {
            self.counts.limited(tier, limit, code.is_overloaded());
        }
        self.note(Some(account), Some(tier), code);
        if self.config.mode_of(Some(tier)) == Mode::Shadow {
            return self.shadowed((Some(tier), family), code);
        }
        self.refused((Some(tier), family), Outcome::Limited, refusal)
    }

    pub(super) fn refuse(
        &mut self,
        account: Option<&Account>,
        place: Place,
        refusal: &Refusal,
    ) -> CheckResult {
        let code = refusal.code();
        self.note(account, place.0, code);
        if self.config.mode_of(place.0) == Mode::Shadow {
            return self.shadowed(place, code);
        }
        self.refused(place, Outcome::Refused, refusal)
    }

    /// Returns the result for a request without an account or a tier.
    pub(super) fn unidentified(
        &mut self,
        account: Option<&Account>,
        error: IdentityError,
    ) -> CheckResult {
        if let IdentityError::DirectoryFault(error) = error {
            return self.faulted(account, NOWHERE, error.into());
        }
        let first = self.config.tiers.first_recharge();
        self.refuse(account, NOWHERE, &Refusal::Identity(error, first))
    }

    /// Returns the result for a request that can't be read.
    pub fn fault(&mut self, fault: Fault) -> CheckResult {
        self.faulted(None, NOWHERE, fault)
    }

    pub(super) fn faulted(
        &mut self,
        account: Option<&Account>,
        (tier, family): Place,
        fault: Fault,
    ) -> CheckResult {
        let denies = self.config.on_fault.action(fault.cause()) == FaultAction::Deny;
        self.note_fault(fault);
        self.counts.request(tier, Outcome::Faulted);
        if denies {
            self.note(account, tier, Refusal::Unavailable.code());
        }
        CheckResult {
            log: self.log((tier, family), Outcome::Faulted, None),
            next: match denies && self.config.mode_of(tier) == Mode::Enforce {
                true => Next::Reply(
                    Refusal::Unavailable.reply(&self.config.headers, self.config.windows.minute),
                ),
                false => Next::Forward(Forwarded::default()),
            },
        }
    }

    fn refused(
        &mut self,
        (tier, family): Place,
        outcome: Outcome,
        refusal: &Refusal,
    ) -> CheckResult {
        self.counts.request(tier, outcome);
        CheckResult {
            log: self.log((tier, family), outcome, Some(refusal.code())),
            next: Next::Reply(refusal.reply(&self.config.headers, self.config.windows.minute)),
        }
    }

    fn shadowed(&mut self, (tier, family): Place, code: Code) -> CheckResult {
        self.counts.request(tier, Outcome::Shadowed);
        CheckResult {
            log: self.log((tier, family), Outcome::Shadowed, Some(code)),
            next: Next::Forward(Forwarded::default()),
        }
    }

    fn note(&mut self, account: Option<&Account>, tier: Option<TierId>, code: Code) {
        let shadowed = self.config.mode_of(tier) == Mode::Shadow;
        let refused = Refused {
            tier,
            code,
            shadowed,
        };
        self.refused.note(account, refused);
    }

    pub(super) fn log(
        &self,
        (tier, family): Place,
        outcome: Outcome,
        code: Option<Code>,
    ) -> Option<LogLine> {
        let tier = tier.and_then(|tier| self.config.tiers.get(tier));
        let model = family.and_then(|family| self.config.models.get(family));
        Some(LogLine::Own(AccessLog {
            tier: tier.map_or(NO_TIER, |tier| tier.name.as_str()).to_owned(),
            outcome,
            code,
            model: model.map(|model| model.name.clone()),
            sources: sources::looked_at(&self.config, code),
        }))
    }
}
