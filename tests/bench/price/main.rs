//! What a request costs: CPU time of the Envoy process, with and without the filter.
//!
//! Run by `make bench`; docs/bench.md says what each row means and how far to trust a number. It
//! measures and asserts no time: an error is a row that does not do what its name says.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss
)]

#[path = "../../harness/bootstrap.rs"]
mod bootstrap;
#[path = "../../harness/client.rs"]
mod client;
mod filters;
mod measure;
#[path = "../../harness/meter.rs"]
mod meter;
mod options;
mod process;
mod report;
mod rows;
#[path = "../../harness/stack.rs"]
mod stack;
mod traffic;

use options::Options;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let options = Options::from_env()?;
    let tables = rows::tables(&options)?;
    let rows = || tables.iter().flat_map(|table| &table.rows);
    let round: Duration = rows().map(|row| row.warm_up + options.length).sum();
    let all = round.as_secs_f64() * (options.processes * options.rounds) as f64;
    eprintln!(
        "{} rows, {:.0} minutes and the starts",
        rows().count(),
        all / 60.0
    );
    for table in tables {
        let name = table.name;
        let measured = measure::measure(table, &options)?;
        report::print(name, &measured, &options);
    }
    Ok(())
}
