//! Time zones, and the calendar periods in them.
//!
//! A zone is a fixed UTC offset or a yearly rule. A table in the module has the rule of each IANA
//! name; it is written from tzdata by `make zones`. Rules describe the present and the coming years,
//! not the past.

mod calendar;
mod civil;
mod names;
mod posix;
pub mod rfc3339;

pub use calendar::{Calendar, CalendarPeriod};

use crate::time::Wall;
use posix::Rule;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher;
use thiserror::Error;

/// A time zone: a UTC offset, or the offsets and changes of a yearly rule.
///
/// Two names of one rule are equal zones. Its text is the name or the offset that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Zone {
    rule: Rule,
    /// The IANA name; `None` for a UTC offset.
    name: Option<&'static str>,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name {
            return f.write_str(name);
        }
        let offset = self.offset_at(Wall::from_millis(0));
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs().div_euclid(60);
        let (hours, minutes) = (minutes.div_euclid(60), minutes.rem_euclid(60));
        write!(f, "{sign}{hours:02}:{minutes:02}")
    }
}

/// The reason why a text is no zone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ZoneError {
    /// A sign or a digit, but no offset.
    #[error("{text:?} is no UTC offset: the form is \"+08:00\", from \"-23:59\" to \"+23:59\"")]
    Offset {
        /// The text as written.
        text: String,
    },
    /// A name that tzdata does not have.
    #[error(
        "{text:?} is no time zone of tzdata {}: write an IANA name such as \
         \"America/Los_Angeles\" (case counts), or a UTC offset such as \"+08:00\"{}",
        names::tzdata_version(),
        did_you_mean(near)
    )]
    Unknown {
        /// The text as written.
        text: String,
        /// Names that look like it, the nearest first.
        near: Vec<&'static str>,
    },
    /// A zone of tzdata whose changes no yearly rule describes.
    #[error(
        "the clocks of {name:?} change on dates that no yearly rule gives: write another zone, or a \
         UTC offset such as \"+02:00\""
    )]
    Irregular {
        /// The name of the zone.
        name: String,
    },
}

fn did_you_mean(near: &[&str]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<_> = near.iter().map(|name| format!("{name:?}")).collect();
    format!("; did you mean {}?", names.join(" or "))
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self {
        rule: Rule::fixed(0),
        name: None,
    };

    /// Reads a UTC offset such as `+08:00`, or an IANA name such as `America/Los_Angeles`.
    ///
    /// # Errors
    /// [`ZoneError`] for any other text, and for the few zones without a yearly rule.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let is_offset = |c: char| matches!(c, '+' | '-') || c.is_ascii_digit();
        if text.starts_with(is_offset) {
            let offset = offset_seconds(text).ok_or_else(|| ZoneError::Offset {
                text: text.to_owned(),
            })?;
            let rule = Rule::fixed(offset);
            return Ok(Self { rule, name: None });
        }
        let (name, rule) = names::find(text).ok_or_else(|| ZoneError::Unknown {
            text: text.to_owned(),
            near: names::near(text),
        })?;
        let rule = Rule::parse(rule).ok_or_else(|| ZoneError::Irregular {
            name: text.to_owned(),
        })?;
        let name = Some(name);
        Ok(Self { rule, name })
    }

    /// Returns a number for the zone's text, the same one in any process: SipHash-2-4 without a key,
    /// cut to 32 bits.
    pub fn key(&self) -> u32 {
        let mut hasher = SipHasher24::new();
        hasher.write(self.to_string().as_bytes());
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Returns the offset at a moment, in seconds east of UTC.
    pub fn offset_at(&self, wall: Wall) -> i64 {
        self.rule.offset_at(seconds(wall))
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Whole seconds since the epoch.
fn seconds(wall: Wall) -> i64 {
    i64::try_from(wall.as_millis().div_euclid(1000)).unwrap_or(i64::MAX)
}

fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-60, digits),
        None => (60, text.strip_prefix('+')?),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let two_digits = |s: &str, below: i32| {
        let valid = s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| s.parse::<i32>().ok())?.filter(|n| *n < below)
    };
    two_digits(hours, 24)?
        .checked_mul(60)?
        .checked_add(two_digits(minutes, 60)?)?
        .checked_mul(sign)
}

#[cfg(test)]
mod tests;
