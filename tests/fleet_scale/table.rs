//! The table: printed, and written into its document between two marks.

use crate::document;
use crate::{Fleet, MEASURED, Seen};
use std::fmt::Write as _;
use std::io;

const BEGIN: &str = "<!-- the table of make fleet-scale -->\n";
const END: &str = "<!-- the end of make fleet-scale -->";

/// The columns, as docs/scaling.md describes them.
const HEADER: &str = "\
| edges | accounts | active | edges an account | requests/s | in line | in line, busy accounts | calls/s | calls/s an edge | items/s | KB/s | largest batch |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

/// Prints the table, and replaces that of the document that `FLEET_SCALE_TABLE` names.
pub fn publish(all: &[(Fleet, Seen)]) -> io::Result<()> {
    let table = table(all);
    println!("{table}");
    let Ok(path) = std::env::var("FLEET_SCALE_TABLE") else {
        return Ok(());
    };
    document::replace(path, (BEGIN, END), &table)
}

fn table(all: &[(Fleet, Seen)]) -> String {
    let mut table = HEADER.to_owned();
    for (fleet, seen) in all {
        let second = |n: u64| n as f64 / MEASURED as f64;
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} | {:.1} | {:.0} | {:.0} | {} |",
            fleet.edges,
            grouped(fleet.accounts),
            grouped(seen.active),
            fleet.spread,
            grouped(fleet.rate),
            share(seen.in_line, seen.admitted),
            share(seen.busy.1, seen.busy.0),
            second(seen.calls),
            second(seen.calls) / fleet.edges as f64,
            second(seen.items),
            second(seen.bytes.0 + seen.bytes.1) / 1_000.0,
            seen.largest,
        );
    }
    table
}

fn share(part: u64, all: u64) -> String {
    match all {
        0 => "-".to_owned(),
        _ => format!("{:.1} %", part as f64 * 100.0 / all as f64),
    }
}

/// A number with commas.
fn grouped(number: u64) -> String {
    tiergate::text::number(number)
}
