//! Tiers and the voucher in the config.

use super::recharge::VoucherRule;
use super::table::NO_TIER;
use super::{Cents, Mode, Tier, TierId, TierTable};
use crate::json::values::Duration;
use crate::json::{Invalid, Named, Object, in_range, plain_name};
use crate::limits::own::{OwnLimit, at_most, model_limits, tier_limits};
use crate::limits::{LimitKind, Limits};
use crate::models::Families;
use crate::time::Span;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The maximum number of tiers in a config.
pub const MOST_TIERS: usize = 64;
const LONGEST_WAIT: Span = Span::from_secs(60);

/// One tier as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TierConfig {
    /// The name: 1 to 64 of `A-Z a-z 0-9 _ -`, neither `none` nor `refuse`.
    name: String,
    /// The lowest cumulative recharge, in USD. All tiers have one, or none.
    recharge: Option<Cents>,
    /// The time since the first recharge that the tier also asks for.
    after: Option<Duration>,
    /// The limits of an account. `concurrency`, `rpm`, `tpm` and `tpd` are needed.
    limits: Named<OwnLimit>,
    /// The limits on families of models.
    models: Option<Named<Named<OwnLimit>>>,
    /// The longest wait of a request over its concurrency, `1ms` to `1m`.
    wait: Option<Duration>,
    /// The mode of this tier, over that of the config.
    mode: Option<Mode>,
}

/// The voucher as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VoucherConfig {
    /// The cumulative recharge that makes the voucher due, in USD.
    at: Cents,
    /// The worth of the voucher, in USD.
    amount: Cents,
}

/// Checks the tiers. The default is the published table.
///
/// # Errors
/// [`Invalid`] for the first invalid tier, too many tiers, or an empty list.
pub fn tiers(
    tiers: Option<Vec<Object<TierConfig>>>,
    families: &Families,
) -> Result<TierTable, Invalid> {
    let Some(tiers) = tiers else {
        return Ok(TierTable::default());
    };
    if tiers.len() > MOST_TIERS {
        let problem = format!("{} tiers: at most {MOST_TIERS} are allowed", tiers.len());
        return Err(Invalid::new("tiers", problem));
    }
    let mut table: Vec<Tier> = Vec::with_capacity(tiers.len());
    let mut meanings = Meanings::new();
    for (i, Object(written)) in tiers.into_iter().enumerate() {
        let path = format!("tiers[{i}]");
        let tier = tier(&path, written, families, &table, &mut meanings)?;
        table.push(tier);
    }
    TierTable::new(table).ok_or_else(|| Invalid::new("tiers", "no tier: name at least one"))
}

/// Checks one tier; `below` are the tiers before it.
fn tier(
    path: &str,
    written: TierConfig,
    families: &Families,
    below: &[Tier],
    meanings: &mut Meanings,
) -> Result<Tier, Invalid> {
    let name_path = format!("{path}.name");
    let name = written.name;
    plain_name(&name_path, &name)?;
    if name == NO_TIER || name == "refuse" {
        let problem = format!("{name:?} has a meaning of its own: choose another");
        return Err(Invalid::new(name_path, problem));
    }
    if below.iter().any(|t| t.name == name) {
        let problem = format!("there is a tier {name:?} already");
        return Err(Invalid::new(name_path, problem));
    }
    check_recharge(path, written.recharge, below)?;
    let after = match written.after {
        None => Span::ZERO,
        Some(Duration(after)) => check_after(path, after, written.recharge, below)?,
    };
    let wait = |Duration(wait)| {
        let allowed = Span::from_millis(1)..=LONGEST_WAIT;
        in_range(&format!("{path}.wait"), wait, allowed)
    };
    let limits = tier_limits(&format!("{path}.limits"), &written.limits)?;
    let models = match &written.models {
        None => Limits::default(),
        Some(models) => models_limits(&format!("{path}.models"), models, families, &limits)?,
    };
    have_one_meaning(path, &limits.with(&models), meanings)?;
    Ok(Tier {
        name,
        recharge: written.recharge,
        after,
        limits,
        models,
        wait: written.wait.map(wait).transpose()?,
        mode: written.mode,
    })
}

/// Checks that all tiers have a recharge and ascend by it, or that none has one.
fn check_recharge(path: &str, recharge: Option<Cents>, below: &[Tier]) -> Result<(), Invalid> {
    let Some(before) = below.last() else {
        return Ok(());
    };
    let problem = match (before.recharge, recharge) {
        (None, None) => return Ok(()),
        (Some(before), Some(recharge)) if before < recharge => return Ok(()),
        (Some(before), Some(recharge)) => {
            format!("{recharge} is not over {before} of the tier before: tiers ascend by recharge")
        }
        (Some(_), None) => "missing, and other tiers have one: all tiers have one, or none".into(),
        (None, Some(_)) => "other tiers have none: all tiers have one, or none".into(),
    };
    Err(Invalid::new(format!("{path}.recharge"), problem))
}

/// Checks the time since the first recharge that a tier asks for.
fn check_after(
    path: &str,
    after: Span,
    recharge: Option<Cents>,
    below: &[Tier],
) -> Result<Span, Invalid> {
    let problem = match (recharge, below) {
        (None, _) => "needs a recharge beside it",
        (_, []) => "not in the first tier: there is no tier to wait in",
        _ => return Ok(after),
    };
    Err(Invalid::new(format!("{path}.after"), problem))
}

/// Checks the limits of a tier on families; `account` are those on all requests.
fn models_limits(
    path: &str,
    written: &Named<Named<OwnLimit>>,
    families: &Families,
    account: &Limits,
) -> Result<Limits, Invalid> {
    let mut all = Limits::default();
    for (name, limits) in &written.0 {
        let path = format!("{path}.{name}");
        if families.by_name(name).is_none() {
            return Err(Invalid::new(
                path,
                "there is no family of this name in models",
            ));
        }
        let limits = model_limits(&path, name, limits)?;
        at_most(&path, account.with(&limits).iter().count())?;
        all = all.with(&limits);
    }
    Ok(all)
}

/// The kinds of a config by name: one name has one meaning.
type Meanings = BTreeMap<&'static str, LimitKind>;

/// Checks that each name of a limit has the meaning that it has elsewhere in the config.
fn have_one_meaning(path: &str, limits: &Limits, meanings: &mut Meanings) -> Result<(), Invalid> {
    for (kind, _) in limits.iter() {
        let other = *meanings.entry(kind.as_str()).or_insert(kind);
        if other.counted() != kind.counted() {
            let problem = format!(
                "counts {} elsewhere: one name, one meaning",
                other.in_words()
            );
            return Err(Invalid::new(kind.path_in(path), problem));
        }
    }
    Ok(())
}

/// Checks a field with a tier's name or "refuse". Returns `None` for "refuse" or an absent field.
///
/// # Errors
/// [`Invalid`] at `path` for the name of an unknown tier.
pub fn tier_or_refuse(
    path: &str,
    name: Option<String>,
    tiers: &TierTable,
) -> Result<Option<TierId>, Invalid> {
    match name.as_deref() {
        None | Some("refuse") => Ok(None),
        Some(name) => match tiers.by_name(name.as_bytes()) {
            Some(id) => Ok(Some(id)),
            None => Err(Invalid::new(
                path,
                format!("{name:?} is neither \"refuse\" nor the name of a tier"),
            )),
        },
    }
}

/// Checks the voucher. The default is the published rule; null means no voucher.
///
/// # Errors
/// [`Invalid`] for a voucher that would be due at once.
pub fn voucher(
    voucher: Option<Option<Object<VoucherConfig>>>,
) -> Result<Option<VoucherRule>, Invalid> {
    match voucher {
        None => Ok(Some(VoucherRule::default())),
        Some(None) => Ok(None),
        Some(Some(Object(voucher))) if voucher.at == Cents::default() => Err(Invalid::new(
            "voucher.at",
            "must be over 0, or the voucher null",
        )),
        Some(Some(Object(voucher))) => Ok(Some(VoucherRule {
            at: voucher.at,
            amount: voucher.amount,
        })),
    }
}
