//! The windows' lengths in the config.

use super::day::DayRule;
use super::record::Windows;
use crate::json::values::Duration;
use crate::json::{Invalid, Object, in_range};
use crate::time::Span;
use crate::zone::Zone;
use serde::Deserialize;

const SHORTEST: Span = Span::from_millis(60);
const LONGEST: Span = Span::from_secs(86_400);
/// A month is thirty rolling days, and a log counts 49 days of milliseconds.
const LONGEST_ROLLING: Span = Span::from_secs(39 * 3_600);

/// The windows as written in the config.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WindowsConfig {
    /// The length of a second, `60ms` to `24h`.
    second: Option<Duration>,
    /// The length of a minute, `60ms` to `24h`.
    minute: Option<Duration>,
    /// The length of an hour, `60ms` to `24h`.
    hour: Option<Duration>,
    /// The kind of a day.
    day: Option<Object<DayConfig>>,
}

/// A day as written in the config: exactly one of both fields.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct DayConfig {
    /// A calendar day in this time zone: an IANA name, or an offset such as `+08:00`.
    calendar: Option<Zone>,
    /// A sliding day of this length, `60ms` to `39h`.
    rolling: Option<Duration>,
}

/// Checks the windows. The defaults are the lengths that the names say, and a calendar day in UTC.
///
/// # Errors
/// [`Invalid`] for a length out of range, or a day without exactly one kind.
pub fn windows(written: &WindowsConfig) -> Result<Windows, Invalid> {
    let length = |path: &str, written: Option<Duration>, seconds: u64| {
        let length = written.map_or(Span::from_secs(seconds), |d| d.0);
        in_range(path, length, SHORTEST..=LONGEST)
    };
    let second = length("windows.second", written.second, 1)?;
    let minute = length("windows.minute", written.minute, 60)?;
    let hour = length("windows.hour", written.hour, 3_600)?;
    let day = match &written.day {
        None => DayRule::Calendar { zone: Zone::UTC },
        Some(Object(day)) => match (day.calendar, day.rolling) {
            (Some(zone), None) => DayRule::Calendar { zone },
            (None, Some(Duration(length))) if (SHORTEST..=LONGEST_ROLLING).contains(&length) => {
                DayRule::Rolling(length)
            }
            _ => {
                return Err(Invalid::new(
                    "windows.day",
                    "exactly one of {\"calendar\": \"+00:00\"} and {\"rolling\": \"24h\"} \
                     (from \"60ms\" to \"39h\")",
                ));
            }
        },
    };
    Ok(Windows {
        second,
        minute,
        hour,
        day,
    })
}
