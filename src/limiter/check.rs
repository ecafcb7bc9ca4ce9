//! The check of a request: its account, its tier, its model's family, and the limits of them.

use super::fleet::FleetWait;
use super::outcome::Subject;
use super::queue::Ticket;
use super::reserve::{self, AdaptiveReserve, Rates};
use super::{CheckResult, Limiter};
use crate::directory::entry::AccountEntry;
use crate::host::{Host, Request};
use crate::identity::{self, Account, IdentityError, Lookup, NoTier, TierMatch};
use crate::limits::{OwnLimits, Plan};
use crate::models::{self, FamilyId, ModelName, UnknownModel};
use crate::reply::Refusal;
use crate::routes::{Applies, LimitList, TokenCharge};
use crate::scheduler::UpstreamHeader;
use crate::tiers::TierId;
use crate::time::Wall;
use crate::tokens::Reserve;
use crate::tokens::request::ReadBody;
use std::rc::Rc;

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
        let charge = match applies {
            Applies::Not => return self.exempted(Subject::default()),
            Applies::As(charge) => charge,
        };
        let account = match identity::account(request, &self.config.account) {
            Ok(account) => account,
            Err(error) => return self.unidentified(None, error),
        };
        // A stray request without an account says nothing of the config in force.
        self.claim.note_request();
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
            free: rates.free(charge.tokens),
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
        // A tick may be behind an admin call that said so.
        let is_ready = || match self.limiter.directory_ready {
            true => Ok(true),
            false => directory.is_ready(self.host),
        };
        match entry.map_err(IdentityError::DirectoryFault)? {
            None if !is_ready().map_err(IdentityError::DirectoryFault)? => {
                Err(IdentityError::DirectoryUnready)
            }
            entry => Ok(entry),
        }
    }

    fn wall(&self) -> Wall {
        self.host.wall()
    }
}
