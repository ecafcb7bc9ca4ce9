//! The directory's entry of one account: its recharge, tier or alias, and what the feed and the admin
//! API say beside it.

use crate::limits::OwnLimits;
use crate::tiers::money::Cents;
use crate::tiers::recharge::History;
use crate::tiers::table::{TierId, TierTable};
use crate::time::{Span, Wall};

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The entry of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountEntry {
    /// The account's payments; `None` while they are unknown.
    pub history: Option<History>,
    /// The name of an assigned tier, which has priority over the recharge.
    pub tier: Option<String>,
    /// The id of the account that this id stands for.
    pub alias_of: Option<Vec<u8>>,
    /// The day of the first recharge, in days since 1970-01-01.
    pub since: Option<u32>,
    /// True when the feed wrote the fields above last.
    pub by_feed: bool,
    /// The terms that the feed gives; each import replaces them.
    pub feed: AccountTerms,
    /// The terms that the admin API gave, which hold over those of the feed.
    pub admin: AccountTerms,
}

/// Terms of one account beside its tier. `None` leaves a term to the other source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountTerms {
    /// The account's own limits.
    pub limits: Option<OwnLimits>,
    /// True when the account is switched off.
    pub disabled: Option<bool>,
    /// True when the account passes uncounted.
    pub exempt: Option<bool>,
    /// The end of the own limits.
    pub until: Option<Wall>,
}

impl AccountTerms {
    /// True without any term.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the own limits, unless they have ended.
    fn limits_at(&self, wall: &impl Fn() -> Wall) -> Option<&OwnLimits> {
        let limits = self.limits.as_ref()?;
        let has_ended = self.until.is_some_and(|until| wall() >= until);
        (!has_ended).then_some(limits)
    }
}

/// The basis of an account's tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierBasis {
    /// The account's cumulative recharge.
    Recharge(Cents),
    /// The tier's name.
    Tier(Box<str>),
    /// The id of another account, whose tier, limits and usage are this one's.
    Alias(Box<str>),
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
    /// True when the account is switched off.
    pub fn is_disabled(&self) -> bool {
        self.admin.disabled.or(self.feed.disabled) == Some(true)
    }

    /// True when the account passes uncounted.
    pub fn is_exempt(&self) -> bool {
        self.admin.exempt.or(self.feed.exempt) == Some(true)
    }

    /// Returns the own limits in force: those of the admin API, else those of the feed. `wall` is read
    /// only for limits that end.
    pub fn own_limits(&self, wall: impl Fn() -> Wall) -> Option<&OwnLimits> {
        let admin = self.admin.limits_at(&wall);
        admin.or_else(|| self.feed.limits_at(&wall))
    }

    /// True when the account has a recharge, a tier or an alias.
    pub const fn has_basis(&self) -> bool {
        self.history.is_some() || self.tier.is_some() || self.alias_of.is_some()
    }

    /// Returns the assigned tier, or else the tier that the recharge gives. `wall` is read only for an
    /// account with a first recharge, where the table has tiers that ask for a time since then.
    pub fn resolve_tier(&self, tiers: &TierTable, wall: impl Fn() -> Wall) -> ResolvedTier {
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
        let age = match (tiers.ask_for_age(), self.since) {
            (true, Some(day)) => age(day, wall()),
            _ => Span::ZERO,
        };
        match tiers.by_recharge(paid, age) {
            Some(tier) => ResolvedTier::Tier(tier),
            None => ResolvedTier::RechargeRequired(paid),
        }
    }
}

/// Returns the time from the start of a day, in UTC.
fn age(day: u32, wall: Wall) -> Span {
    let start = u64::from(day).saturating_mul(DAY_MS);
    Span::from_millis(wall.as_millis().saturating_sub(start))
}
