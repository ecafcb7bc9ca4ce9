//! The closed loop of load, measured: an upstream loses half of its capacity for 30 s, with limits
//! that stay and with limits that give way. Run by `make load`.
//!
//! Prints each second of both runs side by side and a summary, and draws a plot where `LOAD_PLOT`
//! says. `LOAD_CONFIG` is the config's `load` in the second run; with `none`,
//! there is no second run. `LOAD_BEFORE` is the path of another module, which then plays a third run.
#![allow(missing_docs, dead_code, clippy::restriction)]

#[path = "../harness/envoy.rs"]
mod harness;
mod plot;
mod scenario;
mod table;

use scenario::{Record, Scenario};
use std::path::PathBuf;
use std::time::Duration;

/// Limits give way to the upstream's own errors.
const LOAD: &str = r#"{"from": "overload", "floor": 0.2, "interval": "500ms"}"#;

/// One run of the scenario.
pub struct Run {
    name: &'static str,
    scenario: Scenario,
    record: Record,
}

fn run(name: &'static str, load: Option<String>, module: Option<PathBuf>) -> Run {
    let scenario = Scenario {
        warm_up: Duration::from_secs(15),
        halved: Duration::from_secs(30),
        recovery: Duration::from_secs(40),
        accounts: 8,
        load,
        module,
    };
    let record = scenario.run();
    Run {
        name,
        scenario,
        record,
    }
}

fn main() {
    let load = std::env::var("LOAD_CONFIG").unwrap_or_else(|_| LOAD.to_owned());
    let mut runs = vec![run("limits stay", None, None)];
    if load != "none" {
        runs.push(run("limits give way", Some(load.clone()), None));
        if let Some(module) = std::env::var_os("LOAD_BEFORE") {
            let module = std::path::absolute(module).expect("a path");
            runs.push(run("the same, before", Some(load), Some(module)));
        }
    }
    table::seconds(&runs);
    table::summary(&runs);
    if let Some(path) = std::env::var_os("LOAD_PLOT") {
        let drawn = runs.get(..2).unwrap_or(&runs);
        plot::draw(drawn, path.as_ref()).unwrap();
    }
}
