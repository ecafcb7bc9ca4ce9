//! The controller against its predecessor, [`super::reference`]: the same numbers to the last bit.

use super::{
    Adaptive, Candidate, Controller, Observed, Origin, Ownership, Part, Policy, Recent, reference,
};
use crate::limits::Scale;
use crate::time::{Mono, Span};
use proptest::prelude::*;
use proptest::sample::select;

const START: u64 = 1_000_000;

/// What one config does on one tick.
#[derive(Clone, Debug)]
struct Tick {
    config: usize,
    observed: Observed,
    pause_ms: i64,
}

fn policy() -> impl Strategy<Value = Policy> {
    let origin = select(vec![Origin::Overload, Origin::Header("x-load".to_owned())]);
    let range = (0..1_200_000_u32, 1..1_000_000_u32);
    let weights = prop::collection::vec(0..4_u32, 1..5);
    let times = (500..5_000_u64, 1..60_000_u64, 1..20_000_u64);
    let floor = 0..1_000_000_u32;
    (origin, range, weights, times, floor).prop_map(
        |(origin, (start, above), weights, (interval, smooth, hold), floor)| Policy {
            origin,
            start: Part::from_millionths(start),
            full: Part::from_millionths(start + above),
            floor: Scale::from_millionths(floor),
            weights: (0..)
                .zip(weights)
                .map(|(i, weight): (u32, u32)| (format!("tier{i}"), weight))
                .collect(),
            interval: Span::from_millis(interval),
            smooth: Span::from_millis(smooth),
            hold: Span::from_millis(hold),
        },
    )
}

/// Policies near the defaults, under which long recoveries take place.
fn usual() -> impl Strategy<Value = Policy> {
    (policy(), any::<bool>()).prop_map(|(policy, by_overload)| {
        let (origin, start, full) = match by_overload {
            true => (Origin::Overload, 10_000, 500_000),
            false => (Origin::Header("x-load".to_owned()), 800_000, 1_000_000),
        };
        Policy {
            origin,
            start: Part::from_millionths(start),
            full: Part::from_millionths(full),
            interval: Span::from_millis(500),
            hold: Span::from_millis(2_000),
            ..policy
        }
    })
}

/// Phases of one mood each: how many ticks, of which configs, at what load.
fn ticks(configs: usize) -> impl Strategy<Value = Vec<Tick>> {
    let pause = prop_oneof![
        20 => Just(500_i64), 10 => 0..1_500_i64, 1 => 8_000..40_000_i64, 1 => -20_000..0_i64
    ];
    let observed = prop_oneof![
        4 => (0..200_u64).prop_map(|answers| (answers, 0.0, 0.0)),
        4 => (0..200_u64, 0.0..1.0_f64).prop_map(|(answers, share)| (answers, share, share)),
        2 => (0..200_u64, 0.0..0.02_f64, 0.7..1.1_f64),
        1 => (0..200_u64, 0.0..1.0_f64, 0.0..10.0_f64),
        1 => Just((0, 0.0, 0.0)),
    ];
    let config = prop_oneof![5 => Just(0), 1 => 0..configs];
    let phase = (1..80_usize, config, observed, pause);
    let phases = prop::collection::vec(phase, 1..20);
    (phases, any::<bool>()).prop_map(|(phases, has_both)| {
        let tick = |(count, config, (n, share, load), pause_ms): (usize, _, (u64, f64, f64), _)| {
            let reports = if has_both { n } else { n / 2 };
            let observed = Observed {
                answers: n,
                overloaded: (n as f64 * share) as u64,
                reports,
                sum: (reports as f64 * load * 1e6) as u64,
                unreadable: n % 2,
            };
            let tick = Tick {
                config,
                observed,
                pause_ms,
            };
            vec![tick; count]
        };
        phases.into_iter().flat_map(tick).collect()
    })
}

/// The predecessor's state in the new types.
fn in_new_types(old: &reference::Controller) -> Adaptive {
    let part = |millionths: u32| {
        let part = Part::from_millionths(millionths);
        assert_eq!(part.millionths(), millionths, "out of a part's bounds");
        part
    };
    Adaptive {
        ownership: Ownership {
            kind: old.from,
            policy_hash: old.policy,
            configured: old.configured,
            last_step: old.stepped,
        },
        observed: old.observed,
        controller: Controller {
            load: part(old.load),
            last_observed: old.reported,
            recent: Recent {
                answers: old.late.0,
                overloaded: old.late.1,
            },
            pressure: part(old.pressure),
            last_increase: old.rose,
            hold_since: old.kept,
            just_cut: old.cut,
            knee: part(old.edge),
            recovery_steps: old.eased,
        },
        tiers: old.tiers.clone(),
    }
}

fn replay(candidates: &[Candidate], ticks: &[Tick]) -> Result<u32, TestCaseError> {
    let (mut ours, mut theirs) = (Adaptive::default(), reference::Controller::default());
    let (mut ms, mut events) = (START, 0);
    for tick in ticks {
        ms = ms.saturating_add_signed(tick.pause_ms);
        let now = Mono::from_millis(ms);
        let candidate = &candidates[tick.config];
        ours.correct(now);
        theirs.correct(now);
        let event = ours.advance(&tick.observed, candidate, now);
        let reference = theirs.advance(&tick.observed, candidate, now);
        prop_assert_eq!(&event, &reference);
        events += u32::from(event.is_some());
        prop_assert_eq!(&ours, &in_new_types(&theirs));
        prop_assert_eq!(ours.is_fresh(now), theirs.is_fresh(now));
        for policy in [None, Some(&candidate.policy)] {
            prop_assert_eq!(ours.lowering("tier0", policy), theirs.of("tier0", policy));
        }
    }
    Ok(events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decides_as_its_predecessor_to_the_last_bit(
        policies in prop::collection::vec(prop_oneof![policy(), usual()], 3),
        configured in prop::collection::vec(0..START, 4),
        ticks in ticks(4),
    ) {
        // The fourth config has the policy of the first.
        let configs = policies.iter().cycle().zip(configured);
        let candidates: Vec<_> = configs
            .map(|(policy, ms)| Candidate::new(policy.clone(), Mono::from_millis(ms)))
            .collect();
        replay(&candidates, &ticks)?;
    }
}
