//! The name of a meter, which is its meaning: what is counted, over what time, for which family.
//!
//! Configs of a rollout so name the same meter alike, and one with another window names another.

use crate::limits::record::period::CALENDARS;
use crate::limits::units::Unit;
use crate::time::Span;
use crate::zone::{Calendar, Zone, ZoneError};
use thiserror::Error;

/// The longest name of a meter, in bytes.
pub const LONGEST_METER: usize = 128;
/// The longest sliding window: 31 days.
const LONGEST_WINDOW_MS: u64 = 31 * 86_400_000;

/// Returns what a meter counts, as names have it.
pub(super) const fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::Tokens => "tokens",
        Unit::InputTokens => "input_tokens",
        Unit::OutputTokens => "output_tokens",
        Unit::Usd => "usd",
    }
}

/// Returns the calendar of a period, as names have it.
pub(super) const fn calendar_name(calendar: Calendar) -> &'static str {
    match calendar {
        Calendar::Day => "day",
        Calendar::Week => "week",
        Calendar::Month => "month",
    }
}

/// The time over which a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterTime {
    /// Requests in flight.
    Leases,
    /// A sliding window of 1 ms to 31 days.
    Window(Span),
    /// A calendar period by the dates of a zone. A message names a period by its end, in
    /// milliseconds of the wall clock, as stored records do.
    Period(Calendar, Zone),
}

/// The reason why a text names no meter.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MeterNameError {
    /// The text has another form.
    #[error(
        "{0:?} is no meter: the form is \"requests/60000/-\", \"tokens/day@+08:00/k2\" or \
         \"leases/-/-\""
    )]
    Form(String),
    /// The zone of a period is none.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl MeterTime {
    /// Reads the time of a meter from its name: `requests/60000/-` counts requests in the last
    /// 60,000 ms for all models, `tokens/day@+08:00/k2` tokens of a day for the family `k2`, and
    /// `leases/-/-` requests in flight. A unit is one of requests, tokens, input_tokens,
    /// output_tokens and usd; the period is day, week or month.
    ///
    /// # Errors
    /// [`MeterNameError`] for a text that names no meter.
    pub fn of(name: &str) -> Result<Self, MeterNameError> {
        let wrong = || MeterNameError::Form(name.to_owned());
        // A name of a zone has slashes itself.
        let (unit, rest) = name.split_once('/').ok_or_else(wrong)?;
        let (time, family) = rest.rsplit_once('/').ok_or_else(wrong)?;
        let is_text = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if name.len() > LONGEST_METER || !is_text(family) {
            return Err(wrong());
        }
        if (unit, time) == ("leases", "-") {
            return Ok(Self::Leases);
        }
        if !Unit::ALL.into_iter().any(|known| unit_name(known) == unit) {
            return Err(wrong());
        }
        if let Some((calendar, zone)) = time.split_once('@') {
            let mut known = CALENDARS.into_iter();
            let calendar = known.find(|known| calendar_name(*known) == calendar);
            let calendar = calendar.ok_or_else(wrong)?;
            return Ok(Self::Period(calendar, Zone::parse(zone)?));
        }
        let is_number = time.bytes().all(|b| b.is_ascii_digit()) && !time.starts_with('0');
        let length: Option<u64> = is_number.then(|| time.parse().ok()).flatten();
        let length = length.filter(|ms| (1..=LONGEST_WINDOW_MS).contains(ms));
        let length = length.ok_or_else(wrong)?;
        Ok(Self::Window(Span::from_millis(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_meaning() {
        let minute = MeterTime::Window(Span::from_secs(60));
        assert_eq!(MeterTime::of("requests/60000/-"), Ok(minute));
        assert_eq!(MeterTime::of("leases/-/k2"), Ok(MeterTime::Leases));
        let zone = Zone::parse("+08:00").unwrap();
        let day = MeterTime::Period(Calendar::Day, zone);
        assert_eq!(MeterTime::of("tokens/day@+08:00/k2"), Ok(day));
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        let month = MeterTime::Period(Calendar::Month, zone);
        assert_eq!(MeterTime::of("usd/month@America/Los_Angeles/-"), Ok(month));
    }

    #[test]
    fn another_text_is_none() {
        for wrong in [
            "",
            "requests",
            "requests/60000",
            "requests/60000/",
            "requests/0/-",
            "requests/060/-",
            "requests/+60/-",
            "requests/99999999999/-",
            "pages/60000/-",
            "leases/60000/-",
            "tokens/year@+00:00/-",
            "tokens/day@Mars/-",
            "tokens/day/-",
        ] {
            assert!(MeterTime::of(wrong).is_err(), "{wrong}");
        }
        assert!(MeterTime::of(&format!("requests/60000/{}", "x".repeat(200))).is_err());
    }
}
