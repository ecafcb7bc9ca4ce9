//! What the directory knows of one account: its recharge or its tier, limits of its own, and
//! whether it is switched off.

use crate::limits::Overrides;
use crate::tiers::money::Cents;
use crate::tiers::recharge::History;
use crate::tiers::table::{TierId, TierTable};

/// The entry of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountEntry {
    /// Its payments; `None` while none are known.
    pub history: Option<History>,
    /// The name of the tier that it was put into, whatever it paid.
    pub tier: Option<String>,
    /// Limits of its own.
    pub limits: Overrides,
    /// True when it is switched off.
    pub disabled: bool,
    /// True when the feed wrote it last.
    pub by_feed: bool,
}

/// The basis of an account's tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierBasis {
    /// Its cumulative recharge.
    Recharge(Cents),
    /// The tier's name.
    Tier(Box<str>),
}

/// The tier that an entry comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedTier {
    /// The tier at that place in the table.
    Tier(TierId),
    /// Less recharged than the first tier asks for.
    RechargeRequired(Cents),
    /// No tier has the name that it was put into.
    Unknown(String),
    /// The entry says nothing of a tier.
    Nothing,
}

impl AccountEntry {
    /// Its tier: the one that it was put into, or the one that its recharge gives.
    pub fn resolve_tier(&self, tiers: &TierTable) -> ResolvedTier {
        if let Some(name) = &self.tier {
            return match tiers.by_name(name.as_bytes()) {
                Some(tier) => ResolvedTier::Tier(tier),
                None => ResolvedTier::Unknown(name.clone()),
            };
        }
        let Some(history) = &self.history else {
            return ResolvedTier::Nothing;
        };
        let paid = history.cash.at_least_nothing();
        match tiers.by_recharge(paid) {
            Some(tier) => ResolvedTier::Tier(tier),
            None => ResolvedTier::RechargeRequired(paid),
        }
    }
}
