//! An account as feeds and admin calls write it in JSON.

use crate::directory::entry::{AccountTerms, TierBasis};
use crate::json::{Invalid, Named};
use crate::limits::{Overrides, OwnLimits};
use crate::tiers::money::Cents;
use crate::zone::rfc3339::{Date, Moment};
use serde::Deserialize;

/// The longest name of a tier, as in the config, in bytes.
const TIER_BYTES: usize = 64;
/// The longest target of an alias, in bytes.
const TARGET_BYTES: usize = 1024;

/// An account as it is written: an item of a feed, or the body of an admin call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenEntry {
    /// The account's id.
    pub id: Option<String>,
    recharge: Option<Cents>,
    tier: Option<String>,
    account: Option<String>,
    since: Option<Date>,
    limits: Option<Overrides>,
    models: Option<Named<Overrides>>,
    until: Option<Moment>,
    disabled: Option<bool>,
    exempt: Option<bool>,
}

/// A valid account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedEntry {
    /// The recharge, the tier or the alias.
    pub basis: TierBasis,
    /// The day of the first recharge, in days since 1970-01-01.
    pub since: Option<u32>,
    /// The account's terms.
    pub terms: AccountTerms,
}

impl WrittenEntry {
    /// Checks all fields but the id.
    ///
    /// # Errors
    /// [`Invalid`] with the path from the account.
    pub fn check(self) -> Result<CheckedEntry, Invalid> {
        self.check_alias()?;
        let since = self.since.map(|Date(day)| day);
        let basis = basis(self.recharge, self.tier, self.account)?;
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
        let terms = AccountTerms {
            limits,
            disabled: self.disabled,
            exempt: self.exempt,
            until: self.until.map(|Moment(at)| at),
        };
        Ok(CheckedEntry {
            basis,
            since,
            terms,
        })
    }

    /// Refuses fields of an alias that would have no effect: its account has them.
    fn check_alias(&self) -> Result<(), Invalid> {
        if self.account.is_none() {
            return Ok(());
        }
        let fields = [
            ("since", self.since.is_some()),
            ("limits", self.limits.is_some()),
            ("models", self.models.is_some()),
            ("until", self.until.is_some()),
        ];
        match fields.iter().find(|(_, is_there)| *is_there) {
            None => Ok(()),
            Some((name, _)) => {
                let problem =
                    "not of an alias: it has the limits of its account, so name them there";
                Err(Invalid::new(*name, problem))
            }
        }
    }
}

/// Checks the basis of an account's tier: exactly one of the three.
fn basis(
    recharge: Option<Cents>,
    tier: Option<String>,
    account: Option<String>,
) -> Result<TierBasis, Invalid> {
    match (recharge, tier, account) {
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
