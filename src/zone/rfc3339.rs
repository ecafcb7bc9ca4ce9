//! Moments and dates as text (RFC 3339, section 5.6).

use super::civil::{first_of_month, month_of};
use crate::time::Wall;
use serde::de::{self, Deserialize, Deserializer};

const DAY_MS: u64 = 86_400_000;

/// A date in JSON: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub u32);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = "a date such as \"2026-01-31\"";
        let invalid = || de::Error::invalid_value(de::Unexpected::Str(&text), &allowed);
        parse_date(&text).map(Self).ok_or_else(invalid)
    }
}

/// A moment in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Wall);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = "a moment such as \"2026-01-31T18:00:00Z\" or \"2026-01-31T18:00:00+08:00\"";
        let invalid = || de::Error::invalid_value(de::Unexpected::Str(&text), &allowed);
        parse(&text).map(Self).ok_or_else(invalid)
    }
}

/// Reads a date such as "2026-01-31", from 1970 on: days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<u32> {
    let (date, rest) = text.split_at_checked(10)?;
    rest.is_empty().then(|| day_of(date)).flatten()
}

/// Writes a date.
pub fn date(day: u32) -> String {
    let day = i64::from(day);
    let (year, month) = month_of(day);
    let of_month = day.saturating_sub(first_of_month(year, month));
    format!("{year:04}-{month:02}-{:02}", of_month.saturating_add(1))
}

/// Reads a moment such as "2026-01-31T18:00:00Z" or "2026-01-31T18:00:00.5+08:00", from 1970 on.
/// Parts of a second are cut off.
pub fn parse(text: &str) -> Option<Wall> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = u64::from(day_of(date)?);
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = time.split_at_checked(8)?;
    let seconds = clock_seconds(clock)?;
    let zone = without_fraction(zone)?;
    let local = days
        .checked_mul(DAY_MS)?
        .checked_add(seconds.checked_mul(1000)?)?;
    let ms = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => local,
        ("+", offset) => local.checked_sub(offset_ms(offset)?)?,
        ("-", offset) => local.checked_add(offset_ms(offset)?)?,
        _ => return None,
    };
    Some(Wall::from_millis(ms))
}

/// Writes a moment in UTC, to the second.
pub fn text(at: Wall) -> String {
    let seconds = at.as_millis().div_euclid(1000);
    let day = u32::try_from(seconds.div_euclid(86_400)).unwrap_or(u32::MAX);
    let of_day = seconds.rem_euclid(86_400);
    let (hours, minutes) = (
        of_day.div_euclid(3600),
        of_day.div_euclid(60).rem_euclid(60),
    );
    let date = date(day);
    format!(
        "{date}T{hours:02}:{minutes:02}:{:02}Z",
        of_day.rem_euclid(60)
    )
}

fn day_of(date: &str) -> Option<u32> {
    let mut parts = date.split('-');
    let (year, month) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?);
    let day = digits(parts.next()?, 2)?;
    if parts.next().is_some() || !(1..=12).contains(&month) {
        return None;
    }
    let year = i64::from(year);
    let month = u8::try_from(month).ok()?;
    let first = first_of_month(year, month);
    let next = first_of_month(year, month.saturating_add(1));
    let day = first.checked_add(i64::from(day.checked_sub(1)?))?;
    (day < next).then(|| u32::try_from(day).ok()).flatten()
}

fn clock_seconds(clock: &str) -> Option<u64> {
    let mut parts = clock.split(':');
    let (hours, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let seconds = digits(parts.next()?, 2)?;
    // A leap second is 60.
    let fits = hours < 24 && minutes < 60 && seconds <= 60 && parts.next().is_none();
    let minutes = u64::from(hours)
        .checked_mul(60)?
        .checked_add(u64::from(minutes))?;
    let all = minutes.checked_mul(60)?.checked_add(u64::from(seconds))?;
    fits.then_some(all)
}

fn without_fraction(zone: &str) -> Option<&str> {
    let Some(fraction) = zone.strip_prefix('.') else {
        return Some(zone);
    };
    let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < fraction.len()).then_some(rest)
}

fn offset_ms(offset: &str) -> Option<u64> {
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let all = hours.checked_mul(60)?.checked_add(minutes)?;
    (hours < 24 && minutes < 60).then(|| u64::from(all).checked_mul(60_000))?
}

/// Reads a number of exactly `count` ASCII digits.
fn digits(text: &str, count: usize) -> Option<u32> {
    let fits = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (written, utc) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2026-01-31T18:00:00Z", "2026-01-31T18:00:00Z"),
            ("2024-02-29t23:59:60.125z", "2024-03-01T00:00:00Z"),
            ("2026-01-31 18:00:00+08:00", "2026-01-31T10:00:00Z"),
            ("2026-12-31T23:30:00-01:30", "2027-01-01T01:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(parse(written).map(text).as_deref(), Some(utc), "{written}");
        }
        for wrong in [
            "",
            "2026-01-31",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T18:00:00",
            "2026-01-31T18:00:00.Z",
            "2026-01-31T18:00:00+8:00",
            "2026-01-31T18:00:00Zx",
            "1969-12-31T23:59:59Z",
            "2026-1-031T18:00:00Z",
            "２０２6-01-31T18:00:00Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_agree_with_jiff() {
        for day in (0..60_000_u32).step_by(7) {
            let jiff = jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().days(i64::from(day)))
                .unwrap();
            assert_eq!(date(day), jiff.to_string());
            assert_eq!(parse_date(&date(day)), Some(day));
        }
        for wrong in ["", "2026-02-30", "2026-1-1", "2026-01-31x", "1969-12-31"] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }
}
