//! Money in US cents. No floating point.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;

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
        let mut parts = text.splitn(2, |b| *b == b'.');
        let whole = digits(parts.next().unwrap_or_default())?;
        let decimals = match parts.next() {
            None => 0,
            Some(text @ [_]) => digits(text)?.saturating_mul(10),
            Some(text @ [_, _]) => digits(text)?,
            Some(_) => return Err(NotAnAmount),
        };
        let cents = whole
            .checked_mul(100)
            .and_then(|c| c.checked_add(decimals))
            .ok_or(NotAnAmount)?;
        if cents > Self::MAX.0 {
            return Err(NotAnAmount);
        }
        Ok(Self(cents))
    }
}

impl std::fmt::Display for Cents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (dollars, cents) = (self.0.div_euclid(100), self.0.rem_euclid(100));
        write!(f, "${dollars}")?;
        if cents > 0 {
            write!(f, ".{cents:02}")?;
        }
        Ok(())
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

/// A visitor of an amount: a decimal string, or a number with at most two decimals.
struct AmountVisitor<T> {
    expecting: &'static str,
    parse: fn(&[u8]) -> Result<T, NotAnAmount>,
}

impl<T> AmountVisitor<T> {
    fn parse<E: de::Error>(&self, text: &str, unexpected: de::Unexpected<'_>) -> Result<T, E> {
        (self.parse)(text.as_bytes()).map_err(|_| E::invalid_value(unexpected, self))
    }
}

impl<T> Visitor<'_> for AmountVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.parse(&value.to_string(), de::Unexpected::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.parse(&value.to_string(), de::Unexpected::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        // The shortest decimal of this number is the written one.
        self.parse(&value.to_string(), de::Unexpected::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        self.parse(value, de::Unexpected::Str(value))
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor {
            expecting: "an amount in USD with at most two decimals, such as \"20\" or 4.99",
            parse: Self::parse,
        })
    }
}

impl<'de> Deserialize<'de> for SignedCents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor {
            expecting: "an amount in USD with at most two decimals, such as \"20\" or \"-4.99\"",
            parse: Self::parse,
        })
    }
}

fn digits(text: &[u8]) -> Result<u64, NotAnAmount> {
    if text.is_empty() {
        return Err(NotAnAmount);
    }
    text.iter().try_fold(0_u64, |n, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d <= 9);
        digit
            .and_then(|d| n.checked_mul(10)?.checked_add(u64::from(d)))
            .ok_or(NotAnAmount)
    })
}

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
        assert_eq!(Cents::new(300_000).to_string(), "$3000");
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
