//! Limits that follow the load, where several configs, strange clocks, damaged values or little
//! traffic meet.

use crate::fake_host::{FakeRequest, Worker, World, one_tier, retry_after_ms};
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::admin::call::Call;
use tiergate::limiter::Next;
use tiergate::overload::overload;
use tiergate::overload::{OverloadEvent, State};
use tiergate::time::Mono;

const ADMIN: &str = r#", "admin": {"path": "/a", "insecure": true}, "usage_path": "/u""#;
pub const LOOP: &str = r#", "admin": {"path": "/a", "insecure": true}, "usage_path": "/u",
    "load": {"from": "overload", "floor": 0.2}"#;

pub fn call(worker: &Worker, call: &Call, body: &str) -> Value {
    let mut limiter = worker.limiter.borrow_mut();
    let answer = limiter.administer(&worker.host, call, body.as_bytes());
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

fn put(worker: &Worker, body: &str) -> Value {
    call(worker, &Call::PutManual, body)
}

/// What is in force of the tier by this worker's own memory, as requests are judged.
pub fn told(worker: &Worker, tier: &str) -> Value {
    let request = FakeRequest::of("acme", tier, 0);
    let result = worker
        .limiter
        .borrow_mut()
        .report_usage(&worker.host, &request);
    match result.next {
        Next::Reply(reply) if reply.status == 200 => serde_json::from_slice(&reply.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn in_force(worker: &Worker, tier: &str, limit: &str) -> u64 {
    let limit = &told(worker, tier)["limits"][limit];
    let in_force = limit["in_force"].as_u64();
    in_force.or(limit["limit"].as_u64()).unwrap()
}

pub fn answers(worker: &Worker, status: &str, n: usize) {
    for _ in 0..n {
        let mut limiter = worker.limiter.borrow_mut();
        limiter.observe(Some(status.as_bytes()), None);
    }
}

pub fn ticks(worker: &Worker, half_seconds: usize, status: &str, n: usize) {
    for _ in 0..half_seconds {
        answers(worker, status, n);
        worker.tick();
        worker.host.world.pass_ms(500);
    }
}

/// Changes the stored load, as damaged or hostile code would.
pub fn meddle(worker: &Worker, f: impl Fn(&mut State, Mono)) {
    overload("tiergate")
        .change(&worker.host, |state, now| f(state, now))
        .unwrap();
}

fn pressure(worker: &Worker) -> f64 {
    call(worker, &Call::Overload, "")["auto"]["pressure"]
        .as_f64()
        .unwrap()
}

fn world() -> Arc<World> {
    World::new()
}

/// what an operator set does not end with its ttl while the loop presses too, not
/// even TPD, which the loop never lowers.
#[test]
fn by_hand_ends_to_the_millisecond_also_while_the_loop_presses() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 100_000, LOOP));
    ticks(&worker, 10, "503", 100);
    put(&worker, r#"{"scale": 0.1, "ttl": "5s"}"#);
    ticks(&worker, 9, "503", 100);
    world.pass_ms(100);
    worker.tick();
    world.pass_ms(400);
    let rpm = in_force(&worker, "t", "rpm");
    assert!(rpm >= 200, "the loop, whose floor is 200, alone: {rpm}");
    assert_eq!(in_force(&worker, "t", "tpd"), 100_000);
}

/// TPD is refused by the scale set by hand alone, yet the wait does not end with it
/// while the loop presses: hours until midnight in place of ten seconds.
#[test]
fn the_wait_of_a_day_ends_with_what_was_set_by_hand_also_while_the_loop_presses() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 100_000, LOOP));
    worker.admit(&FakeRequest::of("acme", "t", 50_000));
    ticks(&worker, 10, "503", 100);
    put(&worker, r#"{"scale": 0.5, "ttl": "10s"}"#);
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 0));
    assert_eq!(reply.code, "tpd");
    assert!(
        retry_after_ms(&reply) <= 10_000,
        "{}",
        retry_after_ms(&reply)
    );
}

/// a request over the lowered limit in all is told a minute, though it is known that
/// it is refused until what was set by hand ends.
#[test]
fn a_wait_for_more_than_a_lowered_limit_has_in_all_is_honest() {
    let world = world();
    let mut wrong = Vec::new();
    for (name, tpm, tpd) in [("tpm", 100_000, 0), ("tpd", 0, 100_000)] {
        let worker = Worker::new(&world, &one_tier(0, 0, tpm, tpd, ADMIN));
        put(&worker, r#"{"scale": 0.1, "ttl": "10m"}"#);
        let large = FakeRequest::of("acme", "t", 50_000);
        let wait = retry_after_ms(&worker.refuse(&large));
        world.pass_ms(wait);
        worker.tick();
        if !matches!(worker.check(&large).next, Next::Forward(_)) {
            wrong.push((name, wait));
        }
    }
    assert_eq!(wrong, [], "waited so many ms exactly, and was refused");
}

/// a request over its concurrency, and over a lowered limit for much longer, is held
/// for a lease all the same (docs/concurrency.md: "and over no other limit for longer").
#[test]
fn who_is_over_a_lowered_limit_for_longer_is_not_held_for_a_lease() {
    let world = world();
    let config = one_tier(1, 2, 0, 0, ADMIN);
    let config = config.replace(r#""recharge": 1,"#, r#""recharge": 1, "wait": "30s","#);
    let worker = Worker::new(&world, &config);
    put(&worker, r#"{"scale": 0.5, "ttl": "1h"}"#);
    let _held = worker.admit(&FakeRequest::of("acme", "t", 0));
    let action = worker.check(&FakeRequest::of("acme", "t", 0)).next;
    assert!(
        matches!(action, Next::Reply(_)),
        "RPM refuses for a minute: {action:?}"
    );
}

fn tiers(names: [&str; 2]) -> String {
    let tier = |i: usize| {
        json!({"name": names[i], "recharge": i + 1, "limits":
            {"concurrency": "unlimited", "rpm": 1_000, "tpm": "unlimited", "tpd": "unlimited"}})
    };
    json!({"capacity": {"accounts": 64}, "tiers": [tier(0), tier(1)], "usage_path": "/u",
        "admin": {"path": "/a", "insecure": true},
        "load": {"from": "overload", "floor": 0.2}})
    .to_string()
}

/// two configs of one namespace, both with `load`, with tiers of other names: only
/// the tiers of whoever took the last step are lowered, so limits flap with it, and each flap is
/// logged.
#[test]
fn one_pressure_lowers_the_tiers_of_all_configs_of_a_namespace() {
    let world = world();
    let (one, two) = (
        Worker::new(&world, &tiers(["free", "paid"])),
        Worker::new(&world, &tiers(["bronze", "gold"])),
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
        let told = [&one, &two].map(|w| w.limiter.borrow_mut().drain_events().len());
        if i > 60 {
            whole[0] += u32::from(in_force(&one, "free", "rpm") == 1_000);
            whole[1] += u32::from(in_force(&two, "bronze", "rpm") == 1_000);
            news += told[0] + told[1];
        }
    }
    assert_eq!((whole, news), ([0, 0], 0), "all answers are 503 throughout");
}

/// of two configs of one namespace with a different `load`, one throws away what
/// the other has seen: the upstream of this one answers nothing but 503, and limits stay.
#[test]
fn a_load_by_header_does_not_eat_the_answers_of_a_load_by_overload() {
    let world = world();
    let with = |from: &str| {
        let load = format!(r#""load": {{"from": {from}}}, "usage_path""#);
        one_tier(0, 1_000, 0, 0, ADMIN).replace(r#""usage_path""#, &load)
    };
    let calm = Worker::new(&world, &with(r#"{"header": "x-l"}"#));
    let pressed = Worker::new(&world, &with(r#""overload""#));
    for _ in 0..120 {
        calm.limiter
            .borrow_mut()
            .observe(Some(b"200"), Some(b"0.1"));
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

/// after a config reload the root of the old config ticks on, as long as its streams
/// live (tests/envoy/reloads.rs), and takes every other step by the old rule.
#[test]
fn after_a_reload_the_old_rule_takes_no_more_steps() {
    let world = world();
    let old = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&old, 20, "503", 100);
    assert!(in_force(&old, "t", "rpm") < 300);
    let new = Worker::new(
        &world,
        &one_tier(0, 1_000, 0, 0, &LOOP.replace("0.2", "0.8")),
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
    let world = world();
    let hold = LOOP.replace(r#""floor""#, r#""hold": "10m", "floor""#);
    let old = Worker::new(&world, &one_tier(0, 1_000, 0, 0, &hold));
    ticks(&old, 20, "503", 100);
    let new = Worker::new(&world, &one_tier(0, 1_000, 0, 0, ADMIN));
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

/// Times far ahead in the stored load must not make it stand for good.
#[test]
fn a_stored_step_far_ahead_does_not_press_for_ever() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 20, "503", 100);
    meddle(&worker, |state, now| {
        state.controller.stepped = Mono::from_millis(now.as_millis() * 1_000)
    });
    ticks(&worker, 2 * 600, "200", 100);
    assert_eq!(
        in_force(&worker, "t", "rpm"),
        1_000,
        "after ten calm minutes"
    );
}

#[test]
fn a_stored_rise_far_ahead_does_not_hold_for_ever() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 20, "503", 100);
    ticks(&worker, 5, "200", 100);
    meddle(&worker, |state, now| {
        state.controller.kept = Mono::from_millis(now.as_millis() * 1_000)
    });
    ticks(&worker, 2 * 600, "200", 100);
    assert_eq!(
        in_force(&worker, "t", "rpm"),
        1_000,
        "after ten calm minutes"
    );
}

#[test]
fn a_stored_setting_does_not_outlive_a_day() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, ADMIN));
    put(&worker, r#"{"scale": 0.5}"#);
    meddle(&worker, |state, now| {
        let setting = state.manual.as_mut().unwrap();
        setting.ends = Mono::from_millis(now.as_millis() * 1_000);
    });
    worker.tick();
    world.pass_ms(25 * 3_600_000);
    worker.tick();
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "no ttl is over 24h");
}

/// The same by a clock that steps back, which the windows bear.
#[test]
fn a_clock_that_steps_back_does_not_press_for_an_hour() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 20, "503", 100);
    world.set_mono_back_ms(3_600_000);
    ticks(&worker, 2 * 600, "200", 100);
    assert_eq!(
        in_force(&worker, "t", "rpm"),
        1_000,
        "after ten calm minutes"
    );
}

/// answers that were told but not used when the loop stopped are taken for new ones
/// when it runs again, hours later.
#[test]
fn answers_of_an_hour_ago_cut_nothing_now() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 1, "200", 1);
    answers(&worker, "503", 50);
    worker.tick();
    drop(worker);
    world.pass_ms(3_600_000);
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 5, "200", 20);
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "nobody is overloaded");
}

/// what is lowered by the loop stays so in a worker that can't read the load any
/// more (or does not tick): the pressure has no end in its memory.
#[test]
fn a_pressure_that_nobody_renews_ends_also_where_the_load_can_not_be_read() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 20, "503", 100);
    // A newer module wrote it; this one is still there, or is there again.
    world.overwrite("tiergate/load", &[2, b'O', 0]);
    ticks(&worker, 2 * 600, "200", 100);
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "ten minutes later");
}

#[test]
fn a_pressure_that_nobody_renews_ends_without_a_tick() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 20, "503", 100);
    world.pass_ms(60_000);
    assert_eq!(in_force(&worker, "t", "rpm"), 1_000, "a minute later");
}

/// ten answers a second, every one of them a 503, are "less than ten answers of
/// late": the halves are cut off, so five in a step add up to nine at most.
#[test]
fn ten_answers_a_second_all_503_are_an_overload() {
    let world = world();
    let config = one_tier(0, 1_000, 0, 0, ADMIN).replace(
        r#""usage_path""#,
        r#""load": {"from": "overload", "interval": "500ms"}, "usage_path""#,
    );
    let worker = Worker::new(&world, &config);
    ticks(&worker, 240, "503", 5);
    assert!(
        pressure(&worker) > 0.3,
        "1200 failures in two minutes, and no success: {}",
        pressure(&worker)
    );
}

/// And once limits are down, what is left of such traffic is taken for a calm.
#[test]
fn a_trickle_of_503_alone_is_no_calm() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 20, "503", 100);
    ticks(&worker, 120, "503", 2);
    assert!(
        pressure(&worker) > 0.3,
        "not one answer was good: {}",
        pressure(&worker)
    );
}

fn by_header(more: &str) -> String {
    let load =
        format!(r#""load": {{"from": {{"header": "x-l"}}, "floor": 0.2{more}}}, "usage_path""#);
    one_tier(0, 1_000, 0, 0, ADMIN).replace(r#""usage_path""#, &load)
}

fn reports(worker: &Worker, load: &str) {
    let mut limiter = worker.limiter.borrow_mut();
    limiter.observe(Some(b"200"), Some(load.as_bytes()));
}

/// at little traffic a report weighs as if it stood for one step, not for the time
/// since the one before: `smooth` of 5 s becomes minutes.
#[test]
fn reports_that_come_seldom_are_averaged_over_smooth_not_over_minutes() {
    let world = world();
    let worker = Worker::new(&world, &by_header(""));
    for _ in 0..4 {
        reports(&worker, "1.2");
        ticks(&worker, 40, "200", 0);
    }
    let view = call(&worker, &Call::Overload, "");
    let load = view["auto"]["load"].as_f64().unwrap();
    assert!(
        load > 1.0,
        "80 s of nothing but 1.2, smoothed over 5 s: {load}"
    );
}

/// by a header, `hold` counts from when the pressure last rose, so after a load
/// that stayed it is long over, and limits begin to come back at once.
#[test]
fn hold_holds_after_a_load_that_stayed() {
    let world = world();
    let worker = Worker::new(&world, &by_header(r#", "hold": "60s""#));
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

/// a setting whose time was over, and that is replaced or withdrawn before a tick
/// saw it, ends without a word in the log.
#[test]
fn the_end_of_what_was_set_is_told_also_when_a_new_one_comes_first() {
    let world = world();
    let worker = Worker::new(&world, &one_tier(0, 10, 0, 0, ADMIN));
    put(&worker, r#"{"scale": 0.5, "ttl": "1s"}"#);
    worker.limiter.borrow_mut().drain_events();
    world.pass_ms(1_000);
    put(&worker, r#"{"scale": 0.9, "ttl": "1s"}"#);
    worker.tick();
    let news = worker.limiter.borrow_mut().drain_events();
    let ended = news.iter().any(|n| matches!(n, OverloadEvent::Ended(_)));
    assert!(ended, "{news:?}");
}
