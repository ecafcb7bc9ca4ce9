//! Each zone against jiff, around all changes of clocks in the years 2024 to 2036.

use crate::table::{FROM, Known, known, moment};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tiergate::time::Wall;
use tiergate::zone::{Calendar, CalendarPeriod, Zone, ZoneError};

const FIRST: &str = "2024-01-01T00:00:00Z";
const END: &str = "2037-01-01T00:00:00Z";

fn wall(at: Timestamp) -> Wall {
    Wall::from_millis(at.as_millisecond().try_into().unwrap())
}

/// The period by jiff. jiff puts a midnight that clocks skip after the gap, and one that they show
/// twice before the fold.
fn period(zone: &TimeZone, calendar: Calendar, at: Timestamp) -> CalendarPeriod {
    let date = zone.to_datetime(at).date();
    let (first, next) = match calendar {
        Calendar::Day => (date, date + 1.day()),
        Calendar::Week => {
            let next = date.nth_weekday(1, Weekday::Monday).unwrap();
            (next - 1.week(), next)
        }
        Calendar::Month => (date.first_of_month(), date.last_of_month() + 1.day()),
    };
    let start = |date: Date| {
        let midnight = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
        wall(midnight.compatible().unwrap())
    };
    let epoch = jiff::civil::date(1970, 1, 1);
    CalendarPeriod {
        number: (first - epoch).get_days().try_into().unwrap(),
        starts_at: start(first),
        ends_at: start(next),
    }
}

/// Moments around each change of clocks: hours, and the milliseconds before them.
fn moments(zone: &TimeZone, from: Timestamp) -> impl Iterator<Item = Timestamp> {
    let changes = zone.following(from).map(|change| change.timestamp());
    let changes = changes.take_while(|at| *at < moment(END));
    changes.flat_map(|at| {
        (-3..=3).flat_map(move |hours| {
            let hour = at + hours.hours();
            [hour - 1.millisecond(), hour]
        })
    })
}

fn agree(known: &Known, zone: Zone, from: Timestamp) {
    let yearly = (0..13).map(|year| moment(FIRST) + (year * 8766).hours());
    let moments = moments(&known.zone, from).chain(yearly);
    for at in moments.filter(|at| *at >= from) {
        let offset = i64::from(known.zone.to_offset(at).seconds());
        assert_eq!(zone.offset_at(wall(at)), offset, "{} at {at}", known.name);
        for calendar in [Calendar::Day, Calendar::Week, Calendar::Month] {
            let jiffs = period(&known.zone, calendar, at);
            if jiffs.starts_at >= wall(from) {
                let ours = zone.period(calendar, wall(at));
                assert_eq!(ours, jiffs, "{} at {at}, {calendar:?}", known.name);
            }
        }
    }
}

#[test]
fn every_zone_has_the_offsets_and_periods_of_tzdata() {
    let (mut refused, mut checked) = (Vec::new(), Vec::new());
    for known in known() {
        match Zone::parse(known.name) {
            Ok(zone) => {
                // Changes of law before the table's day are no part of a rule.
                let exception = known.last_exception(moment(FIRST), moment(FROM));
                let case = (zone, known.rule, exception.unwrap_or(moment(FIRST)));
                if !checked.contains(&case) {
                    agree(&known, zone, case.2);
                    checked.push(case);
                }
            }
            Err(ZoneError::Irregular { name }) => refused.push(name),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(checked.len() > 90, "{} rules", checked.len());
    assert_eq!(
        refused,
        ["America/Havana", "Asia/Gaza", "Asia/Hebron", "Cuba"]
    );
}
