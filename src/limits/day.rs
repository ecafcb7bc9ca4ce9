//! The meaning of a day: a calendar day in a time zone, or a sliding window.

use crate::time::{Span, Wall};
use crate::zone::{Calendar, Zone};

/// The meaning of a day, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// From midnight to midnight in a time zone.
    Calendar {
        /// The zone whose dates count.
        zone: Zone,
    },
    /// A sliding window of this length.
    Rolling(Span),
}

impl DayRule {
    /// Returns the end of the calendar period at `wall`. A rolling day has no end of its own.
    pub fn ends_at(self, calendar: Calendar, wall: Wall) -> Wall {
        match self {
            Self::Calendar { zone } => zone.period(calendar, wall).ends_at,
            Self::Rolling(_) => wall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_day_ends_at_local_midnight() {
        let hours = |n: u64| Wall::from_millis(n * 3_600_000);
        for (zone, wall, end) in [
            ("+08:00", 15, 16),
            ("+08:00", 16, 40),
            ("+00:00", 23, 24),
            ("-01:00", 24, 25),
        ] {
            let zone = Zone::parse(zone).unwrap();
            let rule = DayRule::Calendar { zone };
            assert_eq!(
                rule.ends_at(Calendar::Day, hours(wall)),
                hours(end),
                "{zone:?} {wall}"
            );
        }
    }

    #[test]
    fn a_day_of_25_hours_is_one_day() {
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        let rule = DayRule::Calendar { zone };
        // 2027-11-07T00:00:00-07:00; the clocks go back at 02:00.
        let midnight = 1_825_570_800_000;
        let end = Wall::from_millis(midnight + 25 * 3_600_000);
        assert_eq!(
            rule.ends_at(Calendar::Day, Wall::from_millis(midnight)),
            end
        );
        let last = Wall::from_millis(end.as_millis() - 1);
        assert_eq!(rule.ends_at(Calendar::Day, last), end);
    }
}
