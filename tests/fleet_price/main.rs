//! What a fleet costs a request: latency and CPU, beside an Envoy without a filter, and beside Envoy's
//! own `ratelimit` filter, which asks a rate-limit service each time.
//!
//! Run by `make fleet-price`; docs/scaling.md says what each row is. It asserts no time: an error is a
//! row that does not do what its name says.
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
mod latency;
#[path = "../harness/meter.rs"]
mod meter;
#[path = "../harness/ports.rs"]
mod ports;
#[path = "../fleet/redis_server.rs"]
mod redis_server;
mod rows;
#[path = "../harness/stack.rs"]
mod stack;
mod table;

use latency::Latency;
use meter::{Meter, cpu_ns};
use rows::{Row, Running};
use std::process::ExitCode;
use std::time::Duration;

/// Times that each row is measured, in random order.
const ROUNDS: usize = 3;
/// The length of one measurement, and of the warm-up before it.
const LENGTH: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(2);

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub latency: Latency,
    /// CPU of Envoy a request, and of what it asks, in microseconds.
    pub envoy_us: f64,
    pub service_us: f64,
    /// Requests that waited for the service, as a part of all.
    pub asked: f64,
}

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
    let rows = rows::all();
    let running: Vec<_> = rows.iter().map(Row::start).collect();
    let mut samples = vec![Vec::new(); rows.len()];
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let mut order: Vec<_> = (0..rows.len()).collect();
        fastrand::shuffle(&mut order);
        for at in order {
            samples[at].push(measure(&rows[at], &running[at])?);
        }
    }
    let all: Vec<_> = rows.iter().map(|row| row.name).zip(samples).collect();
    table::publish(&all).map_err(|error| error.to_string())
}

fn measure(row: &Row, running: &Running) -> Result<Sample, String> {
    latency::wrk(running.stack.proxy, row.accounts, WARM_UP);
    let meter = Meter::new();
    let services = || running.services.iter().map(|pid| cpu_ns(*pid)).sum::<u64>();
    let asks = || running.stack.stat(&["tiergate_fleet_asks"]);
    let before = (meter.read(&running.stack), services(), asks());
    let latency = latency::wrk(running.stack.proxy, row.accounts, LENGTH);
    // Counts of the last requests come with a tick.
    std::thread::sleep(Duration::from_millis(600));
    let after = (meter.read(&running.stack), services(), asks());
    let counts = after.0.1.since(&before.0.1);
    if counts.ok != counts.replies {
        return Err(format!(
            "{}: {} of {} replies were 200",
            row.name, counts.ok, counts.replies
        ));
    }
    let requests = counts.replies as f64;
    let us = |ns: u64| ns as f64 / 1_000.0 / requests;
    let sample = Sample {
        latency,
        envoy_us: us(after.0.0 - before.0.0),
        service_us: us(after.1 - before.1),
        asked: (after.2 - before.2) as f64 / requests,
    };
    if row.asks_each_time() && sample.service_us < 1.0 {
        return Err(format!("{}: the service does nothing", row.name));
    }
    match row.asks.contains(&sample.asked) {
        true => Ok(sample),
        false => Err(format!(
            "{}: {:.3} of the requests asked, with {} failed messages",
            row.name,
            sample.asked,
            running.stack.stat(&["tiergate_fleet_failures"]),
        )),
    }
}
