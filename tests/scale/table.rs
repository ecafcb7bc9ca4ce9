//! The table: printed, and written into its document between two marks.

use crate::Scale;
use crate::document;
use crate::meter::median;
use crate::options::Options;
use crate::process::{Memory, Start};
use std::fmt::Write as _;
use std::io;

const BEGIN: &str = "<!-- the table of make scale -->\n";
const END: &str = "<!-- its end -->";

/// The columns, as docs/scale.md describes them.
const HEADER: &str = "\
| accounts | us/request | added | x the fewest | start, ms | start, ms of CPU | page bytes | memory (RSS) | fullest page | overflow | evicted |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// Prints the table, and replaces the one of the document.
pub fn publish(scales: &[Scale], options: &Options) -> io::Result<()> {
    let table = table(scales);
    println!("{table}");
    let Some(path) = &options.table else {
        return Ok(());
    };
    document::replace(path, (BEGIN, END), &table)
}

fn table(scales: &[Scale]) -> String {
    let none = scales.iter().find(|scale| scale.accounts.is_none());
    let fewest = scales.iter().find(|scale| scale.accounts.is_some());
    let (none, fewest) = (none.unwrap(), fewest.unwrap());
    let mut table = HEADER.to_owned();
    for scale in scales {
        let of_cpu = |scale: &Scale, of: fn(&[f64]) -> f64| of(&scale.cpu) - of(&none.cpu);
        let added = |of| of_cpu(scale, of);
        let fewest_added = |of| of_cpu(fewest, of);
        let _ = match scale.accounts {
            None => writeln!(
                table,
                "| no filter | {} | - | - | {} | {} | - | - | - | - | - |",
                cell(&scale.cpu, 2),
                cell(&scale.start(|start| start.ms), 0),
                cell(&scale.start(|start| start.cpu_ms), 0)
            ),
            Some(accounts) => writeln!(
                table,
                "| {}{} | {} | {} | {} | {} | {} | {:.0} | {} | {} % | {} | {} |",
                grouped(accounts),
                if scale.joins { ", joined" } else { "" },
                cell(&scale.cpu, 2),
                both(added),
                both(|of| added(of) / fewest_added(of)),
                cell(&scale.start(|start| start.ms), 0),
                cell(&scale.start(|start| start.cpu_ms), 0),
                scale.page_bytes(),
                memory(scale, fewest),
                scale.ledger.fullest,
                scale.ledger.overflow,
                scale.ledger.evicted,
            ),
        };
    }
    table
}

impl Scale {
    /// One number of each start.
    pub fn start(&self, of: impl Fn(&Start) -> f64) -> Vec<f64> {
        self.starts.iter().map(of).collect()
    }

    /// Bytes of an account on its page.
    pub fn page_bytes(&self) -> f64 {
        self.ledger.bytes as f64 / self.ledger.records as f64
    }

    /// Memory of an account in bytes, by a measure of the process: over the process with the fewest
    /// accounts. `None` where other memory hides it.
    pub fn memory_by(&self, fewest: &Self, of: impl Fn(&Memory) -> u64) -> Option<f64> {
        let accounts = self.accounts?.checked_sub(fewest.accounts?)?;
        let more = of(&self.memory) as f64 - of(&fewest.memory) as f64;
        (accounts >= 10_000).then(|| more / f64::from(accounts))
    }
}

fn memory(scale: &Scale, fewest: &Scale) -> String {
    let by = |of: fn(&Memory) -> u64| scale.memory_by(fewest, of);
    match (by(|memory| memory.allocated), by(|memory| memory.resident)) {
        (Some(allocated), Some(resident)) => format!("{allocated:.0} ({resident:.0})"),
        _ => "-".to_owned(),
    }
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A number by medians, and in brackets by minima.
fn both(number: impl Fn(fn(&[f64]) -> f64) -> f64) -> String {
    format!("{:.2} ({:.2})", number(median), number(lowest))
}

/// The median, and in brackets the minimum.
fn cell(values: &[f64], digits: usize) -> String {
    format!("{:.digits$} ({:.digits$})", median(values), lowest(values))
}

/// A number with commas.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}
