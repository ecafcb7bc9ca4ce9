//! The page's look-up of one account.

use super::page::{self, LookUp, LookUpResult};
use super::route::LONGEST_ID;
use super::status::{RefusedAccountView, Status};
use super::{AdminResponse, Api, Problem};
use crate::limiter::FleetUse;
use crate::reply::usage::UsageView;
use crate::tiers::{Tier, TierId};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

impl Api<'_> {
    /// Renders the page, with a look-up of `account` if one is given.
    pub(super) fn page(&self, account: Option<&[u8]>) -> Result<AdminResponse, Problem> {
        let status = self.status()?;
        let look_up = match account {
            None => None,
            Some(id) => Some(LookUp {
                id: id.to_vec(),
                result: self.look_up(id, &status)?,
                fleet: self.fleet_use(id)?,
            }),
        };
        Ok(page::response(&status, look_up.as_ref()))
    }

    fn look_up(&self, id: &[u8], status: &Status) -> Result<LookUpResult, Problem> {
        if id.len() > LONGEST_ID {
            return Ok(LookUpResult::TooLong);
        }
        Ok(match self.known(id)? {
            Some(view) if view.usage.is_some() => {
                let last = Self::last_refused(id, status);
                let other = last.filter(|last| view.entry.tier.as_ref() != Some(&last.tier));
                let other = other.filter(|last| self.tier_of_refusal(last).is_some());
                LookUpResult::WithTier {
                    refused_in: other.map(|last| (last.tier.clone(), last.seconds_ago)),
                    view: Box::new(view),
                }
            }
            Some(view) => {
                let counted = self.counted(id, None)?;
                LookUpResult::WithoutTier(Box::new(view), Box::new(counted))
            }
            None => {
                let last = Self::last_refused(id, status);
                let place = last.and_then(|last| self.tier_of_refusal(last));
                let tier = place.and_then(|place| self.config().tiers.get(place));
                LookUpResult::Unlisted {
                    refused_in: tier.map(|tier| tier.name.clone()),
                    usage: Box::new(self.counted(id, place.zip(tier))?),
                }
            }
        })
    }

    /// Returns what this edge knows of an account in the fleet; of its target for an alias.
    pub(super) fn fleet_use(&self, id: &[u8]) -> Result<Option<FleetUse>, Problem> {
        if id.len() > LONGEST_ID {
            return Ok(None);
        }
        let target = self.target_of(id)?;
        let key = self.limiter.ledger().key(target.as_deref().unwrap_or(id));
        Ok(self.limiter.fleet_use(self.host, key)?)
    }

    /// Returns an account's usage against the limits of `tier`, or against no limits.
    fn counted(&self, id: &[u8], tier: Option<(TierId, &Tier)>) -> Result<UsageView, Problem> {
        let key = self.limiter.ledger().key(id);
        let lowered = tier.and_then(|(place, _)| self.limiter.overload().lowered(place));
        let limits = tier.map(|(_, tier)| tier.all_limits());
        let inspected = self
            .limiter
            .inspect(self.host, key, limits.as_ref(), lowered)?;
        Ok(inspected.usage)
    }

    /// Returns the last refusal of an account. A request may carry another tier than the
    /// directory's.
    fn last_refused<'a>(id: &[u8], status: &'a Status) -> Option<&'a RefusedAccountView> {
        let id = percent_encode(id, NON_ALPHANUMERIC).to_string();
        let mut refused = status.refusals.accounts.iter();
        refused.find(|r| r.id.as_ref() == Some(&id))
    }

    fn tier_of_refusal(&self, refused: &RefusedAccountView) -> Option<TierId> {
        self.config().tiers.by_name(refused.tier.as_bytes())
    }
}
