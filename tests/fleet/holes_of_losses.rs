//! Holes of the protocol's first design in what a message says and what a store lost, against the
//! real script. The names are those of the list of holes.

use crate::bench::{Bench, DAY, NOW, Say, ask, need};
use crate::step::StepReply;
use tiergate::fleet::hex::EdgeId;
use tiergate::fleet::message::{LeaseAsk, MeterAsk, StepObstacle};

#[test]
fn leases_of_a_dead_edge_are_free_and_those_of_a_silent_one_are_not() {
    let mut bench = Bench::new();
    let lease = |edge, n, in_process, need| Say {
        edge,
        n,
        leases: Some(LeaseAsk {
            limit: 4,
            in_process,
            need,
            ..LeaseAsk::default()
        }),
        ..Say::default()
    };
    assert!(bench.say(NOW, &lease(1, 1, 0, 4)).ok);
    bench.say(NOW + 100, &lease(1, 2, 4, 0));
    assert!(
        !bench.say(NOW + 40_000, &lease(2, 1, 0, 1)).ok,
        "streams are renewed each minute"
    );
    bench.dead = vec![EdgeId::from(1)];
    assert!(bench.say(NOW + 42_000, &lease(2, 2, 0, 4)).ok);
    // It was cut off only: its streams are a debt, and nothing is granted until it is paid.
    bench.dead.clear();
    bench.say(NOW + 43_000, &lease(1, 3, 4, 0));
    bench.say(NOW + 43_001, &lease(2, 3, 1, 0));
    assert!(!bench.say(NOW + 43_002, &lease(3, 1, 0, 1)).ok);
    bench.say(NOW + 43_003, &lease(1, 4, 2, 0));
    assert!(bench.say(NOW + 43_004, &lease(3, 2, 0, 1)).ok);
}

#[test]
fn c4_an_account_is_closed_after_a_loss_and_days_are_restated() {
    let mut bench = Bench::new();
    let day = |edge, n, day| Say {
        edge,
        n,
        day: Some(day),
        ..Say::default()
    };
    assert!(bench.say(NOW, &day(1, 1, need(60))).ok);
    bench.say(
        NOW + 50,
        &day(
            1,
            2,
            MeterAsk {
                spent: vec![0, DAY.1, 60],
                own: 60,
                ..need(0)
            },
        ),
    );
    let _: () = redis::cmd("FLUSHALL")
        .query(&mut bench.store.redis)
        .unwrap();
    (bench.node, bench.lost) = ("two", Some(1_000));
    let refused = bench.say(NOW + 1_100, &day(2, 1, need(1)));
    assert_eq!(
        refused.no.map(|no| (no.by, no.wait_ms)),
        Some((StepObstacle::Closed, 11_000))
    );
    let answer = bench.say(
        NOW + 1_200,
        &day(
            1,
            3,
            MeterAsk {
                spent: vec![60],
                own: 60,
                ..need(0)
            },
        ),
    );
    assert_eq!(
        (answer.ok, answer.meters[0].used),
        (true, 60),
        "the store learns it from the edge"
    );
    bench.lost = Some(13_000);
    assert!(!bench.say(NOW + 13_000, &day(2, 2, need(41))).ok);
    assert!(bench.say(NOW + 13_001, &day(2, 3, need(40))).ok);
}

#[test]
fn c4_strict_closes_for_a_window_more() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(1))).ok);
    (bench.node, bench.strict) = ("two", true);
    let refused = bench.say(NOW + 10, &ask(1, 2, need(1)));
    assert_eq!(
        refused.no.map(|no| (no.by, no.wait_ms)),
        Some((StepObstacle::Closed, 72_250))
    );
    assert!(!bench.say(NOW + 72_250, &ask(1, 3, need(1))).ok);
    assert!(bench.say(NOW + 72_261, &ask(1, 4, need(1))).ok);
}

#[test]
fn s1_absurd_amounts_are_cut_and_raise_nothing() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(50))).ok);
    bench.say(
        NOW + 10,
        &ask(
            1,
            2,
            MeterAsk {
                spent: vec![0, 1, 50],
                ..need(0)
            },
        ),
    );
    let most = (1 << 53) - 1;
    // A refund of what others used.
    let taken = MeterAsk {
        refunded: vec![0, NOW, most],
        ..need(0)
    };
    assert_eq!(bench.say(NOW + 20, &ask(2, 1, taken)).meters[0].used, 50);
    // A claimed allowance without a grant lowers what is left, by the limit at most.
    let held = MeterAsk {
        held: most,
        ..need(0)
    };
    let StepReply::Done(answer, happened) = bench.reply(NOW + 30, &ask(2, 2, held)) else {
        panic!();
    };
    assert_eq!((answer.meters[0].left, happened.clamped), (0, 1));
    let burnt = MeterAsk {
        extra: vec![0, 0, most],
        spent: vec![0, 0, most],
        ..need(0)
    };
    let StepReply::Done(answer, happened) = bench.reply(NOW + 40, &ask(2, 3, burnt)) else {
        panic!();
    };
    assert_eq!(happened.clamped, 2);
    assert!(answer.meters[0].used < 1 << 33, "{}", answer.meters[0].used);
    assert!(
        bench
            .say(
                NOW + 62_000,
                &ask(
                    1,
                    3,
                    MeterAsk {
                        spent: vec![50],
                        ..need(100)
                    }
                )
            )
            .ok
    );
}

#[test]
fn s5_a_foreign_key_and_a_newer_layout_stay_as_they_are() {
    let mut bench = Bench::new();
    let key = bench.store.key.clone();
    let redis = &mut bench.store.redis;
    let _: () = redis::cmd("HSET")
        .arg(&key)
        .arg("name")
        .arg("x")
        .query(redis)
        .unwrap();
    let fault = |text: &str| StepReply::Fault(text.to_owned());
    assert_eq!(
        bench.reply(NOW, &ask(1, 1, need(1))),
        fault("a foreign key")
    );
    let _: () = redis::cmd("HSET")
        .arg(&key)
        .arg("v")
        .arg("2")
        .query(&mut bench.store.redis)
        .unwrap();
    assert_eq!(
        bench.reply(NOW, &ask(1, 1, need(1))),
        fault("a newer layout")
    );
    let fields: usize = redis::cmd("HLEN")
        .arg(&key)
        .query(&mut bench.store.redis)
        .unwrap();
    assert_eq!(fields, 2);
}

#[test]
fn a_meter_that_a_message_leaves_out_is_held_no_more() {
    let mut bench = Bench::new();
    let both = Say {
        day: Some(need(30)),
        ..ask(1, 1, need(20))
    };
    assert!(bench.say(NOW, &both).ok);
    bench.say(NOW + 10, &ask(1, 2, need(0)));
    let answer = bench.say(
        NOW + 20,
        &Say {
            edge: 2,
            n: 1,
            day: Some(need(0)),
            ..Say::default()
        },
    );
    assert_eq!(
        (answer.meters[0].used, answer.meters[0].left),
        (30, 70),
        "counted as used"
    );
}

#[test]
fn an_accounts_key_lives_as_long_as_its_longest_meter() {
    let mut bench = Bench::new();
    bench.say(
        NOW,
        &Say {
            edge: 1,
            n: 1,
            day: Some(need(1)),
            ..Say::default()
        },
    );
    bench.say(NOW + 1, &ask(2, 1, need(1)));
    let key = bench.store.key.clone();
    let left: u64 = redis::cmd("PTTL")
        .arg(&key)
        .query(&mut bench.store.redis)
        .unwrap();
    assert!(left > DAY.1 - NOW, "{left}");
}
