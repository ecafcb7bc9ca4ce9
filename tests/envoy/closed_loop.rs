//! An upstream loses half of its capacity and gets it back.

use crate::scenario::{Scenario, Summary, TIERS};
use std::time::Duration;

fn play(halved: u64, recovery: u64, load: Option<&str>) -> Summary {
    let scenario = Scenario {
        warm_up: Duration::from_secs(8),
        halved: Duration::from_secs(halved),
        recovery: Duration::from_secs(recovery),
        accounts: 4,
        load: load.map(str::to_owned),
        module: None,
    };
    let summary = Summary::of(&scenario, &scenario.run());
    assert_eq!(summary.other, 0, "{summary:?}");
    // The upstream as a whole can do what the limits admit.
    assert!(summary.errors_before < summary.errors_halved, "{summary:?}");
    summary
}

#[test]
fn limits_that_stay_leave_an_overloaded_upstream_to_its_errors() {
    let summary = play(4, 1, None);
    assert!(summary.errors_halved > 0.3, "{summary:?}");
    assert_eq!(summary.fell, [None; TIERS], "{summary:?}");
}

#[test]
fn limits_that_give_way_end_the_errors_and_come_back_and_the_highest_tier_falls_last() {
    let load = r#"{"from": "overload", "floor": 0.2, "interval": "500ms"}"#;
    // docs/load.md says that limits are back within 30 s.
    let summary = play(14, 30, Some(load));
    assert!(summary.first_well.is_some(), "errors end: {summary:?}");
    // How much rarer, `make load` shows.
    assert!(summary.errors_then < summary.errors_halved, "{summary:?}");
    assert!(summary.back.is_some(), "limits come back: {summary:?}");
    // The lowest tier gives way, and no tier before it or after the highest.
    let never = Duration::MAX;
    let fell = summary.fell.map(|fell| fell.unwrap_or(never));
    assert!(fell[0] < never, "{summary:?}");
    assert_eq!(fell.iter().min(), Some(&fell[0]), "{summary:?}");
    assert_eq!(fell.iter().max(), Some(&fell[TIERS - 1]), "{summary:?}");
    let served = summary.served;
    assert!(served[TIERS - 1] > 2.0 * served[0], "{summary:?}");
}
