//! An account as feeds and admin calls write it in JSON.

use crate::directory::entry::{AccountTerms, TierBasis};
use crate::json::{Invalid, Named};
use crate::limits::{Overrides, OwnLimits};
use crate::tiers::money::Cents;
use crate::zone::rfc3339::Moment;

/// The longest name of a tier, as in the config, in bytes.
const TIER_BYTES: usize = 64;
/// The longest target of an alias, in bytes.
const TARGET_BYTES: usize = 1024;

/// The basis of an account's tier: exactly one of the three.
#[derive(Debug)]
pub struct WrittenBasis {
    /// Cumulative recharge.
    pub recharge: Option<Cents>,
    /// A tier's name.
    pub tier: Option<String>,
    /// The account that this id stands for.
    pub account: Option<String>,
}

impl WrittenBasis {
    /// Checks the basis.
    ///
    /// # Errors
    /// [`Invalid`] with the path from the account.
    pub fn check(self) -> Result<TierBasis, Invalid> {
        match (self.recharge, self.tier, self.account) {
            (Some(paid), None, None) => Ok(TierBasis::Recharge(paid)),
            (None, Some(name), None) if (1..=TIER_BYTES).contains(&name.len()) => {
                Ok(TierBasis::Tier(name.into()))
            }
            (None, Some(_), None) => {
                let problem = "not the name of a tier: 1 to 64 bytes";
                Err(Invalid::new("tier", problem))
            }
            (None, None, Some(target)) if (1..=TARGET_BYTES).contains(&target.len()) => {
                Ok(TierBasis::Alias(target.into()))
            }
            (None, None, Some(_)) => {
                let problem = "not the id of an account: 1 to 1024 bytes";
                Err(Invalid::new("account", problem))
            }
            _ => {
                let problem = "an account has exactly one of recharge, tier and account";
                Err(Invalid::new("$", problem))
            }
        }
    }
}

/// Terms of one account beside its tier.
#[derive(Debug)]
pub struct WrittenTerms {
    /// Own limits on all requests.
    pub limits: Option<Overrides>,
    /// Own limits on families of models.
    pub models: Option<Named<Overrides>>,
    /// The end of the own limits.
    pub until: Option<Moment>,
    /// True when the account is switched off.
    pub disabled: Option<bool>,
    /// True when the account passes uncounted.
    pub exempt: Option<bool>,
}

impl WrittenTerms {
    /// Checks the terms.
    ///
    /// # Errors
    /// [`Invalid`] with the path from the account.
    pub fn check(self) -> Result<AccountTerms, Invalid> {
        let limits = match (self.limits, self.models) {
            (None, None) => None,
            (account, models) => {
                let own = OwnLimits {
                    account: account.unwrap_or_default(),
                    models: models.unwrap_or_default().0,
                };
                own.check()?;
                Some(own)
            }
        };
        if self.until.is_some() && limits.is_none() {
            let problem = "the end of own limits, and there are none: name limits or models";
            return Err(Invalid::new("until", problem));
        }
        Ok(AccountTerms {
            limits,
            disabled: self.disabled,
            exempt: self.exempt,
            until: self.until.map(|Moment(at)| at),
        })
    }
}
