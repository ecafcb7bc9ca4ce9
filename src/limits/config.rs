//! The windows' lengths in the config.

use super::day::DayRule;
use super::record::Windows;
use crate::json::values::Duration;
use crate::json::{Invalid, Object, in_range};
use crate::time::Span;
use crate::zone::Zone;
use serde::Deserialize;

const SHORTEST: Span = Span::from_millis(60);
const LONGEST_MINUTE: Span = Span::from_secs(3_600);

/// The windows as written in the config.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowsConfig {
    minute: Option<Duration>,
    day: Option<Object<DayConfig>>,
}

/// A day as written in the config: exactly one of both fields.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DayConfig {
    calendar: Option<Zone>,
    rolling: Option<Duration>,
}

/// Checks the windows. The defaults are a minute of 60 s and a calendar day in UTC.
///
/// # Errors
/// [`Invalid`] for a length out of range, or a day without exactly one kind.
pub fn windows(written: &WindowsConfig) -> Result<Windows, Invalid> {
    let minute = written.minute.map_or(Span::from_secs(60), |d| d.0);
    let minute = in_range("windows.minute", minute, SHORTEST..=LONGEST_MINUTE)?;
    let day = match &written.day {
        None => DayRule::Calendar { zone: Zone::UTC },
        Some(Object(day)) => match (day.calendar, day.rolling) {
            (Some(zone), None) => DayRule::Calendar { zone },
            (None, Some(Duration(length))) if length >= SHORTEST => DayRule::Rolling(length),
            _ => {
                return Err(Invalid::new(
                    "windows.day",
                    "exactly one of {\"calendar\": \"+00:00\"} and {\"rolling\": \"24h\"} \
                     (at least \"60ms\")",
                ));
            }
        },
    };
    Ok(Windows { minute, day })
}
