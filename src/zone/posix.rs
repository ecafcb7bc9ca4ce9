//! Rules of POSIX time zones, such as `PST8PDT,M3.2.0,M11.1.0`: two offsets, and the two moments of
//! a year at which clocks change.
//!
//! The form is that of the `TZ` variable (POSIX.1, "Other Environment Variables") with RFC 9636's
//! extension: the time of a change may be negative or beyond a day. A change by the day of the year
//! (`J60`, `59`) does not occur in tzdata and is not read.

use super::civil::{first_of_month, weekday_of, year_of};

pub const DAY: i64 = 86_400;
const HOUR: i32 = 3_600;
/// The time of a change that names none.
const TWO_O_CLOCK: i32 = 7_200;

/// The offsets of a zone, in seconds east of UTC, and the changes between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    standard: i32,
    saving: Option<Saving>,
}

/// Daylight saving: its offset, its first moment and its end. The offset may be the lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Saving {
    offset: i32,
    start: YearlyDate,
    end: YearlyDate,
}

/// A weekday of a month, and a time on the clocks before the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct YearlyDate {
    /// 1 to 12.
    month: u8,
    /// 1 to 5; 5 is the last one of the month.
    week: u8,
    /// 0 (Sunday) to 6.
    weekday: u8,
    /// Seconds after midnight; negative, or more than a day.
    time: i32,
}

/// A change of clocks: its moment in seconds since the epoch, and the offset from then on.
type Switch = (i64, i64);

impl Rule {
    /// A rule of one offset, in seconds east of UTC.
    pub const fn fixed(offset: i32) -> Self {
        Self {
            standard: offset,
            saving: None,
        }
    }

    /// Reads a rule; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let (standard, rest) = leading_time(after_abbreviation(parts.next()?)?)?;
        let standard = standard.checked_neg()?;
        let dates = (parts.next(), parts.next(), parts.next());
        let saving = match (rest, dates) {
            ("", (None, ..)) => None,
            (rest, (Some(start), Some(end), None)) => Some(Saving {
                offset: saving_offset(rest, standard)?,
                start: YearlyDate::parse(start)?,
                end: YearlyDate::parse(end)?,
            }),
            _ => return None,
        };
        Some(Self { standard, saving })
    }

    /// Returns the offset at a moment, in seconds. Both count from the epoch.
    pub fn offset_at(&self, at: i64) -> i64 {
        let standard = i64::from(self.standard);
        let Some(saving) = self.saving else {
            return standard;
        };
        let mut last = (i64::MIN, standard);
        for switch in saving.switches_around(at.div_euclid(DAY), standard) {
            if switch.0 <= at && switch.0 > last.0 {
                last = switch;
            }
        }
        last.1
    }

    /// Returns the first moment at which clocks show the date, or a later one.
    pub fn start_of(&self, day: i64) -> i64 {
        let midnight = day.saturating_mul(DAY);
        let standard = i64::from(self.standard);
        let Some(saving) = self.saving else {
            return midnight.saturating_sub(standard);
        };
        let high = standard.max(i64::from(saving.offset));
        let low = standard.min(i64::from(saving.offset));
        let earliest = midnight.saturating_sub(high);
        if self.offset_at(earliest) == high {
            return earliest;
        }
        let mut first = midnight.saturating_sub(low);
        // Clocks that go forward meanwhile show midnight, or skip it.
        for (moment, offset) in saving.switches_around(day, standard) {
            if offset == high && earliest < moment && moment < first {
                first = moment;
            }
        }
        first
    }
}

impl Saving {
    /// The changes of the day's year and of both neighbours: a change's time may lie outside of
    /// its year.
    fn switches_around(&self, day: i64, standard: i64) -> [Switch; 6] {
        let year = year_of(day);
        let offset = i64::from(self.offset);
        let start = |year| (self.start.in_year(year).saturating_sub(standard), offset);
        let end = |year| (self.end.in_year(year).saturating_sub(offset), standard);
        let (before, after) = (year.saturating_sub(1), year.saturating_add(1));
        [
            start(before),
            end(before),
            start(year),
            end(year),
            start(after),
            end(after),
        ]
    }
}

impl YearlyDate {
    /// Reads `M3.2.0` or `M3.2.0/1:30`.
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.strip_prefix('M')?.split_once('/') {
            Some((date, time)) => (date, seconds(time)?),
            None => (text.strip_prefix('M')?, TWO_O_CLOCK),
        };
        let mut numbers = date.split('.').map(|n| number(n).map(u8::try_from));
        let mut next = |range: std::ops::RangeInclusive<u8>| {
            numbers
                .next()??
                .ok()
                .filter(|number| range.contains(number))
        };
        let parsed = Self {
            month: next(1..=12)?,
            week: next(1..=5)?,
            weekday: next(0..=6)?,
            time,
        };
        numbers.next().is_none().then_some(parsed)
    }

    /// Returns the local time in a year, in seconds since the epoch.
    fn in_year(self, year: i64) -> i64 {
        let first = first_of_month(year, self.month);
        let next_month = first_of_month(year, self.month.saturating_add(1));
        let to_weekday = i64::from(self.weekday)
            .saturating_sub(weekday_of(first))
            .rem_euclid(7);
        let weeks = i64::from(self.week).saturating_sub(1).saturating_mul(7);
        let day = first.saturating_add(to_weekday).saturating_add(weeks);
        let day = if day >= next_month {
            day.saturating_sub(7)
        } else {
            day
        };
        day.saturating_mul(DAY).saturating_add(i64::from(self.time))
    }
}

/// The offset of daylight saving: an hour more than standard time, where none is written.
fn saving_offset(text: &str, standard: i32) -> Option<i32> {
    match after_abbreviation(text)? {
        "" => standard.checked_add(HOUR),
        time => seconds(time)?.checked_neg(),
    }
}

/// Takes `PST` or `<+0330>` off the front.
fn after_abbreviation(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    (rest.len() < text.len()).then_some(rest)
}

/// Splits a time off the front.
fn leading_time(text: &str) -> Option<(i32, &str)> {
    let is_time = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ':');
    let end = text.find(|c| !is_time(c)).unwrap_or(text.len());
    let (time, rest) = text.split_at_checked(end)?;
    Some((seconds(time)?, rest))
}

/// Reads hours from -167 to 167, and optionally minutes and seconds.
fn seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split(':').map(number);
    let hours = parts.next()?.filter(|hours| *hours <= 167)?;
    let minutes = parts.next().unwrap_or(Some(0))?;
    let rest = parts.next().unwrap_or(Some(0))?;
    if minutes > 59 || rest > 59 || parts.next().is_some() {
        return None;
    }
    hours
        .checked_mul(HOUR)?
        .checked_add(minutes.checked_mul(60)?)?
        .checked_add(rest)?
        .checked_mul(sign)
}

/// Reads one to three digits.
fn number(text: &str) -> Option<i32> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
