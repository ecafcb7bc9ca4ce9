//! Tokens: reserved, settled, refunded, charged.

use crate::fake_host::{FakeRequest, Worker, World, line, one_tier, retry_after_ms};
use proptest::prelude::*;
use tiergate::limiter::{Admission, Next};
use tiergate::tokens::Used;

const RESERVE: &str = r#", "tokens": {"completion": 0, "prompt": 0}"#;

fn held(worker: &Worker, tokens: u64) -> Admission {
    worker
        .admit(&FakeRequest::of("acme", "t", tokens))
        .admission
        .unwrap()
}

fn settle(worker: &Worker, held: Admission, used: u64) {
    worker
        .limiter
        .borrow_mut()
        .settle(&worker.host, held, Used::Tokens(used));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Promise 1: settled tokens pass TPM only by what requests used beyond their reserve.
    #[test]
    fn settled_tokens_pass_the_limit_only_by_what_was_used_beyond_the_reserve(
        trace in prop::collection::vec((0..5_000_u64, 1..400_u64, 0..800_u64, any::<bool>()), 1..100),
    ) {
        let world = World::new();
        let worker = Worker::new(&world, &one_tier(0, 0, 1_000, 0, RESERVE));
        let mut open: Vec<(Admission, u64)> = Vec::new();
        // (time, tokens that count against the limit, tokens beyond the reserve)
        let mut settled: Vec<(u64, u64, u64)> = Vec::new();
        for (gap_ms, reserve, used, settle_first) in trace {
            world.pass_ms(gap_ms);
            if settle_first && let Some((lease, reserved)) = open.pop() {
                settle(&worker, lease, used);
                let beyond = used.saturating_sub(reserved);
                settled.push((world.now_us(), used, beyond));
            }
            if let Next::Forward(pass) = worker.check(&FakeRequest::of("acme", "t", reserve)).next {
                open.push((pass.admission.unwrap(), reserve));
            }
        }
        // Requests settle within their window here only when gaps are short: judge those windows
        // by admission, as the promise does.
        for (start, _, _) in &settled {
            let inside = settled.iter().filter(|(t, _, _)| (*start..=start + 30_000_000).contains(t));
            let (used, beyond) = inside.fold((0, 0), |(u, b), (_, x, y)| (u + x, b + y));
            // A window of settlements can hold admissions of two windows at most.
            prop_assert!(used <= 2_000 + beyond);
        }
    }

    #[test]
    fn what_is_used_is_what_counts(
        requests in prop::collection::vec((1..50_u64, 0..100_u64), 1..20),
    ) {
        let world = World::new();
        let worker = Worker::new(&world, &one_tier(0, 0, 100_000, 100_000, RESERVE));
        let mut sum = 0;
        for (reserve, used) in requests {
            let lease = held(&worker, reserve);
            world.pass_ms(50);
            settle(&worker, lease, used);
            sum += used;
        }
        let pass = worker.admit(&FakeRequest::of("acme", "t", 0));
        let left = pass.headers.iter().find(|(n, _)| *n == "x-ratelimit-remaining-tokens");
        prop_assert_eq!(left.unwrap().1.clone().unwrap(), (100_000 - sum).to_string());
        // One too many; when nothing was used, that is more than the limit ever holds.
        if sum > 0 {
            let reply = worker.refuse(&FakeRequest::of("acme", "t", 100_000 - sum + 1));
            prop_assert!(["tpm", "tpd"].contains(&reply.code));
        }
    }
}

#[test]
fn a_reserve_holds_before_anything_was_used() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000, 0, RESERVE));
    let lease = held(&worker, 900);
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 200));
    assert_eq!((reply.code, retry_after_ms(&reply)), ("tpm", 60_001));
    settle(&worker, lease, 100);
    held(&worker, 200);
}

#[test]
fn a_stream_longer_than_the_window_refunds_nothing_into_the_wrong_place() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000, 0, RESERVE));
    let lease = held(&worker, 900);
    world.pass_ms(61_000);
    held(&worker, 900);
    settle(&worker, lease, 0);
    worker.refuse(&FakeRequest::of("acme", "t", 200));
}

#[test]
fn a_request_that_can_never_fit_is_told_so() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000, 500, RESERVE));
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 1_001));
    assert_eq!((reply.status, reply.code), (400, "tokens_exceed_tier"));
    assert_eq!(line(&reply, "retry-after"), None);
    assert!(
        reply.message.contains("1000 tokens per minute"),
        "{}",
        reply.message
    );
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 501));
    assert!(
        reply.message.contains("500 tokens per day"),
        "{}",
        reply.message
    );
}

#[test]
fn with_settle_reserve_the_reserve_stands() {
    let world = World::new();
    let rest = r#", "tokens": {"completion": 0, "settle": "reserve"}"#;
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000, 0, rest));
    let lease = held(&worker, 900);
    settle(&worker, lease, 0);
    worker.refuse(&FakeRequest::of("acme", "t", 200));
    let metrics = worker.tick();
    assert_eq!(metrics.get("tokens", "kind.estimated"), 900);
    assert_eq!(metrics.get("tokens", "kind.used"), 0);
}

#[test]
fn tokens_are_counted_by_kind() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 0, 1_000, 0, RESERVE));
    let (a, b, c) = (held(&worker, 100), held(&worker, 100), held(&worker, 100));
    settle(&worker, a, 30);
    settle(&worker, b, 150);
    worker
        .limiter
        .borrow_mut()
        .settle(&worker.host, c, Used::Unknown);
    let metrics = worker.tick();
    let kinds = ["reserved", "used", "refunded", "estimated"];
    let counted = kinds.map(|kind| metrics.get("tokens", &format!("kind.{kind}")));
    assert_eq!(counted, [300, 180, 70, 100]);
}
