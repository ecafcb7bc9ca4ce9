//! Calendar periods: days, weeks and months by the dates of a zone.

use super::civil::{first_of_month, month_of, weekday_of};
use super::posix::DAY;
use super::{Zone, seconds};
use crate::time::Wall;

/// The kinds of calendar periods. The numbers are fit for stored bytes: they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// From midnight to midnight: 23, 24 or 25 hours where clocks change.
    Day = 1,
    /// Seven days from Monday.
    Week = 2,
    /// A month of the Gregorian calendar.
    Month = 3,
}

/// One period of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarPeriod {
    /// Days from 1970-01-01 to the first local date; 0 for a period that began before it.
    pub number: u32,
    /// The first moment. Where midnight does not exist, the first moment of the date.
    pub starts_at: Wall,
    /// The first moment of the next period.
    pub ends_at: Wall,
}

impl Zone {
    /// Returns the period around a moment.
    ///
    /// Periods follow each other without gap or overlap. Where clocks go back over midnight, the
    /// new date has begun, and the end of the old one is not repeated.
    pub fn period(&self, calendar: Calendar, wall: Wall) -> CalendarPeriod {
        let at = seconds(wall);
        let day = self.day_of(at);
        let (first, next) = match calendar {
            Calendar::Day => (day, day.saturating_add(1)),
            Calendar::Week => {
                let since_monday = weekday_of(day).saturating_sub(1).rem_euclid(7);
                let monday = day.saturating_sub(since_monday);
                (monday, monday.saturating_add(7))
            }
            Calendar::Month => {
                let (year, month) = month_of(day);
                let next = first_of_month(year, month.saturating_add(1));
                (first_of_month(year, month), next)
            }
        };
        CalendarPeriod {
            number: u32::try_from(first.max(0)).unwrap_or(u32::MAX),
            starts_at: moment(self.rule.start_of(first)),
            ends_at: moment(self.rule.start_of(next)),
        }
    }

    /// The last date that has begun, in days since the epoch.
    fn day_of(&self, at: i64) -> i64 {
        let local = at.saturating_add(self.rule.offset_at(at));
        let shown = local.div_euclid(DAY);
        let next = shown.saturating_add(1);
        if self.rule.start_of(next) <= at {
            next
        } else {
            shown
        }
    }
}

fn moment(seconds: i64) -> Wall {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Wall::from_millis(seconds.saturating_mul(1000))
}
