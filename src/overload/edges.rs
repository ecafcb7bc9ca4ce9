//! Each decision of a step, on both sides of its edge.

use super::{Controller, Observed, Origin, Part, Policy, Recent, Sample};
use crate::limits::Scale;
use crate::time::{Mono, Span};

const NOW: Mono = Mono::from_millis(10_000_000);

fn part(value: f64) -> Part {
    Part::from_f64(value)
}

fn ago(ms: u64) -> Mono {
    NOW.before(Span::from_millis(ms))
}

/// A policy from 0.5 to 1, without a hold.
fn policy(origin: Origin) -> Policy {
    Policy {
        origin,
        start: part(0.5),
        full: part(1.0),
        floor: Scale::from_millionths(200_000),
        weights: vec![("tier0".to_owned(), 1)],
        interval: Span::from_secs(1),
        smooth: Span::from_secs(1),
        hold: Span::ZERO,
    }
}

/// A controller at half pressure, in the fifth step of a recovery.
fn before() -> Controller {
    Controller {
        last_observed: ago(1_000),
        pressure: part(0.5),
        hold_since: ago(2_000),
        recovery_steps: 4,
        ..Controller::default()
    }
}

fn step(before: Controller, observed: Observed, origin: Origin) -> Controller {
    let sample = Sample {
        observed,
        last_step: ago(1_000),
        now: NOW,
    };
    before.step(&sample, &policy(origin))
}

fn aimd(before: Controller, answers: u64, overloaded: u64) -> Controller {
    let observed = Observed {
        answers,
        overloaded,
        ..Observed::default()
    };
    step(before, observed, Origin::Overload)
}

fn proportional(before: Controller, load: Option<f64>) -> Controller {
    let sum = load.map(part).unwrap_or_default();
    let observed = Observed {
        reports: load.is_some().into(),
        sum: sum.into(),
        ..Observed::default()
    };
    step(before, observed, Origin::Header("x-load".to_owned()))
}

#[test]
fn a_cut_needs_a_share_over_start_of_enough_answers() {
    let pressure = |answers, overloaded| aimd(before(), answers, overloaded).pressure;
    assert_eq!(pressure(20, 10), part(0.5), "at start");
    assert!(pressure(20, 11) > part(0.5), "over start");
    assert_eq!(pressure(9, 9), part(0.5), "too few answers");
    assert!(pressure(10, 10) > part(0.5));
    let low = |answers, overloaded| {
        let policy = Policy {
            start: part(0.1),
            ..policy(Origin::Overload)
        };
        let observed = Observed {
            answers,
            overloaded,
            ..Observed::default()
        };
        let sample = Sample {
            observed,
            last_step: ago(1_000),
            now: NOW,
        };
        before().step(&sample, &policy).pressure
    };
    assert_eq!(low(12, 2), part(0.5), "too few overloaded answers");
    assert!(low(12, 3) > part(0.5));
}

#[test]
fn a_recovery_needs_a_share_up_to_half_of_start() {
    let at_half = aimd(before(), 20, 5);
    assert_eq!((at_half.pressure, at_half.recovery_steps), (part(0.475), 5));
    let over_half = aimd(before(), 20, 6);
    assert_eq!(
        (over_half.pressure, over_half.recovery_steps),
        (part(0.5), 0)
    );
    assert_eq!(over_half.hold_since, NOW);
}

#[test]
fn recent_answers_lose_a_quarter_in_each_step_and_all_in_a_cut() {
    let recent = Recent {
        answers: 40_000,
        overloaded: 12_000,
    };
    let after = aimd(Controller { recent, ..before() }, 1, 0);
    assert_eq!(
        after.recent,
        Recent {
            answers: 31_000,
            overloaded: 9_000
        }
    );
    let after = aimd(before(), 100, 100);
    assert_eq!((after.recent, after.just_cut), (Recent::default(), true));
}

#[test]
fn an_admission_under_two_percent_is_none() {
    let pressure = |before_cut| {
        let pressure = part(before_cut);
        aimd(
            Controller {
                pressure,
                ..before()
            },
            100,
            100,
        )
        .pressure
    };
    assert_eq!(pressure(0.959), part(0.9795));
    assert_eq!(pressure(0.961), Part::ONE);
}

/// A share of 0.4 would hold the pressure.
#[test]
fn after_thirty_seconds_without_an_answer_the_knee_is_forgotten_and_recovery_begins() {
    let silent = |ms| {
        let recent = Recent {
            answers: 40_000,
            overloaded: 16_000,
        };
        let last_observed = ago(ms);
        aimd(
            Controller {
                recent,
                last_observed,
                knee: part(0.5),
                ..before()
            },
            0,
            0,
        )
    };
    let (before, after) = (silent(29_999), silent(30_000));
    assert_eq!((before.pressure, before.knee), (part(0.5), part(0.5)));
    assert_eq!((after.pressure, after.knee), (part(0.475), Part::ZERO));
    assert_eq!(after.hold_since, Mono::default());
}

#[test]
fn after_thirty_seconds_without_a_report_the_load_is_gone() {
    let silent = |ms, load| {
        let (last_observed, smoothed) = (ago(ms), part(0.75));
        proportional(
            Controller {
                last_observed,
                load: smoothed,
                ..before()
            },
            load,
        )
    };
    assert_eq!(silent(29_999, None).load, part(0.75));
    assert_eq!(silent(30_000, None).load, Part::ZERO);
    // A report after the silence weighs as one after a single interval.
    assert_eq!(silent(30_000, Some(1.25)).load, part(1.0));
    assert_eq!(
        silent(29_000, Some(1.25)).load,
        part(0.75 + 0.5 * 29.0 / 30.0)
    );
}

#[test]
fn a_target_in_the_dead_band_holds_the_pressure() {
    let held = |pressure, load| {
        let (pressure, load) = (part(pressure), part(load));
        proportional(
            Controller {
                pressure,
                load,
                ..before()
            },
            None,
        )
        .pressure
            == pressure
    };
    // Loads of 0.76 and 0.725 are targets of 0.52 and 0.45.
    assert!(held(0.501, 0.76) && !held(0.499, 0.76));
    assert!(held(0.499, 0.725) && !held(0.501, 0.725));
    assert!(!held(0.99, 1.0), "the whole is always reached");
    assert!(!held(0.01, 0.5), "so is nothing");
}

#[test]
fn near_the_knee_ends_below_it() {
    let steps = |pressure| {
        let (pressure, knee) = (part(pressure), part(0.5));
        aimd(
            Controller {
                pressure,
                knee,
                ..before()
            },
            20,
            0,
        )
        .recovery_steps
    };
    assert_eq!((steps(0.53), steps(0.47)), (1, 5));
}

#[test]
fn fields_out_of_their_bounds_are_corrected() {
    let late = NOW.after(Span::from_secs(1));
    let mut controller = Controller {
        last_observed: late,
        last_increase: late,
        hold_since: late,
        pressure: Part::LARGEST,
        knee: Part::LARGEST,
        ..Controller::default()
    };
    controller.correct(NOW);
    let expected = Controller {
        last_observed: NOW,
        last_increase: NOW,
        hold_since: NOW,
        pressure: Part::ONE,
        knee: Part::ONE,
        ..Controller::default()
    };
    assert_eq!(controller, expected);
}
