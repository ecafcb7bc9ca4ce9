//! Limits that follow the load, where several configs, strange clocks, corrupt values or little
//! traffic meet.

use crate::harness::{
    Call, Config, FakeRequest, Next, OverloadEvent, Worker, World, answers, corrupt_state,
    in_force, pressure, put_load, retry_after_ms, ticks,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::limits::Scale;
use tiergate::time::Mono;

/// A worker whose upstream answered nothing but 503 for ten seconds.
fn pressed(world: &Arc<World>) -> Worker {
    let worker = Worker::new(world, Config::tier("t").rpm(1_000).adaptive());
    ticks(&worker, 20, "503", 100);
    worker
}

/// Limits are as bought after ten calm minutes.
fn comes_back(worker: &Worker) {
    ticks(worker, 2 * 600, "200", 100);
    assert_eq!(
        in_force(worker, "t", "rpm"),
        1_000,
        "after ten calm minutes"
    );
}

/// Regression: under pressure, a setting outlived its ttl, even for TPD, which only an operator
/// lowers.
#[test]
fn by_hand_ends_to_the_millisecond_also_while_the_loop_presses() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1_000).tpd(100_000).adaptive());
    ticks(&worker, 10, "503", 100);
    put_load(&worker, r#"{"scale": 0.1, "ttl": "5s"}"#);
    ticks(&worker, 9, "503", 100);
    world.pass_ms(100);
    worker.tick();
    world.pass_ms(400);
    let rpm = in_force(&worker, "t", "rpm");
    assert!(rpm >= 200, "the loop, whose floor is 200, alone: {rpm}");
    assert_eq!(in_force(&worker, "t", "tpd"), 100_000);
}

/// Regression: under pressure, TPD that only an operator lowered named hours until midnight.
#[test]
fn the_wait_of_a_day_ends_with_what_was_set_by_hand_also_while_the_loop_presses() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1_000).tpd(100_000).adaptive());
    worker.admit(&FakeRequest::acme(50_000));
    ticks(&worker, 10, "503", 100);
    put_load(&worker, r#"{"scale": 0.5, "ttl": "10s"}"#);
    let reply = worker.refuse(&FakeRequest::acme(0));
    assert_eq!(reply.code, "tpd");
    assert!(
        retry_after_ms(&reply) <= 10_000,
        "{}",
        retry_after_ms(&reply)
    );
}

/// Regression: the reply named a minute, although the setting lasted ten.
#[test]
fn a_wait_for_more_than_a_lowered_limit_has_in_all_is_honest() {
    let world = World::new();
    let mut wrong = Vec::new();
    let config = || Config::tier("t");
    for (name, config) in [
        ("tpm", config().tpm(100_000)),
        ("tpd", config().tpd(100_000)),
    ] {
        let worker = Worker::new(&world, config.open_admin());
        put_load(&worker, r#"{"scale": 0.1, "ttl": "10m"}"#);
        let large = FakeRequest::acme(50_000);
        let wait = retry_after_ms(&worker.refuse(&large));
        world.pass_ms(wait);
        worker.tick();
        if !matches!(worker.check(&large).next, Next::Forward(_)) {
            wrong.push((name, wait));
        }
    }
    assert_eq!(wrong, [], "waited so many ms exactly, and was refused");
}

/// Regression: such a request was queued (docs/concurrency.md: "over no other limit for longer").
#[test]
fn a_request_over_a_lowered_limit_for_longer_is_not_queued_for_a_lease() {
    let world = World::new();
    let config = Config::tier("t").concurrency(1).rpm(2).wait("30s");
    let worker = Worker::new(&world, config.open_admin());
    put_load(&worker, r#"{"scale": 0.5, "ttl": "1h"}"#);
    let _admission = worker.admit(&FakeRequest::acme(0));
    let action = worker.check(&FakeRequest::acme(0)).next;
    assert!(
        matches!(action, Next::Reply(_)),
        "RPM refuses for a minute: {action:?}"
    );
}

fn tiers(names: [&str; 2]) -> Config {
    let config = Config::tier(names[0]).rpm(1_000);
    config.and_tier(names[1]).rpm(1_000).adaptive()
}

/// Regression: only the config that took the last step lowered its tiers, so limits flapped and
/// filled the log.
#[test]
fn one_pressure_lowers_the_tiers_of_all_configs_of_a_namespace() {
    let world = World::new();
    let (one, two) = (
        Worker::new(&world, tiers(["free", "paid"])),
        Worker::new(&world, tiers(["bronze", "gold"])),
    );
    let mut whole = [0, 0];
    let mut news = 0;
    for i in 0..120_u64 {
        // Now the one, now the other is the first to find a step due.
        for worker in if i / 4 % 2 == 0 {
            [&two, &one]
        } else {
            [&one, &two]
        } {
            answers(worker, "503", 100);
            worker.tick();
        }
        world.pass_ms(500);
        let told = [&one, &two].map(|w| w.news().len());
        if i > 60 {
            whole[0] += u32::from(in_force(&one, "free", "rpm") == 1_000);
            whole[1] += u32::from(in_force(&two, "bronze", "rpm") == 1_000);
            news += told[0] + told[1];
        }
    }
    assert_eq!((whole, news), ([0, 0], 0), "all answers are 503 throughout");
}

/// Regression: one config of a namespace threw away the answers that the other had counted.
#[test]
fn a_load_by_header_does_not_eat_the_answers_of_a_load_by_overload() {
    let world = World::new();
    let with = |from: Value| {
        let config = Config::tier("t").rpm(1_000).open_admin();
        config.with(json!({"load": {"from": from}}))
    };
    let calm = Worker::new(&world, with(json!({"header": "x-l"})));
    let pressed = Worker::new(&world, with(json!("overload")));
    for _ in 0..120 {
        calm.observe("200", Some("0.1"));
        calm.tick();
        answers(&pressed, "503", 100);
        pressed.tick();
        world.pass_ms(500);
    }
    assert!(
        in_force(&pressed, "t", "rpm") < 1_000,
        "a minute of 503 alone"
    );
}

/// Regression: the old root ticks on while its streams live, and took every other step.
#[test]
fn after_a_reload_the_old_rule_takes_no_more_steps() {
    let world = World::new();
    let old = pressed(&world);
    assert!(in_force(&old, "t", "rpm") < 300);
    let new = Worker::new(
        &world,
        Config::tier("t")
            .rpm(1_000)
            .adaptive()
            .with(json!({"load": {"floor": 0.8}})),
    );
    let mut under = 0;
    for i in 0..120 {
        answers(&new, "503", 100);
        for worker in if i / 4 % 2 == 0 {
            [&old, &new]
        } else {
            [&new, &old]
        } {
            worker.tick();
        }
        world.pass_ms(500);
        under += u32::from(i > 10 && in_force(&new, "t", "rpm") < 800);
    }
    assert_eq!(under, 0, "times under the floor of the config in force");
}

/// The same where the new config has no `load` at all: "the pressure ends after 10 s".
#[test]
fn a_config_that_lost_its_load_is_free_of_it_though_the_old_root_ticks_on() {
    let world = World::new();
    let hold = json!({"load": {"hold": "10m"}});
    let old = Worker::new(&world, Config::tier("t").rpm(1_000).adaptive().with(hold));
    ticks(&old, 20, "503", 100);
    let new = Worker::new(&world, Config::tier("t").rpm(1_000).open_admin());
    for _ in 0..2 * 60 {
        old.tick();
        new.tick();
        world.pass_ms(500);
    }
    assert_eq!(
        in_force(&new, "t", "rpm"),
        1_000,
        "a minute after load was taken out"
    );
}

/// A moment that a clock which runs since `now` does not reach in the test.
fn far_after(now: Mono) -> Mono {
    Mono::from_millis(now.as_millis() * 1_000)
}

/// Times far ahead in the stored load must not make it stand for good.
#[test]
fn a_stored_step_far_ahead_does_not_press_for_ever() {
    let world = World::new();
    let worker = pressed(&world);
    corrupt_state(&worker, |state, now| {
        state.adaptive.ownership.last_step = far_after(now)
    });
    comes_back(&worker);
}

#[test]
fn a_stored_rise_far_ahead_does_not_hold_for_ever() {
    let world = World::new();
    let worker = pressed(&world);
    ticks(&worker, 5, "200", 100);
    corrupt_state(&worker, |state, now| {
        state.adaptive.controller.hold_since = far_after(now)
    });
    comes_back(&worker);
}

#[test]
fn a_stored_setting_does_not_outlive_a_day() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1_000).open_admin());
    put_load(&worker, r#"{"scale": 0.5}"#);
    corrupt_state(&worker, |state, now| {
        let setting = state.manual.as_mut().unwrap();
        setting.ends = far_after(now);
    });
    worker.tick();
    world.pass_ms(25 * 3_600_000);
    worker.tick();
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "no ttl is over 24h");
}

/// What no config can name is not kept in every worker's memory, nor shown to operators.
#[test]
fn stored_names_that_no_config_can_have_are_corrupt() {
    let half = Scale::from_millionths(500_000);
    let many: Vec<_> = (0..65).map(|i| (format!("t{i}"), half)).collect();
    let long = vec![("t".repeat(65), half)];
    let control = vec![("t\n".to_owned(), half)];
    for tiers in [many, long, control] {
        for is_manual in [true, false] {
            let world = World::new();
            let worker = Worker::new(&world, Config::tier("t").rpm(1_000).open_admin());
            put_load(&worker, r#"{"scale": 0.5}"#);
            corrupt_state(&worker, |state, _| match is_manual {
                true => state.manual.as_mut().unwrap().tiers.clone_from(&tiers),
                false => state.adaptive.tiers.clone_from(&tiers),
            });
            let ticked = worker.tick();
            assert_eq!(in_force(&worker, "t", "rpm"), 1_000);
            assert_eq!(ticked.get("damaged_values", ""), 1);
        }
    }
}

/// The same by a clock that steps back, which the windows bear.
#[test]
fn a_clock_that_steps_back_does_not_press_for_an_hour() {
    let world = World::new();
    let worker = pressed(&world);
    world.set_mono_back_ms(3_600_000);
    comes_back(&worker);
}

/// Regression: a loop that started again counted answers from before it stopped as new.
#[test]
fn answers_of_an_hour_ago_cut_nothing_now() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1_000).adaptive());
    ticks(&worker, 1, "200", 1);
    answers(&worker, "503", 50);
    worker.tick();
    drop(worker);
    world.pass_ms(3_600_000);
    let worker = Worker::new(&world, Config::tier("t").rpm(1_000).adaptive());
    ticks(&worker, 5, "200", 20);
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "nobody is overloaded");
}

/// Regression: a worker that could not read the state kept the last pressure for ever.
#[test]
fn a_pressure_that_nobody_renews_ends_also_where_the_load_can_not_be_read() {
    let world = World::new();
    let worker = pressed(&world);
    // A newer module wrote it; this one is still there, or is there again.
    world.overwrite("tiergate/overload-state", &[3, b'O', 0]);
    ticks(&worker, 2 * 600, "200", 100);
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "ten minutes later");
}

#[test]
fn a_pressure_that_nobody_renews_ends_without_a_tick() {
    let world = World::new();
    let worker = pressed(&world);
    world.pass_ms(60_000);
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "a minute later");
}

/// Regression: halving rounded down, so five answers a step never added up to ten.
#[test]
fn ten_answers_a_second_all_503_are_an_overload() {
    let world = World::new();
    let config = Config::tier("t").rpm(1_000).open_admin();
    let load = json!({"load": {"from": "overload", "interval": "500ms"}});
    let worker = Worker::new(&world, config.with(load));
    ticks(&worker, 240, "503", 5);
    assert!(
        pressure(&worker) > 0.3,
        "1200 failures in two minutes, and no success: {}",
        pressure(&worker)
    );
}

/// Regression: once limits were down, the rest of such traffic counted as calm.
#[test]
fn a_trickle_of_503_alone_is_no_calm() {
    let world = World::new();
    let worker = pressed(&world);
    ticks(&worker, 120, "503", 2);
    assert!(
        pressure(&worker) > 0.3,
        "not one answer was good: {}",
        pressure(&worker)
    );
}

fn by_header() -> Config {
    Config::tier("t").rpm(1_000).open_admin().with(json!({
        "load": {"from": {"header": "x-l"}, "floor": 0.2}
    }))
}

fn reports(worker: &Worker, load: &str) {
    worker.observe("200", Some(load));
}

/// Regression: a rare report weighed as one step, so `smooth` of 5 s took minutes.
#[test]
fn reports_that_come_seldom_are_averaged_over_smooth_not_over_minutes() {
    let world = World::new();
    let worker = Worker::new(&world, by_header());
    for _ in 0..4 {
        reports(&worker, "1.2");
        ticks(&worker, 40, "200", 0);
    }
    let (_, view) = worker.call(&Call::Overload, "");
    let load = view["auto"]["load"].as_f64().unwrap();
    assert!(
        load > 1.0,
        "80 s of nothing but 1.2, smoothed over 5 s: {load}"
    );
}

/// Regression: `hold` counted from the last rise, so it was over before the load fell.
#[test]
fn hold_holds_after_a_load_that_stayed() {
    let world = World::new();
    let worker = Worker::new(&world, by_header().with(json!({"load": {"hold": "60s"}})));
    for _ in 0..600 {
        reports(&worker, "1.3");
        ticks(&worker, 1, "200", 0);
    }
    for _ in 0..50 {
        reports(&worker, "0.3");
        ticks(&worker, 1, "200", 0);
    }
    assert!(
        pressure(&worker) >= 1.0,
        "25 s into the hold of 60 s: {}",
        pressure(&worker)
    );
}

/// Regression: the log missed the end of a setting that was replaced before a tick saw it.
#[test]
fn the_end_of_what_was_set_is_told_also_when_a_new_one_comes_first() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(10).open_admin());
    put_load(&worker, r#"{"scale": 0.5, "ttl": "1s"}"#);
    worker.news();
    world.pass_ms(1_000);
    put_load(&worker, r#"{"scale": 0.9, "ttl": "1s"}"#);
    worker.tick();
    let news = worker.news();
    let ended = news.iter().any(|n| matches!(n, OverloadEvent::Ended(_)));
    assert!(ended, "{news:?}");
}
