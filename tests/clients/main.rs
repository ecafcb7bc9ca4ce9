//! Client libraries against refusals of a real Envoy: what each raises, how long it waits and how often
//! it tries. Run by `make clients`, which writes the table of docs/clients.md.
#![allow(missing_docs, dead_code, clippy::restriction)]

mod cases;
#[path = "../harness/envoy.rs"]
mod harness;

use cases::{Case, Cases, Cell, LIBRARIES};
use std::fmt::Write as _;
use std::fs;

const BEGIN: &str = "<!-- made by make clients -->\n";
const END: &str = "<!-- end -->";

fn main() {
    let cases = Cases::start();
    let mut rows = String::new();
    for case in Case::ALL {
        for library in LIBRARIES {
            for streams in [false, true] {
                let cell = cases.run(library, case, streams);
                let kind = if streams { "stream" } else { "whole" };
                let row = format!("| {case} | {library} | {kind} | {} |", shown(&cell));
                println!("{row}");
                writeln!(rows, "{row}").unwrap();
            }
        }
    }
    if let Some(path) = std::env::var_os("CLIENTS_TABLE") {
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let head = "| refusal | client | reply | raises | tries | waits between them |\n|---|---|---|---|---|---|\n";
        fs::write(path, format!("{before}{BEGIN}{head}{rows}{END}{after}")).unwrap();
    }
}

/// A cell's columns.
fn shown(cell: &Cell) -> String {
    let raises = cell
        .raises
        .as_deref()
        .map_or("nothing: it is served".to_owned(), |name| {
            format!("`{name}`")
        });
    let wait = |ms: &u64| format!("{:.1} s", *ms as f64 / 1_000.0);
    let waits: Vec<String> = cell.waits_ms.iter().map(wait).collect();
    let waits = if waits.is_empty() {
        "–".to_owned()
    } else {
        waits.join(", ")
    };
    format!("{raises} | {} | {waits}", cell.tries)
}
