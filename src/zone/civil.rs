//! Dates of the Gregorian calendar, as days since 1970-01-01.

const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
/// The Gregorian calendar repeats after so many years and days.
const CYCLE_YEARS: i64 = 400;
const CYCLE_DAYS: i64 = 146_097;
/// Leap days of the years 1 to 1969.
const LEAP_DAYS_BEFORE_EPOCH: i64 = 477;

/// Returns the first day of a month; a month of 13 or more is in a later year.
pub fn first_of_month(year: i64, month: u8) -> i64 {
    let index = i64::from(month).saturating_sub(1);
    let year = year.saturating_add(index.div_euclid(12));
    let index = index.rem_euclid(12);
    let before = usize::try_from(index)
        .ok()
        .and_then(|index| DAYS_BEFORE_MONTH.get(index))
        .map_or(0, |days| *days);
    let leap_day = i64::from(index >= 2 && is_leap(year));
    first_of_year(year)
        .saturating_add(before)
        .saturating_add(leap_day)
}

/// Returns the year of a day.
pub fn year_of(day: i64) -> i64 {
    let guess = day
        .saturating_mul(CYCLE_YEARS)
        .div_euclid(CYCLE_DAYS)
        .saturating_add(1970);
    let next = guess.saturating_add(1);
    if day < first_of_year(guess) {
        guess.saturating_sub(1)
    } else if day >= first_of_year(next) {
        next
    } else {
        guess
    }
}

/// Returns the year and the month of a day.
pub fn month_of(day: i64) -> (i64, u8) {
    let year = year_of(day);
    let month = (2..=12)
        .take_while(|month| first_of_month(year, *month) <= day)
        .last();
    (year, month.unwrap_or(1))
}

/// Returns the day of the week: 0 for Sunday, 6 for Saturday.
pub const fn weekday_of(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    day.saturating_add(4).rem_euclid(7)
}

const fn first_of_year(year: i64) -> i64 {
    let last = year.saturating_sub(1);
    let leap_days = last
        .div_euclid(4)
        .saturating_sub(last.div_euclid(100))
        .saturating_add(last.div_euclid(400));
    year.saturating_sub(1970)
        .saturating_mul(365)
        .saturating_add(leap_days)
        .saturating_sub(LEAP_DAYS_BEFORE_EPOCH)
}

const fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The years 1600 to 2400, counted day by day.
    #[test]
    fn days_and_months_agree_with_a_count_of_days() {
        let mut day = -135_140;
        for year in 1600..=2400_i64 {
            let february = 28 + i64::from(is_leap(year));
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                assert_eq!(first_of_month(year, month), day, "{year}-{month}");
                assert_eq!(month_of(day), (year, month));
                assert_eq!(month_of(day + length - 1), (year, month));
                day += length;
            }
            assert_eq!(first_of_month(year, 13), day);
        }
    }

    #[test]
    fn weekdays_are_those_of_known_dates() {
        assert_eq!(weekday_of(0), 4, "Thursday, 1970-01-01");
        assert_eq!(weekday_of(-1), 3);
        assert_eq!(weekday_of(first_of_month(2000, 1)), 6, "Saturday");
        assert_eq!(weekday_of(first_of_month(2026, 3)), 0, "Sunday");
    }

    #[test]
    fn any_day_has_a_month() {
        for day in [i64::MIN, i64::MIN / 86_400, i64::MAX / 86_400, i64::MAX] {
            let (year, month) = month_of(day);
            assert!((1..=12).contains(&month), "{year}");
        }
    }
}
