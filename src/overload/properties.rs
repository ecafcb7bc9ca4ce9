//! Properties of the pure step, for any controller and any sample, not for reachable ones alone.

use super::controller::{DEAD_BAND, INCREASE_STEP, SIGNAL_TTL};
use super::{Controller, Observed, Origin, Part, Policy, Recent, Sample};
use crate::limits::Scale;
use crate::time::{Mono, Span};
use proptest::prelude::*;

const NOW: u64 = 10_000_000;
const INTERVAL_MS: u64 = 1_000;

fn policy(origin: Origin) -> impl Strategy<Value = Policy> {
    let load = (0..1_200_000_u32, 1..1_000_000_u32);
    (load, 1..60_000_u64, 1..60_000_u64).prop_map(move |((start, above), smooth, hold)| Policy {
        origin: origin.clone(),
        start: Part::from_millionths(start),
        full: Part::from_millionths(start + above),
        floor: Scale::from_millionths(200_000),
        weights: vec![("tier0".to_owned(), 1)],
        interval: Span::from_millis(INTERVAL_MS),
        smooth: Span::from_millis(smooth),
        hold: Span::from_millis(hold),
    })
}

fn by_overload() -> impl Strategy<Value = Policy> {
    policy(Origin::Overload)
}

fn by_header() -> impl Strategy<Value = Policy> {
    policy(Origin::Header("x-load".to_owned()))
}

fn part(largest: Part) -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::ZERO),
        Just(largest),
        (0..=largest.millionths()).prop_map(Part::from_millionths)
    ]
}

/// A moment up to a minute and a half before [`NOW`].
fn moment() -> impl Strategy<Value = Mono> {
    (0..90_000_u64).prop_map(|ago| Mono::from_millis(NOW - ago))
}

fn controller() -> impl Strategy<Value = Controller> {
    let parts = (part(Part::LARGEST), part(Part::ONE), part(Part::ONE));
    let times = (moment(), moment(), moment());
    let recent = (0..1_000_000_u64, 0.0..=1.0_f64);
    (parts, times, recent, 0..300_u32, any::<bool>()).prop_map(
        |((load, pressure, knee), times, (answers, share), recovery_steps, just_cut)| Controller {
            load,
            last_observed: times.0,
            recent: Recent {
                answers,
                overloaded: (answers as f64 * share) as u64,
            },
            pressure,
            last_increase: times.1,
            hold_since: times.2,
            just_cut,
            knee,
            recovery_steps,
        },
    )
}

fn observed() -> impl Strategy<Value = Observed> {
    let load = 0..=Part::LARGEST.millionths();
    (0..1_000_u64, 0.0..=1.0_f64, 0..1_000_u64, load).prop_map(|(answers, share, reports, load)| {
        Observed {
            answers,
            overloaded: (answers as f64 * share) as u64,
            reports,
            sum: reports * u64::from(load),
            unreadable: 0,
        }
    })
}

fn sample(observed: Observed, now: u64) -> Sample {
    Sample {
        observed,
        last_step: Mono::from_millis(now - INTERVAL_MS),
        now: Mono::from_millis(now),
    }
}

/// Answers without overload.
fn calm(answers: u64) -> Observed {
    Observed {
        answers,
        ..Observed::default()
    }
}

/// Reports of one load.
fn reports(load: Part) -> Observed {
    Observed {
        reports: 1,
        sum: load.into(),
        ..Observed::default()
    }
}

/// The controllers after each of `count` steps with the same observations.
fn steps(
    start: Controller,
    observed: Observed,
    policy: &Policy,
    count: u64,
) -> impl Iterator<Item = Controller> {
    let mut controller = start;
    (1..=count).map(move |i| {
        controller = controller.step(&sample(observed, NOW + i * INTERVAL_MS), policy);
        controller
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn pressure_stays_from_zero_to_one(
        before in controller(), observed in observed(), policy in prop_oneof![by_overload(), by_header()]
    ) {
        let after = before.step(&sample(observed, NOW), &policy);
        prop_assert!(after.pressure <= Part::ONE);
        prop_assert!(after.knee <= Part::ONE);
    }

    #[test]
    fn last_increase_is_the_time_of_the_last_increase(
        before in controller(), observed in observed(), policy in prop_oneof![by_overload(), by_header()]
    ) {
        let sample = sample(observed, NOW);
        let after = before.step(&sample, &policy);
        let is_higher = after.pressure > before.pressure;
        let expected = if is_higher { sample.now } else { before.last_increase };
        prop_assert_eq!(after.last_increase, expected);
    }

    #[test]
    fn without_overloaded_answers_the_pressure_never_rises(
        before in controller(), answers in 0..1_000_u64, policy in by_overload()
    ) {
        let recent = Recent { overloaded: 0, ..before.recent };
        let before = Controller { recent, ..before };
        let after = before.step(&sample(calm(answers), NOW), &policy);
        prop_assert!(after.pressure <= before.pressure);
    }

    #[test]
    fn without_a_load_over_start_the_pressure_never_rises(
        before in controller(), load in any::<u32>(), policy in by_header()
    ) {
        let start = policy.start;
        let before = Controller { load: before.load.min(start), ..before };
        let load = Part::from_millionths(load).min(start);
        let after = before.step(&sample(reports(load), NOW), &policy);
        prop_assert!(after.load <= start);
        prop_assert!(after.pressure <= before.pressure);
    }

    #[test]
    fn overloaded_answers_never_lower_the_pressure(
        before in controller(), answers in 10..1_000_u64, policy in by_overload()
    ) {
        let observed = Observed { answers, overloaded: answers, ..Observed::default() };
        let recent = Recent::default();
        let policy = Policy { start: policy.start.min(Part::from_millionths(999_999)), ..policy };
        let before = Controller { recent, ..before };
        let after = before.step(&sample(observed, NOW), &policy);
        prop_assert!(after.pressure >= before.pressure);
        let is_cut = !before.just_cut && before.pressure < Part::ONE;
        prop_assert_eq!(after.pressure > before.pressure, is_cut);
    }

    #[test]
    fn the_pressure_falls_only_after_hold_or_without_a_signal(
        before in controller(), observed in observed(), policy in prop_oneof![by_overload(), by_header()]
    ) {
        let sample = sample(observed, NOW);
        let after = before.step(&sample, &policy);
        let has_held = sample.now.since(before.hold_since) >= policy.hold;
        let is_silent = sample.now.since(before.last_observed) >= SIGNAL_TTL;
        prop_assert!(after.pressure >= before.pressure || has_held || is_silent);
    }

    /// The recovery needs at most 200 steps of the smallest size, and the hold before them.
    #[test]
    fn in_a_calm_the_pressure_falls_to_zero_and_never_rises_on_the_way(
        before in controller(), answers in 1..1_000_u64, policy in by_overload()
    ) {
        let recent = Recent { overloaded: 0, ..before.recent };
        let mut last = Controller { recent, ..before };
        let count = policy.hold.as_millis().div_ceil(INTERVAL_MS) + 202;
        for next in steps(last, calm(answers), &policy, count) {
            prop_assert!(next.pressure <= last.pressure);
            last = next;
        }
        prop_assert_eq!(last.pressure, Part::ZERO);
    }

    #[test]
    fn at_a_steady_load_a_recovery_ends_at_its_target_and_never_below(
        before in controller(), load in 0..=1_500_000_u32, policy in by_header()
    ) {
        let load = Part::from_millionths(load);
        let target = policy.strength(load.as_f64());
        let mut last = Controller { load, pressure: Part::ONE, ..before };
        let count = policy.hold.as_millis().div_ceil(INTERVAL_MS) + 202;
        for next in steps(last, reports(load), &policy, count) {
            prop_assert!(next.pressure <= last.pressure);
            prop_assert!(next.pressure >= Part::from_f64(target));
            last = next;
        }
        let (_, below) = DEAD_BAND;
        let is_reached = last.pressure.as_f64() <= target + below;
        prop_assert!(is_reached && (target > 0.0 || last.pressure == Part::ZERO));
    }

    #[test]
    fn near_the_knee_a_recovery_takes_the_smallest_step(
        before in controller(), policy in by_overload(), knee in 40_000..900_000_u32,
        distance in -20_000..20_000_i32
    ) {
        let pressure = Part::from_millionths(knee.saturating_add_signed(distance));
        let before = Controller {
            pressure,
            knee: Part::from_millionths(knee),
            recent: Recent::default(),
            hold_since: Mono::from_millis(NOW - policy.hold.as_millis()),
            just_cut: false,
            ..before
        };
        let after = before.step(&sample(calm(1), NOW), &policy);
        let smallest = Part::from_f64(pressure.as_f64() - INCREASE_STEP);
        prop_assert_eq!(after.pressure, smallest);
    }

    #[test]
    fn the_step_after_a_cut_changes_no_pressure(
        before in controller(), observed in observed(), policy in by_overload()
    ) {
        let before = Controller { just_cut: true, ..before };
        let after = before.step(&sample(observed, NOW), &policy);
        prop_assert_eq!(after.pressure, before.pressure);
        prop_assert_eq!(after.recent, Recent::default());
        prop_assert!(!after.just_cut);
    }
}
