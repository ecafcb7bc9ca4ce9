//! The directory's entry of one account: its recharge or tier, its own limits, and its switch.

use crate::limits::Overrides;
use crate::tiers::money::Cents;
use crate::tiers::recharge::History;
use crate::tiers::table::{TierId, TierTable};

/// The entry of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountEntry {
    /// The account's payments; `None` while they are unknown.
    pub history: Option<History>,
    /// The name of an assigned tier, which has priority over the recharge.
    pub tier: Option<String>,
    /// The account's own limits.
    pub limits: Overrides,
    /// True when the account is switched off.
    pub disabled: bool,
    /// True when the feed wrote the entry last.
    pub by_feed: bool,
}

/// The basis of an account's tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierBasis {
    /// The account's cumulative recharge.
    Recharge(Cents),
    /// The tier's name.
    Tier(Box<str>),
}

/// The tier that follows from an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedTier {
    /// A tier of the table.
    Tier(TierId),
    /// A recharge that is too small for the first tier.
    RechargeRequired(Cents),
    /// A tier's name that is not in the table.
    Unknown(String),
    /// An entry without a recharge or a tier.
    Nothing,
}

impl AccountEntry {
    /// Returns the assigned tier, or else the tier that the recharge gives.
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
