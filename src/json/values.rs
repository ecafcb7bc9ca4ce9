//! Values for which JSON has no type: counts and durations.
//!
//! Numbers may be floating point with a zero fraction: Envoy converts a Struct config to JSON that
//! way.

use super::as_integer;
use crate::time::Span;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;

/// A whole, non-negative number.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

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

/// A duration: digits and one of ms, s, m, h, d.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub Span);

/// The longest duration: a year of 366 days.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

impl Duration {
    /// Reads a duration from 1 ms to a year; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let units = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
        ];
        let (digits, factor) = units
            .into_iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let ms = digits.parse::<u64>().ok()?.checked_mul(factor)?;
        (1..=LONGEST_MS)
            .contains(&ms)
            .then_some(Self(Span::from_millis(ms)))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration from \"1ms\" to \"366d\": digits and one of ms, s, m, h, d")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        let duration = Duration::parse(text);
        duration.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Reads null as the default, like an absent field.
///
/// # Errors
/// The errors of the value itself.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
