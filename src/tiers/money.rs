//! Money in US cents. No floating point.

use crate::json::decimal::{self, DecimalVisitor};
use crate::text::dollars;
use serde::Deserialize;
use serde::de::Deserializer;

/// An amount of at least zero, in cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(u64);

/// The error for a text that is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an amount in USD: digits, with at most two decimals after a point, such as 20 or 4.99"
)]
pub struct NotAnAmount;

impl Cents {
    /// The largest amount: a trillion dollars.
    pub const MAX: Self = Self(100_000_000_000_000);

    /// Returns an amount of `cents` cents.
    pub const fn new(cents: u64) -> Self {
        Self(cents)
    }

    /// Returns the number of cents.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the amount in dollars with two decimals, as [`SignedCents::decimal`] does.
    pub fn decimal(self) -> String {
        SignedCents::from(self).decimal()
    }

    /// Reads a decimal number: ASCII digits, at most two decimals; no sign, exponent or spaces.
    ///
    /// # Errors
    /// [`NotAnAmount`] for anything else, and past [`Cents::MAX`].
    pub fn parse(text: &[u8]) -> Result<Self, NotAnAmount> {
        let cents = decimal::parse(text, 2).ok_or(NotAnAmount)?;
        if cents > Self::MAX.0 {
            return Err(NotAnAmount);
        }
        Ok(Self(cents))
    }
}

impl std::fmt::Display for Cents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&dollars(&self.decimal()))
    }
}

/// An amount that may be below zero, in cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedCents(i64);

impl SignedCents {
    /// Returns an amount of `cents` cents.
    pub const fn new(cents: i64) -> Self {
        Self(cents)
    }

    /// Returns the number of cents.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads an amount as [`Cents::parse`] does, with an optional minus.
    ///
    /// # Errors
    /// [`NotAnAmount`] for anything else.
    pub fn parse(text: &[u8]) -> Result<Self, NotAnAmount> {
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let cents = i64::try_from(Cents::parse(digits)?.get()).map_err(|_| NotAnAmount)?;
        Ok(Self(if negative {
            cents.saturating_neg()
        } else {
            cents
        }))
    }

    /// Returns the sum, within the range of the type.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// Returns the amount in dollars with two decimals: "20.00".
    pub fn decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        let (dollars, cents) = (cents.div_euclid(100), cents.rem_euclid(100));
        format!("{sign}{dollars}.{cents:02}")
    }

    /// Returns this amount, or zero for an amount below zero.
    pub fn at_least_nothing(self) -> Cents {
        Cents::new(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Cents> for SignedCents {
    fn from(cents: Cents) -> Self {
        Self(i64::try_from(cents.get()).unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor {
            expecting: "an amount in USD with at most two decimals, such as \"20\" or 4.99",
            parse: |text: &str| Self::parse(text.as_bytes()).ok(),
        })
    }
}

impl<'de> Deserialize<'de> for SignedCents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor {
            expecting: "an amount in USD with at most two decimals, such as \"20\" or \"-4.99\"",
            parse: |text: &str| Self::parse(text.as_bytes()).ok(),
        })
    }
}

#[cfg(feature = "cli")]
crate::json::schema::has_schema!(Cents, "Amount", {
    "description": "An amount in USD with at most two decimals.",
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,2})?$"},
        {"type": "number", "minimum": 0}
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_cents() {
        for (text, cents) in [("1", 100), ("0.99", 99), ("4.5", 450), ("3000.00", 300_000)] {
            assert_eq!(
                Cents::parse(text.as_bytes()),
                Ok(Cents::new(cents)),
                "{text}"
            );
        }
        assert_eq!(Cents::new(499).to_string(), "$4.99");
        assert_eq!(Cents::new(300_000).to_string(), "$3,000");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.234",
            "NaN",
            "1,000",
            " 1",
            "٣",
            "1.2.3",
            "99999999999999999999",
            "1000000000000.01",
        ] {
            assert_eq!(Cents::parse(text.as_bytes()), Err(NotAnAmount), "{text}");
        }
    }
}
