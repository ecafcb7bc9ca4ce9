//! The meaning of a day: a calendar day with a UTC offset, or a sliding window.

use crate::time::{Span, Wall};

const DAY_MS: u64 = 86_400_000;

/// The meaning of a day, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// From midnight to midnight at a UTC offset.
    Calendar {
        /// Minutes east of UTC, -1439 to 1439.
        offset_minutes: i32,
    },
    /// A sliding window of this length.
    Rolling(Span),
}

impl DayRule {
    /// Returns the end of the calendar day at `wall`. A rolling day has no end of its own.
    pub fn ends_at(self, wall: Wall) -> Wall {
        let Self::Calendar { offset_minutes } = self else {
            return wall;
        };
        let offset = i64::from(offset_minutes).saturating_mul(60_000);
        let local = wall.as_millis().saturating_add_signed(offset);
        let end = local
            .div_euclid(DAY_MS)
            .saturating_add(1)
            .saturating_mul(DAY_MS);
        Wall::from_millis(end.saturating_add_signed(offset.saturating_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_day_ends_at_local_midnight() {
        let hours = |n: u64| Wall::from_millis(n * 3_600_000);
        for (offset_minutes, wall, end) in
            [(480, 15, 16), (480, 16, 40), (0, 23, 24), (-60, 24, 25)]
        {
            let rule = DayRule::Calendar { offset_minutes };
            assert_eq!(
                rule.ends_at(hours(wall)),
                hours(end),
                "{offset_minutes} {wall}"
            );
        }
    }
}
