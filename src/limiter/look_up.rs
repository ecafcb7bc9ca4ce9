//! The page, with what is known of the account that it looks up.

use super::Limiter;
use crate::admin::call::LONGEST_ID;
use crate::admin::page;
use crate::admin::page::{LookUp, LookUpResult};
use crate::admin::status::{RefusedAccountView, Status};
use crate::admin::{AdminResponse, Problem};
use crate::host::Host;
use crate::limits::{Limit, Limits};
use crate::reply::usage::UsageView;
use crate::tiers::{Tier, TierId};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

/// The limits of an account in no tier.
pub(super) const NO_LIMITS: Limits = Limits {
    concurrency: Limit::Unlimited,
    rpm: Limit::Unlimited,
    tpm: Limit::Unlimited,
    tpd: Limit::Unlimited,
};

impl Limiter {
    /// The page, with a look-up of that account.
    pub(super) fn page(
        &self,
        host: &dyn Host,
        account: Option<&[u8]>,
    ) -> Result<AdminResponse, Problem> {
        let status = self.status(host)?;
        let look_up = match account {
            None => None,
            Some(id) => Some(LookUp {
                id: id.to_vec(),
                result: self.look_up(host, id, &status)?,
            }),
        };
        Ok(page::response(&status, look_up.as_ref()))
    }

    fn look_up(
        &self,
        host: &dyn Host,
        id: &[u8],
        status: &Status,
    ) -> Result<LookUpResult, Problem> {
        if id.len() > LONGEST_ID {
            return Ok(LookUpResult::TooLong);
        }
        Ok(match self.known(host, id)? {
            Some(view) if view.usage.is_some() => {
                let last = Self::last_refused(id, status);
                let other = last.filter(|last| view.tier.as_ref() != Some(&last.tier));
                let other = other.filter(|last| self.tier_of_refusal(last).is_some());
                LookUpResult::WithTier {
                    refused_in: other.map(|last| (last.tier.clone(), last.seconds_ago)),
                    view: Box::new(view),
                }
            }
            Some(view) => {
                let counted = self.counted(host, id, None)?;
                LookUpResult::WithoutTier(Box::new(view), Box::new(counted))
            }
            None => {
                let last = Self::last_refused(id, status);
                let place = last.and_then(|last| self.tier_of_refusal(last));
                let tier = place.and_then(|place| self.config.tiers.get(place));
                LookUpResult::Unlisted {
                    refused_in: tier.map(|tier| tier.name.clone()),
                    usage: Box::new(self.counted(host, id, place.zip(tier))?),
                }
            }
        })
    }

    /// What is counted for an account, by the limits of that tier or by none.
    fn counted(
        &self,
        host: &dyn Host,
        id: &[u8],
        tier: Option<(TierId, &Tier)>,
    ) -> Result<UsageView, Problem> {
        let limits = tier.map_or(NO_LIMITS, |(_, tier)| tier.limits);
        let key = self.ledger.key(id);
        let lowered = tier.and_then(|(place, tier)| self.lowered(place, &tier.limits));
        let inspected = self.inspect(host, key, &limits, lowered)?;
        Ok(inspected.usage)
    }

    /// The last refusal of an account: its requests may bring another tier along than the
    /// directory knows.
    fn last_refused<'a>(id: &[u8], status: &'a Status) -> Option<&'a RefusedAccountView> {
        let id = percent_encode(id, NON_ALPHANUMERIC).to_string();
        let mut refused = status.refusals.accounts.iter();
        refused.find(|r| r.id.as_ref() == Some(&id))
    }

    fn tier_of_refusal(&self, refused: &RefusedAccountView) -> Option<TierId> {
        self.config.tiers.by_name(refused.tier.as_bytes())
    }
}
