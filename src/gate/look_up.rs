//! The page, with what is known of the account that it looks up.

use super::Gate;
use super::admin::usage_view;
use crate::account::Tier;
use crate::admin::call::LONGEST_ID;
use crate::admin::page::{self, LookUp, Told};
use crate::admin::schema::UsageView;
use crate::admin::status::Status;
use crate::admin::{Answer, Problem};
use crate::host::Host;
use crate::limit::{Limit, Limits};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

impl Gate {
    /// The page, with a look-up of that account.
    pub(super) fn page(&self, host: &dyn Host, account: Option<&[u8]>) -> Result<Answer, Problem> {
        let status = self.status(host)?;
        let look_up = match account {
            None => None,
            Some(id) => Some(LookUp {
                id: id.to_vec(),
                told: self.told(host, id, &status)?,
            }),
        };
        Ok(page::answer(&status, look_up.as_ref()))
    }

    fn told(&self, host: &dyn Host, id: &[u8], status: &Status) -> Result<Told, Problem> {
        if id.len() > LONGEST_ID {
            return Ok(Told::TooLong);
        }
        Ok(match self.known(host, id)? {
            Some(view) if view.usage.is_some() => Told::Placed(view),
            Some(view) => Told::Unplaced(view, self.counted(host, id, None)?),
            None => {
                let tier = self.refused_in(id, status);
                Told::Unlisted {
                    refused_in: tier.map(|tier| tier.name.clone()),
                    usage: self.counted(host, id, tier.map(|tier| &tier.limits))?,
                }
            }
        })
    }

    /// What is counted for an account, by those limits or by none.
    fn counted(
        &self,
        host: &dyn Host,
        id: &[u8],
        limits: Option<&Limits>,
    ) -> Result<UsageView, Problem> {
        const NONE: Limits = Limits {
            concurrency: Limit::Unlimited,
            rpm: Limit::Unlimited,
            tpm: Limit::Unlimited,
            tpd: Limit::Unlimited,
        };
        let used = self.in_use(host, self.ledger.key(id), true)?;
        Ok(usage_view(limits.unwrap_or(&NONE), &used))
    }

    /// The tier in which an account was last refused: of one that the directory does not know, since
    /// its requests bring their tier along.
    fn refused_in(&self, id: &[u8], status: &Status) -> Option<&Tier> {
        let id = percent_encode(id, NON_ALPHANUMERIC).to_string();
        let mut refused = status.refusals.accounts.iter();
        let last = refused.find(|r| r.id.as_ref() == Some(&id))?;
        let place = self.config.tiers.by_name(last.tier.as_bytes())?;
        self.config.tiers.get(place)
    }
}
