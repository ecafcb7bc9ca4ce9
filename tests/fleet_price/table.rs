//! The table: printed, and written into its document between two marks.

use crate::Sample;
use crate::document;
use crate::meter::median;
use std::fmt::Write as _;
use std::io;

const BEGIN: &str = "<!-- the table of make fleet-price -->\n";
const END: &str = "<!-- the end of make fleet-price -->";

/// The columns, as docs/scaling.md describes them.
const HEADER: &str = "\
| | p50, ms | added | p99, ms | added | CPU of Envoy, us | added | CPU of service and Redis, us | ask |
|---|---|---|---|---|---|---|---|---|
";

/// Prints the table, and replaces that of the document that `FLEET_PRICE_TABLE` names. The first row is
/// the one that the others are compared with.
pub fn publish(all: &[(&str, Vec<Sample>)]) -> io::Result<()> {
    let table = table(all);
    println!("{table}");
    let Ok(path) = std::env::var("FLEET_PRICE_TABLE") else {
        return Ok(());
    };
    document::replace(path, (BEGIN, END), &table)
}

fn table(all: &[(&str, Vec<Sample>)]) -> String {
    let middle = |samples: &[Sample], of: fn(&Sample) -> f64| {
        median(&samples.iter().map(of).collect::<Vec<_>>())
    };
    let mut table = HEADER.to_owned();
    for (name, samples) in all {
        let added = |of, digits: usize| {
            let added = middle(samples, of) - middle(&all[0].1, of);
            format!("{:.digits$} | {added:.digits$}", middle(samples, of))
        };
        let _ = writeln!(
            table,
            "| {name} | {} | {} | {} | {:.0} | {:.0} % |",
            added(|one| one.latency.p50, 2),
            added(|one| one.latency.p99, 2),
            added(|one| one.envoy_us, 0),
            middle(samples, |one| one.service_us),
            middle(samples, |one| one.asked) * 100.0,
        );
    }
    table
}
