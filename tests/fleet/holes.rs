//! Each hole of the protocol's first design, against the real script. The names are those of the
//! list of holes: C1 and so on.

use crate::bench::{Bench, DAY, NOW, Say, ask, day, need};
use crate::step::StepReply;
use tiergate::fleet::message::{ItemAnswer, LeaseAsk, MeterAsk, StepObstacle};

#[test]
fn c1_use_beyond_the_reserve_counts() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(10))).ok);
    let told = MeterAsk {
        spent: vec![0, 5, 10],
        extra: vec![0, 5, 85],
        ..need(0)
    };
    let answer = bench.say(NOW + 100, &ask(1, 2, told));
    assert_eq!((answer.meters[0].used, answer.meters[0].left), (95, 5));
    let answer = bench.say(NOW + 200, &ask(2, 1, need(6)));
    assert_eq!(answer.no.map(|no| no.by), Some(StepObstacle::Used));
}

#[test]
fn c2_a_refund_comes_back_by_a_grant_alone_and_only_once() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(100))).ok);
    let spent = vec![0, 10, 100];
    bench.say(
        NOW + 100,
        &ask(
            1,
            2,
            MeterAsk {
                spent: spent.clone(),
                ..need(0)
            },
        ),
    );
    let refund = MeterAsk {
        spent: vec![100],
        refunded: vec![0, NOW + 90, 90],
        ..need(0)
    };
    let answer = bench.say(NOW + 1_000, &ask(1, 3, refund));
    assert_eq!(
        (
            answer.meters[0].used,
            answer.meters[0].grant,
            answer.meters[0].left
        ),
        (10, 0, 90)
    );
    // The same total again takes nothing more.
    let again = MeterAsk {
        spent: vec![100],
        refunded: vec![0, NOW + 90, 90],
        ..need(0)
    };
    assert_eq!(bench.say(NOW + 2_000, &ask(1, 4, again)).meters[0].used, 10);
    // One of a moment that has left the window takes nothing from a later one.
    let late = NOW + 61_500;
    bench.say(
        late,
        &ask(
            1,
            5,
            MeterAsk {
                spent: vec![100, 0, 150],
                refunded: vec![90],
                ..need(0)
            },
        ),
    );
    let old = MeterAsk {
        spent: vec![150],
        refunded: vec![90, NOW - 9, 99],
        ..need(0)
    };
    assert_eq!(bench.say(late + 1, &ask(1, 6, old)).meters[0].used, 50);
}

#[test]
fn c3_a_large_need_is_granted_whole_or_not_at_all() {
    let mut bench = Bench::new();
    bench.edges = 10;
    for edge in 1..=2 {
        let answer = bench.say(NOW, &ask(edge, 1, need(40)));
        assert_eq!((answer.ok, answer.meters[0].grant), (true, 40));
    }
    // The third meter of the message fits, and is not stranded by the one that does not.
    let both = Say {
        day: Some(MeterAsk {
            limit: 1_000,
            ..need(5)
        }),
        ..ask(3, 1, need(40))
    };
    let answer = bench.say(NOW, &both);
    assert!(!answer.ok);
    assert_eq!(
        (
            answer.meters[0].grant,
            answer.meters[1].grant,
            answer.meters[1].left
        ),
        (0, 0, 1_000)
    );
    assert_eq!(
        answer.no.map(|no| (no.meter, no.by)),
        Some((0, StepObstacle::Held))
    );
}

#[test]
fn an_ask_that_others_stand_in_the_way_of_waits_no_longer_than_the_window() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(99))).ok);
    let told = MeterAsk {
        spent: vec![0, 0, 99],
        ..need(0)
    };
    bench.say(NOW, &ask(1, 2, told));
    assert!(bench.say(NOW + 60_100, &ask(2, 1, need(1))).ok);
    // The last one is out. It is spent or goes back, or the first ones leave the window before.
    let refused = bench.say(NOW + 60_100, &ask(3, 1, need(1))).no.unwrap();
    assert_eq!((refused.by, refused.wait_ms), (StepObstacle::Held, 150));
}

#[test]
fn h3_a_lost_answer_leaks_nothing() {
    let mut bench = Bench::new();
    for n in 1..=50 {
        // The edge never hears: it holds nothing, whatever was granted.
        let answer = bench.say(NOW + u64::from(n) * 100, &ask(1, n, need(60)));
        assert!(answer.ok, "{n}: {:?}", answer.no);
    }
}

#[test]
fn h4_an_older_message_changes_nothing_and_a_repeated_one_has_its_answer() {
    let mut bench = Bench::new();
    let first = bench.say(NOW, &ask(1, 1, need(10)));
    let again = ItemAnswer {
        clock: NOW + 5,
        ..first
    };
    assert_eq!(bench.say(NOW + 5, &ask(1, 1, need(10))), again);
    let later = MeterAsk {
        spent: vec![0, 3, 10, 1, 12],
        ..need(0)
    };
    assert_eq!(bench.say(NOW + 20, &ask(1, 3, later)).meters[0].used, 12);
    // The message between, overtaken: its total is part of the later one.
    let stale = bench.say(
        NOW + 25,
        &ask(
            1,
            2,
            MeterAsk {
                spent: vec![0, 9, 10],
                held: 50,
                ..need(0)
            },
        ),
    );
    assert!(stale.stale && !stale.ok);
    let answer = bench.say(NOW + 30, &ask(2, 1, need(0)));
    assert_eq!((answer.meters[0].used, answer.meters[0].left), (12, 88));
}

#[test]
fn h5_only_the_first_message_is_netted_against_a_write_off() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(40))).ok);
    let after = NOW + 12_500;
    let answer = bench.say(after, &ask(2, 1, need(0)));
    assert_eq!(
        (answer.meters[0].used, answer.meters[0].left),
        (40, 60),
        "written off"
    );
    // 30 of the 40 were spent: they count already.
    let told = MeterAsk {
        spent: vec![0, 12_000, 30],
        ..need(10)
    };
    assert_eq!(bench.say(after + 100, &ask(1, 2, told)).meters[0].used, 40);
    // What it spends of the next grant counts.
    let told = MeterAsk {
        spent: vec![30, 50, 40],
        ..need(0)
    };
    assert_eq!(bench.say(after + 200, &ask(1, 3, told)).meters[0].used, 50);
}

#[test]
fn h5_of_a_period_what_a_silent_edge_did_not_spend_comes_back() {
    let mut bench = Bench::new();
    let day = |edge, n, day| Say {
        edge,
        n,
        day: Some(day),
        ..Say::default()
    };
    assert!(bench.say(NOW, &day(1, 1, need(40))).ok);
    let after = NOW + 12_500;
    assert_eq!(bench.say(after, &day(2, 1, need(0))).meters[0].left, 60);
    let told = MeterAsk {
        spent: vec![0, DAY.1, 30],
        ..need(0)
    };
    let answer = bench.say(after + 100, &day(1, 2, told));
    assert_eq!((answer.meters[0].used, answer.meters[0].left), (30, 70));
}

#[test]
fn h6_the_service_is_the_calendar() {
    let mut bench = Bench::new();
    let day = |edge, n, day| Say {
        edge,
        n,
        day: Some(day),
        ..Say::default()
    };
    let answer = bench.say(NOW, &day(1, 1, need(90)));
    assert_eq!((answer.ok, answer.meters[0].ends_ms), (true, DAY.1 - NOW));
    // At the end of the period, its messages are refused: the service tries the next.
    assert_eq!(
        bench.reply(DAY.1, &day(2, 1, need(90))),
        StepReply::Turn(DAY.1)
    );
    bench.day = (DAY.1, DAY.1 + 1_000_000);
    assert_eq!(
        bench.reply(DAY.1 - 1, &day(2, 1, need(90))),
        StepReply::Turn(DAY.1 - 1)
    );
    // What is out of the old period can't be spent: it takes nothing of the new one.
    let answer = bench.say(DAY.1, &day(2, 1, need(90)));
    assert!(answer.ok, "{:?}", answer.no);
    // What was spent of the old one does not count in the new one, and no refund of it either.
    let told = MeterAsk {
        spent: vec![0, DAY.1, 90],
        refunded: vec![0, DAY.1, 50],
        ..need(0)
    };
    assert_eq!(bench.say(DAY.1 + 5, &day(1, 2, told)).meters[0].used, 0);
}

const DAY_AFTER: u64 = DAY.1 + 1_000_000;

/// What is used of the day after a late edge spent 90 that were granted in it, and said that they
/// are of the day before.
fn used_by_a_late_edge(bench: &mut Bench) -> u64 {
    bench.day = (DAY.1, DAY_AFTER);
    assert!(bench.say(DAY.1 + 10, &day(1, 1, need(90))).ok);
    let told = MeterAsk {
        spent: vec![0, DAY.1, 90],
        ..need(0)
    };
    bench.say(DAY.1 + 20, &day(1, 2, told)).meters[0].used
}

#[test]
fn h6_an_edge_whose_calendar_is_late_is_counted_by_the_stores() {
    assert_eq!(used_by_a_late_edge(&mut Bench::new()), 90);
    let rule = [(
        "local gone = same and before + k.w - held or 0",
        "local gone = 0",
    )];
    assert_eq!(
        used_by_a_late_edge(&mut Bench::changed(&rule)),
        0,
        "without the rule"
    );
}

/// What is used of the next day, of 50, after an early edge spent 10 in this day, named the next
/// one, and gave them back then.
fn used_after_an_early_edge(bench: &mut Bench) -> u64 {
    let next = DAY_AFTER + 1_000_000;
    bench.day = (DAY.1, DAY_AFTER);
    assert_eq!(
        bench.say(DAY.1 + 30, &day(2, 1, need(10))).meters[0].grant,
        10
    );
    let told = MeterAsk {
        spent: vec![0, next, 10],
        ..need(0)
    };
    assert_eq!(
        bench.say(DAY.1 + 40, &day(2, 2, told)).meters[0].used,
        10,
        "counted in this day"
    );
    bench.day = (DAY_AFTER, next);
    assert!(bench.say(DAY_AFTER, &day(1, 1, need(50))).ok);
    bench.say(
        DAY_AFTER + 1,
        &day(
            1,
            2,
            MeterAsk {
                spent: vec![0, next, 50],
                ..need(0)
            },
        ),
    );
    let refund = MeterAsk {
        spent: vec![10],
        refunded: vec![0, next, 10],
        ..need(0)
    };
    bench.say(DAY_AFTER + 2, &day(2, 3, refund)).meters[0].used
}

#[test]
fn h6_an_edge_whose_calendar_is_early_takes_nothing_back_of_another_day() {
    assert_eq!(used_after_an_early_edge(&mut Bench::new()), 50);
    let rule = [("back = math.min(back, k.c)", "")];
    assert_eq!(
        used_after_an_early_edge(&mut Bench::changed(&rule)),
        40,
        "without the rule"
    );
}

#[test]
fn n1_of_a_small_limit_nothing_is_granted_ahead_and_a_freed_lease_is_there_at_once() {
    let mut bench = Bench::new();
    bench.edges = 3;
    let lease = |edge, n, in_process, need| Say {
        edge,
        n,
        leases: Some(LeaseAsk {
            limit: 1,
            in_process,
            need,
            want: 5,
            ..LeaseAsk::default()
        }),
        ..Say::default()
    };
    for round in 0..10 {
        let edge = u64::from(round % 3);
        let n = round / 3 * 2 + 1;
        let now = NOW + u64::from(round) * 1_000;
        let answer = bench.say(now, &lease(edge, n, 0, 1));
        assert_eq!(
            (answer.ok, answer.leases[0].grant),
            (true, 1),
            "round {round}"
        );
        assert!(!bench.say(now + 1, &lease(edge + 10, n, 0, 1)).ok);
        bench.say(now + 900, &lease(edge, n + 1, 0, 0));
    }
}
