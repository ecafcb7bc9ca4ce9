//! The limit kinds, and one value for each kind: limits, overrides, usage.
//!
//! A new kind is a variant of [`LimitKind`], a field of [`PerLimit`], and its meter in
//! [`super::record`]. Only the default tiers list the kinds again.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use std::ops::Index;

/// One limit. The order is by size, so `min` is the stricter of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// A maximum.
    Finite(NonZeroU64),
    /// No limit.
    Unlimited,
}

impl Limit {
    /// The largest finite limit: 2^53 - 1, which every JSON reader reads exactly.
    pub const MAX: u64 = 9_007_199_254_740_991;

    /// Returns the number of a finite limit.
    pub const fn finite(self) -> Option<u64> {
        match self {
            Self::Finite(n) => Some(n.get()),
            Self::Unlimited => None,
        }
    }
}

/// A kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// Requests in flight.
    Concurrency,
    /// Requests per minute.
    Rpm,
    /// Tokens per minute.
    Tpm,
    /// Tokens per day.
    Tpd,
}

impl LimitKind {
    /// All kinds, in the order of the tier table.
    pub const ALL: [Self; 4] = [Self::Concurrency, Self::Rpm, Self::Tpm, Self::Tpd];

    /// Returns the name in configs, replies, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Rpm => "rpm",
            Self::Tpm => "tpm",
            Self::Tpd => "tpd",
        }
    }

    /// Returns the counted unit in words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrent requests",
            Self::Rpm => "requests per minute",
            Self::Tpm => "tokens per minute",
            Self::Tpd => "tokens per day",
        }
    }

    /// Returns the heading of a table's row or column.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Concurrency => "Concurrency",
            Self::Rpm => "RPM",
            Self::Tpm => "TPM",
            Self::Tpd => "TPD",
        }
    }

    /// Tells whether the overload loop lowers the kind. The use of a day does not show the
    /// present overload.
    pub const fn is_adaptive(self) -> bool {
        match self {
            Self::Concurrency | Self::Rpm | Self::Tpm => true,
            Self::Tpd => false,
        }
    }

    /// Tells whether the kind counts tokens.
    pub const fn counts_tokens(self) -> bool {
        match self {
            Self::Concurrency | Self::Rpm => false,
            Self::Tpm | Self::Tpd => true,
        }
    }
}

/// One value for each limit kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerLimit<T> {
    /// Requests in flight.
    pub concurrency: T,
    /// Requests in one minute window.
    pub rpm: T,
    /// Tokens in one minute window.
    pub tpm: T,
    /// Tokens in one day.
    pub tpd: T,
}

impl<T> PerLimit<T> {
    /// Returns the values of `f` for each kind, in order.
    pub fn from_fn(mut f: impl FnMut(LimitKind) -> T) -> Self {
        Self {
            concurrency: f(LimitKind::Concurrency),
            rpm: f(LimitKind::Rpm),
            tpm: f(LimitKind::Tpm),
            tpd: f(LimitKind::Tpd),
        }
    }

    /// Returns the values of `f` for each kind; `None` when `f` fails for any kind.
    pub fn try_from_fn(mut f: impl FnMut(LimitKind) -> Option<T>) -> Option<Self> {
        Some(Self {
            concurrency: f(LimitKind::Concurrency)?,
            rpm: f(LimitKind::Rpm)?,
            tpm: f(LimitKind::Tpm)?,
            tpd: f(LimitKind::Tpd)?,
        })
    }

    /// Returns the kinds with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKind, &T)> {
        LimitKind::ALL.into_iter().map(|kind| (kind, &self[kind]))
    }
}

impl<T> Index<LimitKind> for PerLimit<T> {
    type Output = T;

    fn index(&self, kind: LimitKind) -> &T {
        match kind {
            LimitKind::Concurrency => &self.concurrency,
            LimitKind::Rpm => &self.rpm,
            LimitKind::Tpm => &self.tpm,
            LimitKind::Tpd => &self.tpd,
        }
    }
}

/// The limits of a tier or an account.
pub type Limits = PerLimit<Limit>;

impl Limits {
    /// No limit of any kind.
    pub const UNLIMITED: Self = Self {
        concurrency: Limit::Unlimited,
        rpm: Limit::Unlimited,
        tpm: Limit::Unlimited,
        tpd: Limit::Unlimited,
    };

    /// Tells whether the kind has a limit.
    pub fn is_limited(&self, kind: LimitKind) -> bool {
        self[kind] != Limit::Unlimited
    }

    /// Returns the stricter limit of each kind.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        Self::from_fn(|kind| self[kind].min(other[kind]))
    }
}

/// An account's own limits; `None` where the tier's limit applies.
pub type Overrides = PerLimit<Option<Limit>>;

impl Overrides {
    /// Returns the tier's limits, replaced where the account has its own.
    pub fn over(&self, tier: &Limits) -> Limits {
        Limits::from_fn(|kind| self[kind].unwrap_or(tier[kind]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        let json = serde_json::to_value(PerLimit::from_fn(LimitKind::as_str)).unwrap();
        for (kind, name) in PerLimit::from_fn(LimitKind::as_str).iter() {
            assert_eq!(json[*name], kind.as_str());
        }
        assert_eq!(json.as_object().unwrap().len(), LimitKind::ALL.len());
    }

    #[test]
    fn unlimited_is_over_every_number() {
        let finite = NonZeroU64::new(Limit::MAX).map(Limit::Finite).unwrap();
        assert_eq!(finite.min(Limit::Unlimited), finite);
        assert!(Limit::Finite(NonZeroU64::MIN) < finite);
    }
}
