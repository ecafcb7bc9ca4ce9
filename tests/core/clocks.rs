//! Clocks that step.

use crate::harness::{Config, FakeRequest, Next, Worker, World, retry_after_ms};
use proptest::prelude::*;
use serde_json::json;

const HOUR_MS: u64 = 3_600_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the wall clock does, a minute is a minute.
    #[test]
    fn a_wall_clock_that_steps_back_gives_no_quota_and_takes_none(
        rpm in 1..6_u64,
        trace in prop::collection::vec((0..40_000_u64, prop_oneof![3 => Just(0), 1 => 1..2 * HOUR_MS]), 1..60),
    ) {
        let world = World::new();
        let worker = Worker::new(&world, Config::tier("t").rpm(rpm));
        let mut admitted = Vec::new();
        for (gap_ms, step_back_ms) in trace {
            world.pass_ms(gap_ms);
            world.set_wall_back_ms(step_back_ms);
            let now = world.now_us();
            let recent = |window_us: u64| admitted.iter().filter(|t| **t + window_us >= now).count() as u64;
            match worker.check(&FakeRequest::acme(0)).next {
                Next::Forward(_) => {
                    prop_assert!(recent(60_000_000) < rpm, "a second quota");
                    admitted.push(now);
                }
                _ => prop_assert!(recent(61_000_000) >= rpm, "blocked by the step"),
            }
        }
    }
}

#[test]
fn a_wall_clock_that_steps_back_an_hour_changes_nothing_for_a_minute_window() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(3));
    let request = FakeRequest::acme(0);
    for _ in 0..3 {
        worker.admit(&request);
    }
    world.set_wall_back_ms(HOUR_MS);
    let reply = worker.refuse(&request);
    assert!(retry_after_ms(&reply) <= 60_001, "not blocked for the hour");
    world.pass_ms(retry_after_ms(&reply));
    for _ in 0..3 {
        worker.admit(&request);
    }
    worker.refuse(&request);
}

#[test]
fn even_a_monotonic_clock_that_steps_back_neither_blocks_nor_gives_a_second_quota() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(3));
    let request = FakeRequest::acme(0);
    for _ in 0..3 {
        worker.admit(&request);
    }
    world.set_mono_back_ms(HOUR_MS);
    let reply = worker.refuse(&request);
    assert!(retry_after_ms(&reply) <= 60_001);
    world.pass_ms(retry_after_ms(&reply));
    worker.admit(&request);
}

/// The wall clock at so many milliseconds before the next midnight UTC.
fn before_midnight(world: &World, ms: u64) {
    let day_us = 86_400_000_000;
    let left = day_us - world.wall_us() % day_us;
    world.pass_us(left - ms * 1000);
}

#[test]
fn a_day_of_tokens_ends_at_midnight_and_says_so() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").tpd(10_000));
    before_midnight(&world, 5_000);
    let request = FakeRequest::acme(8_000);
    worker.admit(&request);
    let reply = worker.refuse(&request);
    assert_eq!(reply.code, "tpd");
    assert_eq!(retry_after_ms(&reply), 5_000);
    world.pass_ms(4_999);
    worker.refuse(&request);
    world.pass_ms(1);
    worker.admit(&request);
}

#[test]
fn a_step_back_over_midnight_gives_no_second_day() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").tpd(10_000));
    before_midnight(&world, 0);
    let request = FakeRequest::acme(8_000);
    worker.admit(&request);
    world.set_wall_back_ms(HOUR_MS);
    worker.refuse(&request);
    world.pass_ms(HOUR_MS + 1_000);
    let reply = worker.refuse(&request);
    assert!(retry_after_ms(&reply) <= 24 * HOUR_MS);
    world.pass_ms(retry_after_ms(&reply));
    worker.admit(&request);
}

#[test]
fn a_rolling_day_slides() {
    let world = World::new();
    let rest = json!({"windows": {"day": {"rolling": "24h"}}});
    let worker = Worker::new(&world, Config::tier("t").tpd(10_000).with(rest));
    let request = FakeRequest::acme(4_000);
    worker.admit(&FakeRequest::acme(3_000));
    world.pass_ms(6 * HOUR_MS);
    worker.admit(&FakeRequest::acme(3_000));
    let reply = worker.refuse(&request);
    assert_eq!(
        (reply.code, retry_after_ms(&reply)),
        ("tpd", 18 * HOUR_MS + 1)
    );
    world.pass_ms(18 * HOUR_MS + 1);
    worker.admit(&request);
}

#[test]
fn a_calendar_day_follows_its_time_zone() {
    for calendar in ["+08:00", "Asia/Shanghai"] {
        let world = World::new();
        let rest = json!({"windows": {"day": {"calendar": calendar}}});
        let worker = Worker::new(&world, Config::tier("t").tpd(2_000).with(rest));
        before_midnight(&world, 8 * HOUR_MS + 1);
        let request = FakeRequest::acme(900);
        worker.admit(&request);
        assert_eq!(retry_after_ms(&worker.refuse(&request)), 1);
        world.pass_ms(1);
        worker.admit(&request);
    }
}

#[test]
fn a_step_back_of_an_hour_gives_no_second_day_whatever_neighbours_write() {
    let world = World::new();
    let config = Config::tier("t").tpd(10_000);
    let worker = Worker::new(&world, config.with(json!({"capacity": {"accounts": 8}})));
    world.pass_ms(33_400_000); // 23:30
    let acme = FakeRequest::acme(8_976);
    worker.admit(&acme);
    worker.refuse(&acme);
    world.set_wall_back_ms(HOUR_MS); // 22:30
    worker.refuse(&acme);
    world.pass_ms(1_860_000); // 23:01, the same day
    worker.admit(&FakeRequest::of("neighbour", "t", 0));
    worker.refuse(&acme);
}

#[test]
fn another_offset_of_the_day_makes_no_account_wait_longer_than_a_new_one() {
    // At 14:13, and at 03:26, when it is still yesterday in the west.
    for passed_ms in [0, 47_600_000] {
        let world = World::new();
        world.pass_ms(passed_ms);
        let of = |offset: &str| {
            let day = json!({"windows": {"day": {"calendar": offset}}});
            Worker::new(&world, Config::tier("t").tpd(10_000).with(day))
        };
        let (utc, west) = (of("+00:00"), of("-04:27"));
        let acme = FakeRequest::acme(8_976);
        utc.admit(&acme);
        utc.refuse(&acme);
        let wait = retry_after_ms(&west.refuse(&acme));
        let new = FakeRequest::of("new", "t", 8_976);
        west.admit(&new);
        assert_eq!(wait, retry_after_ms(&west.refuse(&new)));
        world.pass_ms(wait);
        west.admit(&acme);
    }
}
