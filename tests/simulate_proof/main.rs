//! `tiergate simulate` against a real Envoy: 100,000 requests of ten accounts, and each decision that
//! differs. Run by `make simulate-proof`.
//!
//! `SIMULATE_PROOF_REQUESTS` and `SIMULATE_PROOF_RATE` (requests in a second) change the load, and
//! `SIMULATE_PROOF_KEEP` is a directory for the log and the config.
#![allow(missing_docs, dead_code, clippy::restriction)]

#[path = "../harness/document.rs"]
mod document;
#[path = "../harness/envoy.rs"]
mod harness;
mod run;

use run::{Load, Near, Proof};
use std::process::ExitCode;

const BEGIN: &str = "<!-- the table of make simulate-proof -->\n";
const END: &str = "<!-- the end of make simulate-proof -->";

fn main() -> ExitCode {
    let number = |name: &str, usual: u64| {
        let text = std::env::var(name).ok();
        text.map_or(usual, |text| text.parse().expect("a whole number"))
    };
    let load = Load {
        requests: number("SIMULATE_PROOF_REQUESTS", 100_000),
        rate: number("SIMULATE_PROOF_RATE", 600),
        window_ms: 60_000,
    };
    let proof = load.run();
    for one in &proof.differences {
        println!("{:?}: {}", one.near, one.row);
    }
    let table = table(&proof);
    println!("{table}");
    if let Ok(path) = std::env::var("SIMULATE_PROOF_TABLE") {
        document::replace(path, (BEGIN, END), &table).expect("the document");
    }
    let share = proof.differences.len() as f64 / proof.requests as f64;
    match proof.count(Near::Nothing) == 0 && share < 0.001 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn table(proof: &Proof) -> String {
    let differs = proof.differences.len();
    let share = differs as f64 / proof.requests as f64 * 100.0;
    format!(
        "| requests | refused by Envoy | refused in the replay | decided differently | within a part \
         of the window | within a millisecond of a change | the place of another one of these | none of these |\n\
         |---|---|---|---|---|---|---|---|\n\
         | {} | {} | {} | {differs} ({share:.3} %) | {} | {} | {} | {} |\n",
        proof.requests,
        proof.refused_then,
        proof.refused_now,
        proof.count(Near::Part),
        proof.count(Near::Millisecond),
        proof.count(Near::Swapped),
        proof.count(Near::Nothing),
    )
}
