//! A limit, and an amount that is used or left of it, as replies and views show them.

use super::kinds::LimitKind;
use super::per_limit::{Limit, Limits, PerLimit};
use super::units::CENT;
use crate::text::number;
use serde::{Serialize, Serializer};
use std::fmt;

/// A limit or an amount. In JSON a count is a number, and money a string: "12.50".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// No limit.
    Unlimited,
    /// A number of requests or tokens.
    Count(u64),
    /// Money, in cents of a US dollar.
    Cents(u64),
}

impl LimitKind {
    /// Returns a limit of the kind for views.
    pub const fn limit(self, limit: Limit) -> Shown {
        match limit.finite() {
            Some(n) => self.used(n),
            None => Shown::Unlimited,
        }
    }

    /// Returns an amount that is used; money is rounded up to the cent.
    pub const fn used(self, n: u64) -> Shown {
        match self.counted().is_money() {
            true => Shown::Cents(n.div_ceil(CENT)),
            false => Shown::Count(n),
        }
    }

    /// Returns an amount that is left; money is rounded down to the cent.
    pub const fn rest(self, n: u64) -> Shown {
        match self.counted().is_money() {
            true => Shown::Cents(n.div_euclid(CENT)),
            false => Shown::Count(n),
        }
    }
}

impl Limits {
    /// Returns the limits for views.
    pub fn shown(&self) -> PerLimit<Shown> {
        self.map(|kind, limit| kind.limit(*limit))
    }
}

/// The limits of an account for views, by name; those on families are apart.
impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().named().serialize(serializer)
    }
}

impl Shown {
    /// Returns nothing of the same unit.
    #[must_use]
    pub const fn nothing(self) -> Self {
        match self {
            Self::Cents(_) => Self::Cents(0),
            Self::Count(_) | Self::Unlimited => Self::Count(0),
        }
    }

    /// Returns the sum of two amounts of one unit.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => Self::Count(a.saturating_add(b)),
            (Self::Cents(a), Self::Cents(b)) => Self::Cents(a.saturating_add(b)),
            (sum, _) => sum,
        }
    }

    /// Returns the number, for shares: of counts, or of cents.
    pub const fn finite(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Count(n) | Self::Cents(n) => Some(n),
        }
    }

    /// Returns the text for people, with groups of three digits: "1,500,000", "$1,500.25".
    pub fn grouped(self) -> String {
        match self {
            Self::Unlimited => "unlimited".to_owned(),
            Self::Count(n) => number(n),
            Self::Cents(n) => format!("${}.{:02}", number(n.div_euclid(100)), n.rem_euclid(100)),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Count(n) => write!(f, "{n}"),
            Self::Cents(n) => write!(f, "${}.{:02}", n.div_euclid(100), n.rem_euclid(100)),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => serializer.serialize_str("unlimited"),
            Self::Count(n) => serializer.serialize_u64(*n),
            Self::Cents(n) => {
                let (dollars, cents) = (n.div_euclid(100), n.rem_euclid(100));
                serializer.collect_str(&format_args!("{dollars}.{cents:02}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::kinds::{Counted, Per};
    use crate::limits::units::Unit;

    #[test]
    fn money_is_rounded_once_and_against_the_account() {
        let kind = LimitKind::named("spend", Counted::Sum(Unit::Usd, Per::Month)).unwrap();
        assert_eq!(kind.used(1), Shown::Cents(1));
        assert_eq!(kind.rest(CENT - 1), Shown::Cents(0));
        assert_eq!(kind.used(CENT * 1_250), Shown::Cents(1_250));
        assert_eq!(serde_json::to_value(Shown::Cents(1_205)).unwrap(), "12.05");
        assert_eq!(Shown::Cents(123_456_705).grouped(), "$1,234,567.05");
    }
}
