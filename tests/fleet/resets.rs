//! A reset in the store: what counts no more, and what does.

use crate::bench::{Bench, NOW, Say, ask, day, need};
use tiergate::fleet::message::{LeaseAsk, MeterAsk, StepObstacle};

/// Half of the limit is used and told, a tenth is held.
fn half_used(bench: &mut Bench) {
    assert!(bench.say(NOW, &ask(1, 1, need(60))).ok);
    let told = MeterAsk {
        spent: vec![0, 10, 50],
        held: 10,
        ..need(0)
    };
    let answer = bench.say(NOW + 100, &ask(1, 2, told));
    assert_eq!((answer.meters[0].used, answer.meters[0].left), (50, 40));
}

#[test]
fn a_reset_forgets_what_was_used_and_not_what_edges_hold() {
    let mut bench = Bench::new();
    half_used(&mut bench);
    let generation = bench.reset(NOW + 200);
    assert_eq!(generation, 1_000, "seconds of the clock");
    let answer = bench.say(NOW + 300, &ask(2, 1, need(91)));
    assert_eq!(answer.no.map(|no| no.by), Some(StepObstacle::Held));
    assert_eq!(answer.generation, generation);
    // The edge has voided what it held.
    bench.generation = generation;
    bench.say(NOW + 400, &ask(1, 3, need(0)));
    assert!(bench.say(NOW + 500, &ask(2, 2, need(91))).ok);
    assert_eq!(bench.reset(NOW + 600), generation + 1);
}

#[test]
fn a_late_report_of_use_before_a_reset_counts_no_more_and_one_after_it_does() {
    let mut bench = Bench::new();
    half_used(&mut bench);
    bench.reset(NOW + 200);
    // 5 were used before the reset, 3 after it.
    let told = MeterAsk {
        spent: vec![50, 150, 55, 50, 58],
        extra: vec![0, 150, 7],
        ..need(0)
    };
    let answer = bench.say(NOW + 300, &ask(1, 3, told));
    assert_eq!((answer.meters[0].used, answer.meters[0].left), (3, 97));
}

#[test]
fn nothing_is_given_back_of_what_a_reset_forgot() {
    let mut bench = Bench::new();
    half_used(&mut bench);
    let spends = |n, amount| {
        day(
            1,
            n,
            MeterAsk {
                spent: vec![0, crate::bench::DAY.1, amount],
                ..need(0)
            },
        )
    };
    bench.say(NOW, &day(1, 3, need(60)));
    assert_eq!(bench.say(NOW + 100, &spends(4, 60)).meters[0].used, 60);
    bench.reset(NOW + 200);
    assert_eq!(
        bench.say(NOW + 300, &day(2, 1, need(30))).meters[0].left,
        70
    );
    let told = MeterAsk {
        spent: vec![0, crate::bench::DAY.1, 30],
        ..need(0)
    };
    assert_eq!(bench.say(NOW + 400, &day(2, 2, told)).meters[0].used, 30);
    let back = MeterAsk {
        spent: vec![60],
        refunded: vec![0, crate::bench::DAY.1, 60],
        ..need(0)
    };
    assert_eq!(bench.say(NOW + 500, &day(1, 5, back)).meters[0].used, 30);
}

#[test]
fn a_write_off_before_a_reset_takes_nothing_off_after_it() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &day(1, 1, need(40))).ok);
    let after = NOW + 12_500;
    assert_eq!(bench.say(after, &day(2, 1, need(0))).meters[0].used, 40);
    bench.reset(after + 100);
    let told = MeterAsk {
        spent: vec![0, crate::bench::DAY.1, 10],
        ..need(0)
    };
    bench.say(after + 200, &day(2, 2, need(20)));
    assert_eq!(bench.say(after + 300, &day(2, 3, told)).meters[0].used, 10);
    // The silent edge is back, and says that it spent 30 of the 40.
    let late = MeterAsk {
        spent: vec![0, crate::bench::DAY.1, 30],
        ..need(0)
    };
    assert!(bench.say(after + 400, &day(1, 2, late)).meters[0].used >= 10);
}

#[test]
fn an_edge_that_knows_of_a_reset_tells_a_store_that_forgot_it() {
    let mut bench = Bench::new();
    bench.generation = 700;
    assert_eq!(bench.say(NOW, &ask(1, 1, need(1))).generation, 700);
    bench.generation = 1;
    assert_eq!(bench.say(NOW, &ask(2, 1, need(1))).generation, 700);
    bench.generation = 800;
    assert_eq!(bench.say(NOW, &ask(3, 1, need(1))).generation, 800);
    // One of a clock far ahead is none, so that there is always a next one.
    bench.generation = u32::MAX;
    assert_eq!(bench.say(NOW, &ask(4, 1, need(1))).generation, 800);
}

#[test]
fn leases_outlive_a_reset_and_those_of_a_lost_record_are_free() {
    let mut bench = Bench::new();
    let leases = |in_process, need| LeaseAsk {
        limit: 2,
        in_process,
        need,
        ..LeaseAsk::default()
    };
    let say = |edge, n, incarnation, leases| Say {
        edge,
        n,
        incarnation,
        leases: Some(leases),
        ..Say::default()
    };
    assert!(bench.say(NOW, &say(1, 1, 5, leases(0, 2))).ok);
    bench.reset(NOW + 100);
    bench.say(NOW + 200, &say(1, 2, 5, leases(2, 0)));
    assert!(!bench.say(NOW + 300, &say(2, 1, 1, leases(0, 1))).ok);
    // The edge begins the account anew: its page lost the record, and the leases with it.
    assert!(bench.say(NOW + 400, &say(1, 1, 9, leases(0, 1))).ok);
    assert!(bench.say(NOW + 500, &say(2, 2, 1, leases(0, 1))).ok);
}

#[test]
fn an_account_that_the_store_does_not_know_and_a_foreign_key_stay_as_they_are() {
    let mut bench = Bench::new();
    assert_eq!(bench.reset(NOW), 1_000);
    let key = bench.store.key.clone();
    let redis = &mut bench.store.redis;
    assert!(!redis::cmd("EXISTS").arg(&key).query::<bool>(redis).unwrap());
    redis::cmd("HSET")
        .arg(&key)
        .arg("v")
        .arg("2")
        .exec(redis)
        .unwrap();
    assert_eq!(
        bench.store.reset(NOW),
        Err("a foreign key, or a newer layout".to_owned())
    );
}
