//! The usage of an account, read without a write: for clients at `usage_path` and for operators.

use super::outcome::Subject;
use super::{CheckResult, Limiter, Next, terms};
use crate::host::{Host, Request};
use crate::identity::{self, IdentityError, NoTier};
use crate::ledger::{AccountKey, Fault, RecordChange};
use crate::limits::snapshot::levels;
use crate::limits::{LimitKind, Limits, Lowered, Plan};
use crate::metrics::Outcome;
use crate::reply::usage::{ClientView, UsageView, usage_view};
use crate::reply::{Answer, Refusal};
use crate::time::{Mono, Span};

/// An account's limits and their use.
#[derive(Debug)]
pub struct Inspected {
    /// The effective limits.
    pub in_force: Limits,
    /// Requests in flight; `None` where no limit counts them.
    pub in_flight: Option<u64>,
    /// The time since the last request that a window still has; `None` for an empty record.
    pub last_seen: Option<Span>,
    /// The use of the limits.
    pub usage: UsageView,
}

impl Limiter {
    /// Reads the usage of an account with these base limits and their scales, without a write.
    /// Without base limits, it tells what is counted.
    ///
    /// # Errors
    /// [`Fault`] when the ledger can't be read.
    pub fn inspect(
        &self,
        host: &dyn Host,
        key: AccountKey,
        base: Option<&Limits>,
        lowered: Option<Lowered>,
    ) -> Result<Inspected, Fault> {
        let unknown = Limits::unknown();
        let (known, base) = (base.is_some(), base.unwrap_or(&unknown));
        let plan = Plan::new(base.clone(), self.config.windows);
        let terms = terms(&self.config, &plan, lowered);
        self.change(host, key.into(), &terms, |record, now| {
            let newest = record.newest();
            let seen = (newest > Mono::default()).then(|| now.mono.since(newest));
            let levels = levels(record, &terms, known, now);
            let lowered = lowered.map(|lowered| lowered.at(now.mono));
            let in_force = lowered.map_or_else(|| base.clone(), |lowered| lowered.over(base));
            let own = |kind: LimitKind| kind.is_concurrency() && kind.model().is_none();
            let leases = levels.iter().find(|(kind, _)| own(*kind));
            RecordChange::Keep(Inspected {
                last_seen: seen,
                in_flight: leases.and_then(|(_, leases)| leases.used),
                usage: usage_view(base, &in_force, &levels),
                in_force,
            })
        })
    }

    /// Reports a client's own usage; the request counts against no limit.
    pub fn report_usage(&mut self, host: &dyn Host, request: &dyn Request) -> CheckResult {
        let account = match identity::account(request, &self.config.account) {
            Ok(account) => account,
            Err(error) => return self.unidentified(None, error),
        };
        let found = match self.resolve_tier(host, request, &account) {
            Ok(found) => found,
            Err(NoTier { error, target }) => {
                let account = target.unwrap_or(account);
                return match error {
                    IdentityError::DirectoryFault(error) => {
                        self.cannot_report(Subject::of(Some(&account)), error.into())
                    }
                    error => self.unidentified(Some(&account), error),
                };
            }
        };
        let place = found.tier;
        let found_tier = place.and_then(|id| Some((id, self.config.tiers.get(id)?)));
        let Some((id, tier)) = found_tier else {
            return self.unidentified(Some(&account), IdentityError::TierMissing);
        };
        let base = tier.limits_with(Some(&found.limits));
        let account = found.alias_of.unwrap_or(account);
        let subject = Subject::of(Some(&account)).in_tier(place, None);
        let key = self.ledger.key(&account.id);
        let lowered = self.overload.lowered(id);
        let inspected = self.inspect(host, key, Some(&base), lowered);
        let body = match inspected {
            Ok(inspected) => serde_json::to_vec(&ClientView {
                tier: &tier.name,
                usage: inspected.usage,
            }),
            Err(fault) => return self.cannot_report(subject, fault),
        };
        self.counts.request(place, Outcome::Usage);
        CheckResult {
            log: self.log(subject, Outcome::Usage, None),
            // Strings and numbers always serialise.
            next: Next::Reply(Answer::Usage(body.unwrap_or_default())),
        }
    }

    /// Refuses for any `on_fault`: the upstream can't report the usage either.
    fn cannot_report(&mut self, subject: Subject<'_>, fault: Fault) -> CheckResult {
        let result = self.faulted(subject, fault);
        CheckResult {
            next: Next::Reply(Answer::Refused(Refusal::Unavailable.into())),
            ..result
        }
    }
}
