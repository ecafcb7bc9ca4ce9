use super::*;
use proptest::prelude::*;
use proptest::sample::select;

const HOUR: u64 = 3_600_000;
const YEAR_10000: u64 = 253_402_300_800_000;
const CALENDARS: [Calendar; 3] = [Calendar::Day, Calendar::Week, Calendar::Month];

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

/// The day around noon of a date by UTC.
fn day(zone: Zone, year: i64, month: u8, day: i64) -> CalendarPeriod {
    let days = civil::first_of_month(year, month) + day - 1;
    let noon = u64::try_from(days * 24 + 12).unwrap() * HOUR;
    zone.period(Calendar::Day, Wall::from_millis(noon))
}

fn hours(period: CalendarPeriod) -> f64 {
    let ms = period.ends_at.as_millis() - period.starts_at.as_millis();
    ms as f64 / HOUR as f64
}

/// Hours from midnight by UTC to the start of the period.
fn start_in_utc(period: CalendarPeriod) -> f64 {
    let start = period.starts_at.as_millis() as f64 / HOUR as f64;
    start - f64::from(period.number) * 24.0
}

#[test]
fn days_are_shorter_or_longer_where_clocks_change() {
    let los_angeles = zone("America/Los_Angeles");
    assert_eq!(hours(day(los_angeles, 2027, 3, 14)), 23.0);
    assert_eq!(hours(day(los_angeles, 2027, 7, 4)), 24.0);
    assert_eq!(hours(day(los_angeles, 2027, 11, 7)), 25.0);
    let lord_howe = zone("Australia/Lord_Howe");
    assert_eq!(hours(day(lord_howe, 2027, 10, 3)), 23.5);
    assert_eq!(hours(day(lord_howe, 2027, 4, 4)), 24.5);
    assert_eq!(hours(day(zone("Antarctica/Troll"), 2027, 3, 28)), 22.0);
    let dublin = zone("Europe/Dublin");
    assert_eq!(hours(day(dublin, 2027, 3, 28)), 23.0);
    assert_eq!(hours(day(dublin, 2027, 10, 31)), 25.0);
}

#[test]
fn a_day_without_midnight_starts_at_its_first_moment() {
    // Clocks in Cairo go from 23:59:59 to 01:00, on the last Friday of April.
    let friday = day(zone("Africa/Cairo"), 2027, 4, 30);
    assert_eq!((start_in_utc(friday), hours(friday)), (-2.0, 23.0));
    // Midnight comes twice in the Azores, on the last Sunday of October.
    let sunday = day(zone("Atlantic/Azores"), 2027, 10, 31);
    assert_eq!((start_in_utc(sunday), hours(sunday)), (0.0, 25.0));
    // Clocks in Nuuk change at -1:00 of a Sunday, which is on Saturday.
    let nuuk = zone("America/Nuuk");
    assert_eq!(hours(day(nuuk, 2027, 3, 27)), 23.0);
    assert_eq!(hours(day(nuuk, 2027, 10, 30)), 25.0);
    // Those in Santiago at 24:00 of a Saturday, in September to summer time.
    let santiago = zone("America/Santiago");
    assert_eq!(hours(day(santiago, 2027, 4, 3)), 25.0);
    assert_eq!(hours(day(santiago, 2027, 9, 5)), 23.0);
}

#[test]
fn clocks_that_go_back_over_midnight_do_not_repeat_a_day() {
    let rule = Rule::parse("A0B,M3.1.0/2,M10.1.0/0:30").unwrap();
    let zone = Zone { rule, name: None };
    // 2027-10-03, a Sunday: 23:00 to 00:30 of daylight saving by UTC, then 23:30 once more.
    let midnight = u64::try_from(civil::first_of_month(2027, 10) + 2).unwrap() * 24 * HOUR;
    let at = |ms: i64| Wall::from_millis(midnight.saturating_add_signed(ms));
    let sunday = zone.period(Calendar::Day, at(12 * 3_600_000));
    assert_eq!(sunday.starts_at, at(-3_600_000));
    assert_eq!(zone.period(Calendar::Day, at(-3_600_000)), sunday);
    assert_eq!(
        zone.period(Calendar::Day, at(-1_200_000)),
        sunday,
        "Saturday's date again"
    );
    assert_eq!(
        zone.period(Calendar::Day, at(-3_600_001)).ends_at,
        sunday.starts_at
    );
}

#[test]
fn weeks_start_on_monday_and_months_on_the_first() {
    let shanghai = zone("Asia/Shanghai");
    // 2028-02-29T12:00:00Z, a Tuesday.
    let at = Wall::from_millis(1_835_438_400_000);
    let week = shanghai.period(Calendar::Week, at);
    let month = shanghai.period(Calendar::Month, at);
    assert_eq!(i64::from(week.number), civil::first_of_month(2028, 2) + 27);
    assert_eq!((start_in_utc(week), hours(week)), (-8.0, 7.0 * 24.0));
    assert_eq!(i64::from(month.number), civil::first_of_month(2028, 2));
    assert_eq!((start_in_utc(month), hours(month)), (-8.0, 29.0 * 24.0));
    let new_york = zone("America/New_York");
    let march = new_york.period(Calendar::Month, month.ends_at);
    assert_eq!(
        i64::from(march.number),
        civil::first_of_month(2028, 2),
        "not yet March there"
    );
}

#[test]
fn a_zone_is_an_offset_or_a_name() {
    assert_eq!(zone("+08:00"), zone("Asia/Shanghai"));
    assert_eq!(zone("-00:00"), Zone::UTC);
    assert_eq!(zone("UTC"), Zone::UTC);
    assert_eq!(zone("US/Pacific"), zone("America/Los_Angeles"), "a link");
    assert_ne!(zone("America/Phoenix"), zone("America/Denver"));
    assert_eq!(zone("-23:59").offset_at(Wall::default()), -86_340);
    let written = [
        "+8:00", "+24:00", "+08:60", "+0800", "+", "-", "+08:00 ", "+-8:00", "+é:00",
    ];
    for text in written {
        let text = text.to_owned();
        assert_eq!(Zone::parse(&text), Err(ZoneError::Offset { text }));
    }
}

#[test]
fn an_error_says_what_is_wrong_and_what_is_allowed() {
    let error = |text| Zone::parse(text).unwrap_err().to_string();
    let irregular = error("Asia/Gaza");
    assert!(irregular.contains("no yearly rule"), "{irregular}");
    let offset = error("+25:00");
    assert!(offset.contains("\"-23:59\" to \"+23:59\""), "{offset}");
    let unknown = error("Nowhere");
    assert!(unknown.contains("tzdata 20"), "{unknown}");
    assert!(unknown.contains("\"America/Los_Angeles\""), "{unknown}");
    assert!(!unknown.contains("did you mean"), "{unknown}");
    for (text, near) in [
        ("america/los_angeles", "America/Los_Angeles"),
        ("Los Angeles", "America/Los_Angeles"),
        ("Europe/Pariss", "Europe/Paris"),
        ("Asia/Kolkatta", "Asia/Kolkata"),
    ] {
        assert!(
            error(text).ends_with(&format!("; did you mean {near:?}?")),
            "{}",
            error(text)
        );
    }
    for text in [
        "",
        " ",
        "#",
        "-",
        "\n",
        "Asia",
        "<+00>0",
        &"é".repeat(9_999),
    ] {
        assert!(Zone::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_rule_is_read_as_a_whole_or_not_at_all() {
    for text in [
        "UTC0",
        "<-0330>3:30:15",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "EET-2EEST,M3.4.4/50,M10.4.4/50",
    ] {
        assert!(Rule::parse(text).is_some(), "{text}");
    }
    for text in [
        "",
        "-",
        "A",
        "8",
        "A168",
        "A0:60",
        "A0B",
        "A0B,M3.1.0",
        "A0B,M3.1.0,M4.1.0,M5.1.0",
        "A0,M3.1.0,M4.1.0",
        "A0B,M13.1.0,M4.1.0",
        "A0B,M0.1.0,M4.1.0",
        "A0B,M3.6.0,M4.1.0",
        "A0B,M3.0.0,M4.1.0",
        "A0B,M3.1.7,M4.1.0",
        "A0B,M3.1,M4.1.0",
        "A0B,M3.1.0.0,M4.1.0",
        "A0B,J60,J90",
        "A0B,59,89",
        "A0B,M3.1.0/,M4.1.0",
        "A0B1C,M3.1.0,M4.1.0",
        "<A0",
        "A0 ",
        "A+-1",
        "A0:0:0:0",
        "Aé0",
    ] {
        assert_eq!(Rule::parse(text), None, "{text}");
    }
}

/// Daylight saving that is the lower offset, as tzdata's main form has it for Dublin.
#[test]
fn negative_daylight_saving_is_that_of_winter() {
    let negative = Rule::parse("IST-1GMT0,M10.5.0,M3.5.0/1").unwrap();
    let positive = Rule::parse("GMT0IST,M3.5.0/1,M10.5.0").unwrap();
    let from = civil::first_of_month(2024, 1) * 24;
    for hour in from..from + 3 * 366 * 24 {
        let at = hour * 3_600;
        assert_eq!(negative.offset_at(at), positive.offset_at(at), "{at}");
    }
    for day in from / 24..from / 24 + 3 * 366 {
        assert_eq!(negative.start_of(day), positive.start_of(day), "{day}");
    }
}

fn zones() -> impl Strategy<Value = Zone> {
    let names = names::all()
        .into_iter()
        .filter_map(|name| Zone::parse(name).ok());
    let date = || (1..=12_u8, 1..=5_u8, 0..=6_u8, -26..=50_i32, 0..60_u8);
    let rule = (-14..=14_i32, -2..=2_i32, date(), date()).prop_map(|(offset, saving, a, b)| {
        let dates = [a, b].map(|(m, w, d, hours, min)| format!("M{m}.{w}.{d}/{hours}:{min:02}"));
        let rule = format!("A{offset}B{},{}", offset - saving, dates.join(","));
        Zone {
            rule: Rule::parse(&rule).unwrap(),
            name: None,
        }
    });
    prop_oneof![select(names.collect::<Vec<_>>()), rule]
}

proptest! {
    #[test]
    fn periods_follow_each_other_and_contain_their_moments(
        zone in zones(),
        calendar in select(&CALENDARS[..]),
        // From 1971 on: periods before the epoch are cut.
        ms in 31_536_000_000..YEAR_10000,
    ) {
        let wall = Wall::from_millis(ms);
        let period = zone.period(calendar, wall);
        prop_assert!(period.starts_at <= wall && wall < period.ends_at);
        let ends_at = period.ends_at.as_millis();
        let last = Wall::from_millis(ends_at - 1);
        prop_assert_eq!(zone.period(calendar, period.starts_at), period);
        prop_assert_eq!(zone.period(calendar, last), period);
        let next = zone.period(calendar, period.ends_at);
        prop_assert_eq!(next.starts_at, period.ends_at);
        let days = match calendar {
            Calendar::Day => 1..=1,
            Calendar::Week => 7..=7,
            Calendar::Month => 28..=31,
        };
        prop_assert!(days.contains(&(next.number - period.number)));
        let length = ends_at - period.starts_at.as_millis();
        let days = u64::from(next.number - period.number);
        prop_assert!(length.abs_diff(days * 24 * HOUR) <= 4 * HOUR, "{} ms", length);
    }

    #[test]
    fn any_moment_has_a_period(zone in zones(), ms in prop_oneof![0..YEAR_10000, any::<u64>()]) {
        for calendar in CALENDARS {
            let wall = Wall::from_millis(ms);
            let period = zone.period(calendar, wall);
            prop_assert!(period.starts_at <= wall && wall <= period.ends_at);
        }
    }

    #[test]
    fn any_text_is_a_zone_or_an_error(text in ".{0,60}", rule in "[A-C0-9<>+,./:M-]{0,30}") {
        let _ = Zone::parse(&text);
        let _ = Rule::parse(&text);
        let _ = Rule::parse(&rule);
    }
}

#[test]
fn a_zone_is_written_as_it_was_read() {
    for text in [
        "+00:00",
        "+08:00",
        "-09:30",
        "Europe/Berlin",
        "America/Los_Angeles",
    ] {
        let zone = Zone::parse(text).unwrap();
        assert_eq!(zone.to_string(), text);
        assert_eq!(Zone::parse(&zone.to_string()), Ok(zone));
    }
}
