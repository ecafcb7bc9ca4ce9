//! Limits that the load lowers, kept as a pace; and whose rule it is that lowers them.

use crate::harness::{
    Call, Config, FakeRequest, Next, Used, Worker, World, answers, corrupt_state, in_force,
    pressure, retry_after_ms, ticks,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::overload::Part;

fn view(worker: &Worker) -> Value {
    worker.call(&Call::Overload, "").1
}

fn press(worker: &Worker) {
    answers(worker, "503", 100);
    worker.tick();
}

/// A worker whose upstream answered nothing but 503 for twenty seconds.
fn pressed(world: &Arc<World>, config: Config) -> Worker {
    let worker = Worker::new(world, config);
    ticks(&worker, 40, "503", 100);
    worker
}

/// One of two rules of a namespace, each with a floor of its own.
fn of_floor(world: &Arc<World>, floor: f64) -> Worker {
    let config = Config::tier("t").rpm(1_000).adaptive();
    Worker::new(world, config.with(json!({"load": {"floor": floor}})))
}

/// A worker of a config with a floor of 0.2, and one of the config that replaces it.
fn replaced(world: &Arc<World>) -> (Worker, Worker) {
    let old = of_floor(world, 0.2);
    ticks(&old, 10, "503", 100);
    let new = of_floor(world, 0.5);
    ticks(&new, 10, "503", 100);
    (old, new)
}

/// What is in force after five minutes of nothing but 503.
fn after_five_minutes_of_503(worker: &Worker) -> f64 {
    ticks(worker, 600, "503", 100);
    view(worker)["in_force"]["t"].as_f64().unwrap()
}

#[test]
fn as_many_requests_as_are_told_to_remain_are_admitted_at_once() {
    let world = World::new();
    let worker = pressed(&world, Config::tier("t").rpm(600).adaptive());
    assert_eq!(in_force(&worker, "t", "rpm"), 120);
    for _ in 0..20 {
        press(&worker);
        let told = worker.usage(&FakeRequest::acme(0))["limits"]["rpm"]["remaining"].clone();
        let mut admitted = 0;
        while worker.serves(&FakeRequest::acme(0), Used::Unknown) {
            admitted += 1;
        }
        assert_eq!(told, admitted);
        world.pass_ms(3_700);
    }
}

#[test]
fn requests_of_varying_size_stay_within_the_lowered_tpm() {
    let world = World::new();
    let worker = pressed(&world, Config::tier("t").tpm(500_000).adaptive());
    assert_eq!(in_force(&worker, "t", "tpm"), 100_000);
    let (mut tokens, mut x) = (0, 7_u64);
    for i in 0..600 {
        if i % 5 == 0 {
            press(&worker);
        }
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let prompt = 9_000 + (x >> 33) % 10_000;
        let request = FakeRequest::acme(prompt);
        if worker.serves(&request, Used::Unknown) {
            tokens += prompt + 1_024;
        }
        world.pass_ms(100);
    }
    assert!(
        tokens <= 150_000,
        "{tokens} in a minute; 100000 are in force"
    );
}

#[test]
fn what_was_used_beyond_the_reserve_counts_in_the_pace() {
    let world = World::new();
    let worker = pressed(&world, Config::tier("t").tpm(100_000).adaptive());
    assert_eq!(in_force(&worker, "t", "tpm"), 20_000);
    let mut tokens = 0;
    for i in 0..300 {
        if i % 3 == 0 {
            press(&worker);
        }
        if worker.serves(&FakeRequest::acme(0), Used::Tokens(10_000)) {
            tokens += 10_000;
        }
        world.pass_ms(200);
    }
    assert!(tokens <= 50_000, "{tokens} in a minute; 20000 are in force");
}

#[test]
fn large_and_small_requests_together_stay_within_the_lowered_tpm() {
    let world = World::new();
    let worker = pressed(&world, Config::tier("t").tpm(1_000_000).adaptive());
    // 200,000 are in force. The large one as often as it is let through, small ones in between.
    let (large, small) = (FakeRequest::acme(198_000), FakeRequest::acme(976));
    let mut tokens = 0;
    for i in 0..1_200 {
        if i % 5 == 0 {
            press(&worker);
        }
        if worker.serves(&large, Used::Unknown) {
            tokens += 199_024;
        }
        if tokens > 0 && worker.serves(&small, Used::Unknown) {
            tokens += 2_000;
        }
        world.pass_ms(100);
    }
    assert!(
        tokens <= 500_000,
        "{tokens} in two minutes; 200000 in each are in force"
    );
}

fn easing(minute: &str) -> (u64, u64) {
    let world = World::new();
    let more = json!({"load": {"hold": "10m"}, "windows": {"minute": minute}});
    let config = Config::tier("t").rpm(6_000).adaptive().with(more);
    let worker = pressed(&world, config);
    let (mut admitted, mut most) = (0, 0);
    for step in 0..60_u32 {
        corrupt_state(&worker, |state, now| {
            let controller = &mut state.adaptive.controller;
            controller.pressure = Part::from_millionths(900_000 - step * 5_000);
            controller.last_observed = now;
            controller.hold_since = now;
            controller.recovery_steps = 0;
        });
        worker.tick();
        most = in_force(&worker, "t", "rpm");
        for _ in 0..20 {
            let request = FakeRequest::acme(0);
            admitted += (0..2_000)
                .take_while(|_| worker.serves(&request, Used::Unknown))
                .count() as u64;
            world.pass_ms(50);
        }
    }
    (admitted, most)
}

/// Pressure eases by 0.005 a second, as it does near the edge.
#[test]
fn a_limit_that_moves_a_little_gives_no_new_tenth_each_time() {
    let (admitted, most) = easing("60s");
    assert!(
        admitted <= most * 12 / 10,
        "{admitted} in a minute; at most {most} were in force"
    );
}

#[test]
fn a_limit_that_moves_a_little_gives_no_new_tenth_each_time_of_an_hour() {
    let (admitted, most) = easing("1h");
    assert!(
        admitted <= most * 2 / 10,
        "{admitted} in a minute; at most {most} an hour were in force"
    );
}

/// A canary with another rule comes and goes; the config from before it is left.
#[test]
fn when_the_newer_config_is_gone_the_older_one_runs_its_loop_again() {
    let world = World::new();
    let (old, new) = replaced(&world);
    drop(new);
    let in_force = after_five_minutes_of_503(&old);
    assert!(in_force < 0.5, "{in_force}");
}

/// A VM of the config that was replaced traps and is started again while its streams drain.
#[test]
fn a_trap_in_the_old_config_does_not_end_the_loop_of_the_new_one() {
    let world = World::new();
    let (old, new) = replaced(&world);
    drop(old);
    let again = of_floor(&world, 0.2);
    ticks(&again, 4, "503", 100);
    drop(again);
    let in_force = after_five_minutes_of_503(&new);
    assert!(in_force < 1.0, "{in_force}");
}

#[test]
fn a_large_request_gets_its_turn_beside_small_ones() {
    let world = World::new();
    let config = Config::tier("t").tpm(1_000_000).adaptive();
    let config = config.with(json!({"tokens": {"completion": 1}}));
    let worker = pressed(&world, config);
    let mut starved = 0;
    for n in 0..10 {
        let account = format!("a{n}");
        // 200,000 a minute are in force; small ones use a third, the large one is an eighth.
        let small = FakeRequest::of(&account, "t", 99);
        let large = FakeRequest::of(&account, "t", 24_999);
        let (mut next, mut got) = (20, false);
        for i in 0..3_000 {
            if i % 5 == 0 {
                press(&worker);
            }
            assert!(got || worker.serves(&small, Used::Unknown));
            if i == next && !got {
                match worker.check(&large).next {
                    Next::Reply(reply) => next = i + retry_after_ms(&reply).div_ceil(1_000) * 10,
                    _ => got = true,
                }
            }
            world.pass_ms(100);
        }
        starved += u32::from(!got);
    }
    assert_eq!(
        starved, 0,
        "of 10 accounts, five minutes each, coming back as retry-after says"
    );
}

#[test]
fn near_the_edge_all_steps_are_small() {
    let world = World::new();
    let worker = pressed(&world, Config::tier("t").rpm(1_000).adaptive());
    // As after one cut by half, from 0.02.
    corrupt_state(&worker, |state, _| {
        let controller = &mut state.adaptive.controller;
        controller.pressure = Part::from_millionths(510_000);
        controller.knee = Part::from_millionths(20_000);
        controller.recovery_steps = 0;
        controller.just_cut = false;
        controller.recent = Default::default();
        state.adaptive.observed = Default::default();
    });
    let mut before = 0.51;
    for _ in 0..120 {
        ticks(&worker, 1, "200", 100);
        let now = pressure(&worker);
        assert!(
            !(before > 0.02 && now <= 0.02 && before - now > 0.0051),
            "from {before} to {now}"
        );
        before = now;
    }
}

/// 20 answers a second, and one 503 in 100 s: 0.05 % of them.
#[test]
fn one_503_among_thousands_of_answers_cuts_nothing() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1_000).adaptive());
    ticks(&worker, 200, "200", 10);
    answers(&worker, "503", 1);
    let mut most = 0.0_f64;
    for _ in 0..10 {
        ticks(&worker, 1, "200", 10);
        most = most.max(pressure(&worker));
    }
    assert!(most < 0.01, "{most}");
}

/// Of two workers of one config the one whose clock is behind: what A wrote is not lost.
#[test]
fn clocks_a_few_ms_apart_lose_no_steps() {
    let world = World::new();
    let config = Config::tier("t").rpm(1_000).adaptive();
    let (a, b) = (Worker::new(&world, &config), Worker::new(&world, &config));
    for _ in 0..40 {
        for worker in [&a, &b] {
            answers(worker, "503", 100);
        }
        a.tick();
        world.set_mono_back_ms(3);
        b.tick();
        world.pass_ms(503);
    }
    assert!(pressure(&a) > 0.9);
    let wrote = |_: ()| a.news().len() + b.news().len();
    wrote(());
    for _ in 0..40 {
        for worker in [&a, &b] {
            answers(worker, "503", 100);
        }
        a.tick();
        world.set_mono_back_ms(3);
        b.tick();
        world.pass_ms(503);
    }
    assert_eq!(wrote(()), 0);
}
