//! The value types of the config that JSON does not have: durations, money, offsets. Limits are
//! [`crate::limit`]'s own.
//!
//! Numbers may come as floating point with nothing behind the point: Envoy turns a Struct config
//! into JSON that way.

use crate::account::Cents;
use crate::account::directory::Overrides;
use crate::json::as_integer;
use crate::limit::Limit;
use crate::time::Span;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;

/// A whole number that is not negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub u64);

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of at least 0")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
        Ok(Count(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Count, E> {
        as_integer(value)
            .map(Count)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(CountVisitor)
    }
}

/// Limits of an account's own, each in place of its tier's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnLimits {
    concurrency: Option<Limit>,
    rpm: Option<Limit>,
    tpm: Option<Limit>,
    tpd: Option<Limit>,
}

impl From<OwnLimits> for Overrides {
    fn from(own: OwnLimits) -> Self {
        Self {
            concurrency: own.concurrency,
            rpm: own.rpm,
            tpm: own.tpm,
            tpd: own.tpd,
        }
    }
}

/// An amount of money: a decimal string, or a number with at most two decimals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Money(pub Cents);

struct MoneyVisitor;

impl MoneyVisitor {
    fn parse<E: de::Error>(self, text: &str, unexpected: de::Unexpected<'_>) -> Result<Money, E> {
        Cents::parse(text.as_bytes())
            .map(Money)
            .map_err(|_| E::invalid_value(unexpected, &self))
    }
}

impl Visitor<'_> for MoneyVisitor {
    type Value = Money;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount in USD with at most two decimals, such as \"20\" or 4.99")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Money, E> {
        self.parse(&value.to_string(), de::Unexpected::Unsigned(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Money, E> {
        // The shortest decimal that reads as this number is what was written.
        self.parse(&value.to_string(), de::Unexpected::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Money, E> {
        self.parse(value, de::Unexpected::Str(value))
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MoneyVisitor)
    }
}

/// A duration: digits and one of ms, s, m, h.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duration(pub Span);

/// The longest duration: a year of 366 days.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

fn span(text: &str) -> Option<Span> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let (digits, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=LONGEST_MS)
        .contains(&ms)
        .then_some(Span::from_millis(ms))
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Duration).ok_or_else(|| {
            de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a duration from \"1ms\" to \"8784h\": digits and one of ms, s, m, h",
            )
        })
    }
}

/// A UTC offset, in minutes east.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(pub i32);

fn offset_minutes(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two_digits = |s: &str, below: i32| {
        let valid = s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| s.parse::<i32>().ok())?.filter(|n| *n < below)
    };
    two_digits(hours, 24)?
        .checked_mul(60)?
        .checked_add(two_digits(minutes, 60)?)?
        .checked_mul(sign)
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        offset_minutes(&text).map(Offset).ok_or_else(|| {
            de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a UTC offset from \"-23:59\" to \"+23:59\"",
            )
        })
    }
}
