//! The checks of an account write against a config, which need no host.

use super::Problem;
use crate::config::Config;
use crate::directory::entry::TierBasis;
use crate::directory::written::CheckedEntry;
use crate::json::Invalid;
use crate::limits::OwnLimits;
use crate::tiers::{Tier, TierTable};

/// Checks the write of an account against a config.
///
/// # Errors
/// [`Problem::BadBody`] with the JSON path.
pub fn check_put(config: &Config, id: &[u8], put: &CheckedEntry) -> Result<(), Problem> {
    match &put.basis {
        TierBasis::Tier(name) => known_tier(&config.tiers, name, "tier")?,
        TierBasis::Alias(target) if target.as_bytes() == id => {
            return Err(Problem::body("account", "is the account itself"));
        }
        TierBasis::Recharge(_) if !config.tiers.follow_recharge() => {
            let problem = "the tiers of this config have no recharge: name a tier";
            return Err(Problem::body("recharge", problem));
        }
        TierBasis::Recharge(_) | TierBasis::Alias(_) => {}
    }
    let Some(own) = &put.terms.limits else {
        return Ok(());
    };
    let named = match &put.basis {
        TierBasis::Tier(name) => Some(name),
        // Its recharge, or its target, may lead to any tier.
        TierBasis::Recharge(_) | TierBasis::Alias(_) => None,
    };
    let mut tiers = config.tiers.iter();
    let met = |tier: &&Tier| named.is_none_or(|name| **name == *tier.name);
    tiers
        .by_ref()
        .filter(met)
        .try_for_each(|tier| check_limits(config, own, tier))
        .map_err(Problem::BadBody)?;
    if own.count_money() && !config.is_priced {
        let problem = "a limit on usd needs a price for every model: see \"price\" in the docs";
        return Err(Problem::BadBody(Invalid::new("limits", problem)));
    }
    Ok(())
}

/// Checks own limits beside those of a tier, for each family of models.
fn check_limits(config: &Config, own: &OwnLimits, tier: &Tier) -> Result<(), Invalid> {
    let families = &config.models;
    let unknown = own.models.iter();
    let mut unknown = unknown.filter(|(model, _)| families.by_name(model).is_none());
    if let Some((model, _)) = unknown.next() {
        let problem = "there is no family of this name in models of the config";
        return Err(Invalid::new(format!("models.{model}"), problem));
    }
    let families = families.iter().map(|family| Some(&*family.name));
    let mut models = std::iter::once(None).chain(families);
    models.try_for_each(|model| own.check_in(&tier.limits_of(model), model))
}

/// Refuses the name of a tier that is not in the table, with the JSON path of the name.
///
/// # Errors
/// [`Problem::BadBody`] with the names that there are.
pub fn known_tier(tiers: &TierTable, name: &str, path: &str) -> Result<(), Problem> {
    if tiers.by_name(name.as_bytes()).is_some() {
        return Ok(());
    }
    let names: Vec<_> = tiers.iter().map(|t| t.name.as_str()).collect();
    let problem = format!("there is no tier {name:?}: one of {}", names.join(", "));
    Err(Problem::body(path, problem))
}
