//! Tiers, by name or by cumulative recharge.

use crate::limits::{Limit, LimitKind, Limits, OwnLimits};
use crate::tiers::mode::Mode;
use crate::tiers::money::Cents;
use crate::time::Span;
use std::num::NonZeroU64;

/// The label of requests whose tier is unknown; no tier can have this name.
pub const NO_TIER: &str = "none";

/// One tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The name in configs, headers, metrics and replies.
    pub name: String,
    /// The lowest cumulative recharge of the tier; `None` where tiers are names alone.
    pub recharge: Option<Cents>,
    /// The shortest time since the first recharge.
    pub after: Span,
    /// The base limits of an account.
    pub limits: Limits,
    /// The base limits of an account on families of models.
    pub models: Limits,
    /// The longest wait of a request for a lease; `None` refuses at once.
    pub wait: Option<Span>,
    /// The mode; `None` for that of the config.
    pub mode: Option<Mode>,
}

impl Tier {
    /// Returns the base limits of a request: the account's, and those on the family of its model.
    pub fn limits_of(&self, model: Option<&str>) -> Limits {
        let models = self.models.iter().filter(|(kind, _)| kind.model() == model);
        let models = models.map(|(kind, limit)| (kind, *limit)).collect();
        self.limits.with(&models)
    }

    /// Returns the base limits of an account, with those on all families.
    pub fn all_limits(&self) -> Limits {
        self.limits.with(&self.models)
    }

    /// Returns all limits of an account with own ones.
    pub fn limits_with(&self, own: Option<&OwnLimits>) -> Limits {
        let all = self.all_limits();
        own.map_or_else(|| all.clone(), |own| own.over_all(&all))
    }
}

/// A tier's position in its [`TierTable`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TierId(u16);

impl TierId {
    /// Returns the position as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// All tiers, ascending by recharge where they have one; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierTable(Vec<Tier>);

impl TierTable {
    /// Creates a table of tiers, which must ascend by recharge, or be names alone; `None` without a
    /// tier.
    pub fn new(tiers: Vec<Tier>) -> Option<Self> {
        (!tiers.is_empty()).then_some(Self(tiers))
    }

    /// Returns the tiers in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tier> {
        self.0.iter()
    }

    /// Returns the tiers in order, each with its id.
    pub fn entries(&self) -> impl Iterator<Item = (TierId, &Tier)> {
        (0..).map(TierId).zip(&self.0)
    }

    /// Returns the tier of an id; `None` for an id of a longer table.
    pub fn get(&self, id: TierId) -> Option<&Tier> {
        self.0.get(id.index())
    }

    /// Returns the tier above `id`; the first for `None`.
    pub fn above(&self, id: Option<TierId>) -> Option<&Tier> {
        let next = id.map_or(0, |id| id.index().saturating_add(1));
        self.0.get(next)
    }

    /// Finds a tier's id by name.
    pub fn by_name(&self, name: &[u8]) -> Option<TierId> {
        let named = self.entries().find(|(_, t)| t.name.as_bytes() == name);
        named.map(|(id, _)| id)
    }

    /// True where tiers follow from a recharge; false where they are names alone.
    pub fn follow_recharge(&self) -> bool {
        self.0.iter().any(|tier| tier.recharge.is_some())
    }

    /// True when a tier asks for a time since the first recharge.
    pub fn ask_for_age(&self) -> bool {
        self.0.iter().any(|tier| tier.after > Span::ZERO)
    }

    /// Finds the id of the highest tier that `recharge` reaches, `age` after the first recharge; `None`
    /// below the first.
    pub fn by_recharge(&self, recharge: Cents, age: Span) -> Option<TierId> {
        let reached = |tier: &Tier| {
            let enough = tier.recharge.is_some_and(|needed| needed <= recharge);
            enough && tier.after <= age
        };
        let reached = self.entries().filter(|(_, tier)| reached(tier));
        reached.last().map(|(id, _)| id)
    }

    /// Returns the recharge of the first tier.
    pub fn first_recharge(&self) -> Cents {
        let first = self.0.first().and_then(|tier| tier.recharge);
        first.unwrap_or_default()
    }
}

impl Default for TierTable {
    /// The six tiers that Kimi publishes (platform.moonshot.ai, "Recharge and rate limits").
    fn default() -> Self {
        let rows: [(&str, u64, [u64; 4]); 6] = [
            ("tier0", 1, [1, 3, 500_000, 1_500_000]),
            ("tier1", 10, [50, 200, 2_000_000, 0]),
            ("tier2", 20, [100, 500, 3_000_000, 0]),
            ("tier3", 100, [200, 5_000, 3_000_000, 0]),
            ("tier4", 1_000, [400, 5_000, 4_000_000, 0]),
            ("tier5", 3_000, [1_000, 10_000, 5_000_000, 0]),
        ];
        let limit = |n| NonZeroU64::new(n).map_or(Limit::Unlimited, Limit::Finite);
        let tier = |(name, dollars, limits): (&str, u64, [u64; 4])| Tier {
            name: name.to_owned(),
            recharge: Some(Cents::new(dollars.saturating_mul(100))),
            after: Span::ZERO,
            limits: LimitKind::NECESSARY
                .into_iter()
                .zip(limits)
                .filter_map(|(name, n)| Some((LimitKind::known(name)?, limit(n))))
                .collect(),
            models: Limits::default(),
            wait: None,
            mode: None,
        };
        Self(rows.into_iter().map(tier).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recharge_leads_to_the_published_tier() {
        let table = TierTable::default();
        for (recharge, tier) in [
            ("0.99", None),
            ("1", Some("tier0")),
            ("9.99", Some("tier0")),
            ("10", Some("tier1")),
            ("20", Some("tier2")),
            ("99.99", Some("tier2")),
            ("100", Some("tier3")),
            ("999.99", Some("tier3")),
            ("1000", Some("tier4")),
            ("3000", Some("tier5")),
            ("1000000", Some("tier5")),
        ] {
            let cents = Cents::parse(recharge.as_bytes()).unwrap();
            let found = table
                .by_recharge(cents, Span::ZERO)
                .and_then(|i| table.get(i));
            assert_eq!(found.map(|t| t.name.as_str()), tier, "{recharge}");
        }
    }
}
