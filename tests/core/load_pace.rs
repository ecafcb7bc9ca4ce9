//! Limits that the load lowers, kept as a pace; and whose rule it is that lowers them.

use crate::fake_host::{FakeRequest, Worker, World, one_tier, retry_after_ms};
use crate::load_edges::{LOOP, answers, call, meddle, ticks, told};
use serde_json::Value;
use tiergate::admin::call::Call;
use tiergate::limiter::Next;
use tiergate::tokens::Used;

fn view(worker: &Worker) -> Value {
    call(worker, &Call::Overload, "")
}

fn limit(worker: &Worker, name: &str) -> Value {
    told(worker, "t")["limits"][name].clone()
}

fn press(worker: &Worker) {
    answers(worker, "503", 100);
    worker.tick();
}

fn is_admitted(worker: &Worker, request: &FakeRequest, used: Used) -> bool {
    match worker.check(request).next {
        Next::Forward(pass) => {
            let mut limiter = worker.limiter.borrow_mut();
            limiter.settle(&worker.host, pass.admission.unwrap(), used);
            true
        }
        _ => false,
    }
}

#[test]
fn requests_of_varying_size_stay_within_the_lowered_tpm() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 0, 500_000, 0, LOOP));
    ticks(&worker, 40, "503", 100);
    assert_eq!(limit(&worker, "tpm")["in_force"], 100_000);
    let (mut tokens, mut x) = (0, 7_u64);
    for i in 0..600 {
        if i % 5 == 0 {
            press(&worker);
        }
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let prompt = 9_000 + (x >> 33) % 10_000;
        let request = FakeRequest::of("acme", "t", prompt);
        if is_admitted(&worker, &request, Used::Unknown) {
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
    let worker = Worker::new(&world, &one_tier(0, 0, 100_000, 0, LOOP));
    ticks(&worker, 40, "503", 100);
    assert_eq!(limit(&worker, "tpm")["in_force"], 20_000);
    let mut tokens = 0;
    for i in 0..300 {
        if i % 3 == 0 {
            press(&worker);
        }
        if is_admitted(
            &worker,
            &FakeRequest::of("acme", "t", 0),
            Used::Tokens(10_000),
        ) {
            tokens += 10_000;
        }
        world.pass_ms(200);
    }
    assert!(tokens <= 50_000, "{tokens} in a minute; 20000 are in force");
}

#[test]
fn large_and_small_requests_together_stay_within_the_lowered_tpm() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000_000, 0, LOOP));
    ticks(&worker, 40, "503", 100);
    // 200,000 are in force. The large one as often as it is let through, small ones in between.
    let (large, small) = (
        FakeRequest::of("acme", "t", 198_000),
        FakeRequest::of("acme", "t", 976),
    );
    let mut tokens = 0;
    for i in 0..1_200 {
        if i % 5 == 0 {
            press(&worker);
        }
        if is_admitted(&worker, &large, Used::Unknown) {
            tokens += 199_024;
        }
        if tokens > 0 && is_admitted(&worker, &small, Used::Unknown) {
            tokens += 2_000;
        }
        world.pass_ms(100);
    }
    assert!(
        tokens <= 500_000,
        "{tokens} in two minutes; 200000 in each are in force"
    );
}

fn easing(windows: &str) -> (u64, u64) {
    let world = World::new();
    let rest = LOOP.replace(r#""floor""#, r#""hold": "10m", "floor""#) + windows;
    let worker = Worker::new(&world, &one_tier(0, 6_000, 0, 0, &rest));
    ticks(&worker, 40, "503", 100);
    let (mut admitted, mut most) = (0, 0);
    for step in 0..60_u32 {
        meddle(&worker, |state, now| {
            state.controller.pressure = 900_000 - step * 5_000;
            (
                state.controller.reported,
                state.controller.kept,
                state.controller.eased,
            ) = (now, now, 0);
        });
        worker.tick();
        most = limit(&worker, "rpm")["in_force"].as_u64().unwrap();
        for _ in 0..20 {
            let request = FakeRequest::of("acme", "t", 0);
            admitted += (0..2_000)
                .take_while(|_| is_admitted(&worker, &request, Used::Unknown))
                .count() as u64;
            world.pass_ms(50);
        }
    }
    (admitted, most)
}

/// Pressure eases by 0.005 a second, as it does near the edge.
#[test]
fn a_limit_that_moves_a_little_gives_no_new_tenth_each_time() {
    let (admitted, most) = easing("");
    assert!(
        admitted <= most * 12 / 10,
        "{admitted} in a minute; at most {most} were in force"
    );
}

#[test]
fn a_limit_that_moves_a_little_gives_no_new_tenth_each_time_of_an_hour() {
    let (admitted, most) = easing(r#", "windows": {"minute": "1h"}"#);
    assert!(
        admitted <= most * 2 / 10,
        "{admitted} in a minute; at most {most} an hour were in force"
    );
}

/// A canary with another rule comes and goes; the config that was there all the time is left.
#[test]
fn when_the_newer_config_is_gone_the_older_one_runs_its_loop_again() {
    let world = World::new();
    let one = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&one, 10, "503", 100);
    let two = Worker::new(
        &world,
        &one_tier(0, 1_000, 0, 0, &LOOP.replace("0.2", "0.5")),
    );
    ticks(&two, 10, "503", 100);
    drop(two);
    ticks(&one, 600, "503", 100);
    assert!(
        view(&one)["in_force"]["t"].as_f64().unwrap() < 0.5,
        "five minutes of nothing but 503: {}",
        view(&one)
    );
}

/// A VM of the config that was replaced traps and is started again while its streams drain.
#[test]
fn a_trap_in_the_old_config_does_not_end_the_loop_of_the_new_one() {
    let world = World::new();
    let old = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&old, 10, "503", 100);
    let new = Worker::new(
        &world,
        &one_tier(0, 1_000, 0, 0, &LOOP.replace("0.2", "0.5")),
    );
    ticks(&new, 10, "503", 100);
    drop(old);
    let again = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&again, 4, "503", 100);
    drop(again);
    ticks(&new, 600, "503", 100);
    assert!(
        view(&new)["in_force"]["t"].as_f64().unwrap() < 1.0,
        "five minutes of nothing but 503: {}",
        view(&new)
    );
}

#[test]
fn a_large_request_gets_its_turn_beside_small_ones() {
    let world = World::new();
    let rest = LOOP.to_owned() + r#", "tokens": {"completion": 1}"#;
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000_000, 0, &rest));
    ticks(&worker, 40, "503", 100);
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
            assert!(got || is_admitted(&worker, &small, Used::Unknown));
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
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 40, "503", 100);
    // As after one cut by half, from 0.02.
    meddle(&worker, |state, _| {
        (
            state.controller.pressure,
            state.controller.edge,
            state.controller.eased,
            state.controller.cut,
        ) = (510_000, 20_000, 0, false);
        (state.controller.late, state.controller.observed) = ((0, 0), Default::default());
    });
    let mut before = 0.51;
    for _ in 0..120 {
        ticks(&worker, 1, "200", 100);
        let now = view(&worker)["auto"]["pressure"].as_f64().unwrap();
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
    let worker = Worker::new(&world, &one_tier(0, 1_000, 0, 0, LOOP));
    ticks(&worker, 200, "200", 10);
    answers(&worker, "503", 1);
    let mut most = 0.0_f64;
    for _ in 0..10 {
        ticks(&worker, 1, "200", 10);
        most = most.max(view(&worker)["auto"]["pressure"].as_f64().unwrap());
    }
    assert!(most < 0.01, "{most}");
}

/// Of two workers of one config the one whose clock is behind: what A wrote is not lost.
#[test]
fn clocks_a_few_ms_apart_lose_no_steps() {
    let world = World::new();
    let config = one_tier(0, 1_000, 0, 0, LOOP);
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
    assert!(view(&a)["auto"]["pressure"].as_f64().unwrap() > 0.9);
    let wrote = |_: ()| {
        a.limiter.borrow_mut().drain_events().len() + b.limiter.borrow_mut().drain_events().len()
    };
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
