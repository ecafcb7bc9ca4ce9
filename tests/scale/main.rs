//! What a ledger of many live accounts costs: CPU of a request, memory of an account, time to start.
//!
//! Run by `make scale`; docs/scale.md has the settings, and says what each column means. All Envoys
//! are up at the same time, one for each number of accounts, and are measured in turn. It asserts no
//! time and no size: an error is a request that was not admitted.
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

#[path = "../harness/bootstrap.rs"]
mod bootstrap;
#[path = "../harness/client.rs"]
mod client;
#[path = "../harness/document.rs"]
mod document;
#[path = "../harness/meter.rs"]
mod meter;
mod options;
mod plot;
mod process;
#[path = "../harness/stack.rs"]
mod stack;
mod table;
#[path = "../bench/price/traffic.rs"]
mod traffic;

use options::Options;
use process::{Process, Start, WINDOW};
use std::process::ExitCode;
use std::time::Instant;

/// One number of accounts, measured; without accounts, an Envoy without the filter.
pub struct Scale {
    pub accounts: Option<u32>,
    /// True for settlements that join the next write of their page.
    pub joins: bool,
    pub starts: Vec<Start>,
    /// CPU of a request by round, in microseconds.
    pub cpu: Vec<f64>,
    /// Memory after the last pass.
    pub memory: process::Memory,
    pub ledger: process::LedgerState,
}

fn main() -> ExitCode {
    let measured = Options::from_env().and_then(|options| {
        let scales = run(&options)?;
        table::publish(&scales, &options).map_err(|error| error.to_string())?;
        plot::draw(&scales, &options).map_err(|error| error.to_string())
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Vec<Scale>, String> {
    let filters = options.accounts.iter().copied().map(Some);
    let filters = filters.flat_map(|accounts| [(accounts, false), (accounts, true)]);
    let rows: Vec<_> = std::iter::once((None, false)).chain(filters).collect();
    let (processes, starts) = start(&rows, options);
    let loaded = Instant::now();
    for pass in 1..=options.requests {
        for process in &processes {
            process.load(pass)?;
        }
    }
    let states = processes.iter().map(Process::state);
    let states: Vec<_> = states.zip(processes.iter().map(Process::memory)).collect();
    let cpu = measure(&processes, options)?;
    if loaded.elapsed() > WINDOW {
        return Err(format!(
            "accounts ended while they were measured: {:?} is over the window of {WINDOW:?}",
            loaded.elapsed()
        ));
    }
    let rows = rows.into_iter().zip(starts).zip(cpu);
    let scale = |((((accounts, joins), starts), cpu), (ledger, memory))| Scale {
        accounts,
        joins,
        starts,
        cpu,
        memory,
        ledger,
    };
    Ok(rows.zip(states).map(scale).collect())
}

/// Starts each Envoy several times, and keeps the last of each.
fn start(rows: &[(Option<u32>, bool)], options: &Options) -> (Vec<Process>, Vec<Vec<Start>>) {
    let mut times = vec![Vec::new(); rows.len()];
    let mut kept: Vec<Option<Process>> = rows.iter().map(|_| None).collect();
    for round in 1..=options.starts {
        eprintln!("start {round} of {}", options.starts);
        for row in shuffled(rows.len()) {
            kept[row] = None;
            let (process, start) = Process::start(rows[row]);
            times[row].push(start);
            kept[row] = Some(process);
        }
    }
    (kept.into_iter().map(Option::unwrap).collect(), times)
}

/// Measures each Envoy once a round, in random order. Returns the CPU by Envoy and round.
fn measure(processes: &[Process], options: &Options) -> Result<Vec<Vec<f64>>, String> {
    let mut cpu = vec![Vec::new(); processes.len()];
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for row in shuffled(processes.len()) {
            cpu[row].push(processes[row].measure(options.length)?);
        }
    }
    Ok(cpu)
}

fn shuffled(length: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..length).collect();
    fastrand::shuffle(&mut order);
    order
}
