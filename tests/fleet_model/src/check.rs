//! One run of the checker, and what it found.

use crate::Setup;
use stateright::{Checker as _, HasDiscoveries, Model as _};
use std::time::{Duration, Instant};

/// The longest that a check may take, on one core.
const LONGEST: Duration = Duration::from_secs(120);

/// The states that a check may generate: each new one is kept until its turn, which takes memory.
const MOST: usize = 10_000_000;

/// What a check found.
#[derive(Debug)]
pub struct Outcome {
    /// The property that does not hold, and the shortest way to a state where it does not.
    pub violated: Option<(&'static str, Vec<String>)>,
    /// Whether the whole limit was used in some state: else the check would say nothing.
    pub uses_all: bool,
}

/// Explores all states, or those up to the first that is wrong; prints how many, and the time.
///
/// # Panics
///
/// When it takes longer than two minutes, or too many states.
pub fn check(name: &str, setup: &Setup) -> Outcome {
    let start = Instant::now();
    let checker = setup.clone().checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker
        .timeout(LONGEST)
        .target_state_count(MOST)
        .spawn_bfs()
        .join();
    let time = start.elapsed();
    let states = checker.unique_state_count();
    println!(
        "{name:<40} {states:>10} states, {:>5.1} s",
        time.as_secs_f64()
    );
    let mut found = Outcome {
        violated: None,
        uses_all: false,
    };
    for (property, path) in checker.discoveries() {
        if property == crate::world::USES_ALL {
            found.uses_all = true;
            continue;
        }
        let actions = path
            .into_actions()
            .iter()
            .map(ToString::to_string)
            .collect();
        found.violated = Some((property, actions));
    }
    let whole = time < LONGEST && checker.state_count() < MOST;
    assert!(found.violated.is_some() || whole, "{name} is too large");
    found
}
