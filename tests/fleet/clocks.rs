//! The clocks of Redis nodes, which differ: no window ends early for it, against the real script.

use crate::bench::{Bench, NOW, ask, need};
use tiergate::fleet::message::{MeterAsk, StepObstacle};

#[test]
fn h8_a_clock_that_runs_back_opens_nothing() {
    let mut bench = Bench::new();
    assert!(bench.say(NOW, &ask(1, 1, need(100))).ok);
    let told = MeterAsk {
        spent: vec![0, 0, 100],
        ..need(0)
    };
    bench.say(NOW + 10, &ask(1, 2, told));
    let back = NOW - 500_000;
    let refused = bench.say(back, &ask(2, 1, need(1)));
    assert_eq!(
        refused.no.map(|no| (no.by, no.wait_ms)),
        Some((StepObstacle::Used, 60_250))
    );
    assert!(!bench.say(back + 60_150, &ask(2, 2, need(1))).ok);
    assert!(
        bench.say(back + 60_250, &ask(2, 3, need(1))).ok,
        "and it ends as it would have"
    );
}

/// A store of one edge that has used 50 of 100, 10 ms after [`NOW`], and holds some of the others.
fn half_used(held: u64, change: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::changed(change);
    assert!(bench.say(NOW, &ask(1, 1, need(100))).ok);
    let told = MeterAsk {
        held,
        spent: vec![0, 0, 50],
        ..need(0)
    };
    bench.say(NOW + 10, &ask(1, 2, told));
    bench
}

#[test]
fn h8_a_node_whose_clock_is_ahead_ends_no_window_early() {
    let used_at_the_end = |change: &[(&str, &str)]| {
        let mut bench = half_used(0, change);
        // The window ends 60,250 ms after the use. This clock is ahead by 1,000.
        bench.node = "two";
        bench.say(NOW + 1_020, &ask(2, 1, need(0)));
        bench.say(NOW + 61_250, &ask(2, 2, need(0))).meters[0].used
    };
    assert_eq!(used_at_the_end(&[]), 50);
    assert_eq!(
        used_at_the_end(&[("head.off = head.off - SKEW", "")]),
        0,
        "without the rule"
    );
}

#[test]
fn h8_a_refund_by_a_clock_of_before_takes_nothing_from_a_newer_use() {
    let used_then_and_at_the_end = |change: &[(&str, &str)]| {
        let mut bench = half_used(50, change);
        bench.node = "two";
        // A second after the node before was heard of last, the edge used 30 more.
        let older = MeterAsk {
            held: 20,
            spent: vec![50, 1_000, 80],
            ..need(0)
        };
        bench.say(NOW + 2_010, &ask(1, 3, older));
        let newer = MeterAsk {
            spent: vec![80, 0, 100],
            ..need(0)
        };
        bench.say(NOW + 2_500, &ask(1, 4, newer));
        let refund = MeterAsk {
            spent: vec![100],
            refunded: vec![0, NOW + 1_010, 30],
            ..need(0)
        };
        let used = bench.say(NOW + 2_510, &ask(1, 5, refund)).meters[0].used;
        // All but the newer use is over.
        let end = NOW + 2_500 + 60_000;
        (used, bench.say(end, &ask(2, 1, need(0))).meters[0].used)
    };
    assert_eq!(used_then_and_at_the_end(&[]), (70, 20));
    let rule = [("t = head.moved - 2 * SKEW", "")];
    assert_eq!(used_then_and_at_the_end(&rule), (80, 0), "without the rule");
}

#[test]
fn an_answer_that_is_repeated_tells_the_present_clock() {
    let mut bench = Bench::new();
    let first = bench.say(NOW, &ask(1, 1, need(1)));
    let again = bench.say(NOW + 700, &ask(1, 1, need(1)));
    assert_eq!((first.clock, again.clock), (NOW, NOW + 700));
    assert_eq!(first.time, again.time);
}

#[test]
fn h8_what_is_used_after_a_reset_at_a_new_node_counts() {
    let mut bench = half_used(0, &[]);
    bench.generation = bench.reset(NOW + 2_000);
    bench.node = "two";
    let told = MeterAsk {
        spent: vec![50, 0, 80],
        ..need(0)
    };
    let answer = bench.say(NOW + 2_010, &ask(1, 3, told));
    assert_eq!((answer.meters[0].used, answer.time), (30, NOW + 2_000));
}
