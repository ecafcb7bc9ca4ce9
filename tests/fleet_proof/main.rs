//! The fleet's promises with real processes: Redis, services, three Envoys with two workers each and
//! the demo upstream, judged by a ledger of the clients. Run by `make fleet-proof`.
#![allow(missing_docs, dead_code, clippy::restriction)]

mod acceptance;
#[path = "../harness/bootstrap.rs"]
mod bootstrap;
#[path = "../harness/client.rs"]
mod client;
#[path = "../harness/config.rs"]
mod config;
#[path = "../envoy/fleet_service.rs"]
mod fleet_service;
#[path = "../harness/fleet.rs"]
mod fleet_store;
mod judge;
mod ledger;
mod options;
#[path = "../harness/ports.rs"]
mod ports;
mod proxy;
#[path = "../fleet/redis_server.rs"]
mod redis_server;
mod rig;
mod rows;
#[path = "../fleet/service.rs"]
mod service;
#[path = "../harness/stack.rs"]
mod stack;
mod table;

use judge::{Judged, saw, verdict};
use options::Options;
use rig::Rig;
use rows::Row;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::from_env() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let accepted = acceptance::ROWS
        .iter()
        .filter(|row| options.wants(row.name, row.is_long));
    let accepted: Vec<_> = accepted
        .map(|row| {
            eprintln!("{}", row.name);
            acceptance::run(row, &options)
        })
        .collect();
    let judged = rows::all().filter(|row| options.wants(row.name, false));
    let judged: Vec<_> = judged.map(|row| judge(row, &options)).collect();
    if accepted.is_empty() && judged.is_empty() {
        eprintln!("PROOF_ROWS names no row");
        return ExitCode::from(2);
    }
    if let Err(problem) = table::publish(&accepted, &judged, options.table.as_deref()) {
        eprintln!("the table was not written: {problem}");
        return ExitCode::from(2);
    }
    let all_kept = accepted.iter().all(|row| row.is_kept) && judged.iter().all(|row| row.is_kept);
    match all_kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn judge(row: &Row, options: &Options) -> Judged {
    eprintln!("{}", row.name);
    let mut rig = Rig::start((row.plan)(), options);
    let seen = (row.run)(&mut rig);
    let (text, mut is_kept) = verdict(&rig, row.promise, &seen);
    let (clients_saw, until_normal, is_served) = saw(&rig, &seen);
    is_kept &= is_served;
    let mut all = vec![text];
    for (finding, is_so) in &seen.findings {
        all.push(finding.clone());
        is_kept &= is_so;
    }
    if !is_kept {
        tell(&rig, &seen);
    }
    Judged {
        name: row.name,
        what: row.what,
        promise: row.link,
        clients_saw,
        until_normal,
        verdict: all.join("; "),
        is_kept,
    }
}

/// Prints what was admitted, second by second.
fn tell(rig: &Rig, seen: &judge::Seen) {
    if let Some((begin, end)) = seen.fault {
        let [begin, end] = [begin, end].map(|at| (at - rig.began).as_secs_f64());
        eprintln!("the fault was from {begin:.1} s to {end:.1} s");
    }
    for (second, edges) in rig.ledger.seconds(rig.began, rig::EDGES).iter().enumerate() {
        eprintln!("{second:3} s: {edges:?}");
    }
    eprintln!("asks and failures: {:?}", rig.asks_and_failures());
}
