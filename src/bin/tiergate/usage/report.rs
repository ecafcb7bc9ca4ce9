//! The sums as a table, as CSV and as JSON, and the counts of lines.

use super::states::KINDS;
use super::sums::{ByColumn, UsageRow};
use crate::table::{Column, table};
use crate::visible::visible;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::{self, Write};
use tiergate::text::number;

/// The counts of the lines of all files.
#[derive(Debug, Default, Serialize)]
pub struct LineCounts {
    /// All lines but empty ones.
    pub read: u64,
    /// Those whose usage is in the sums.
    pub used: u64,
    /// Those of `used` that name no account.
    pub without_account: u64,
    /// Those of a request without usage, by its outcome.
    pub without_usage: BTreeMap<&'static str, u64>,
    /// Those that did not pass the filter.
    pub without_states: u64,
    /// Those that Envoy wrote before their request's end, and those of single tries.
    pub interim: u64,
    /// Those that could not be read.
    pub broken: u64,
}

impl LineCounts {
    /// Writes the counts in a line.
    pub fn summary(&self) -> String {
        let sum = |sum: u64, n: &u64| sum.saturating_add(*n);
        let without_usage = self.without_usage.values().fold(0, sum);
        let outcomes = self.without_usage.iter();
        let outcomes: Vec<_> = outcomes
            .map(|(o, n)| format!("{o} {}", number(*n)))
            .collect();
        let outcomes = match outcomes.as_slice() {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        let interim = match self.interim {
            0 => String::new(),
            n => format!(" before the end: {},", number(n)),
        };
        format!(
            "lines: {}, used: {}, without usage: {}{outcomes}, without states: {},{interim} broken: {}",
            number(self.read),
            number(self.used),
            number(without_usage),
            number(self.without_states),
            number(self.broken),
        )
    }
}

/// Writes a table for people. `-` stands for what a request does not have.
pub fn write_table(out: &mut impl Write, by: &[ByColumn], rows: &[UsageRow]) -> io::Result<()> {
    let text = |heading| Column {
        heading,
        number: false,
    };
    let count = |heading| Column {
        heading,
        number: true,
    };
    let mut head: Vec<Column> = by.iter().map(|column| text(column.heading())).collect();
    head.push(text("ESTIMATED"));
    let counts = ["REQUESTS", "INPUT", "CACHED", "CACHE_WRITE", "OUTPUT"];
    head.extend(counts.map(count));
    let cells = rows.iter().map(|row| {
        let cells = row.cells.iter().map(Option::as_deref);
        let mut cells: Vec<String> = cells.map(|cell| cell.map_or("-".into(), visible)).collect();
        cells.push(row.estimated.to_string());
        cells.extend(counts_of(row).map(number));
        cells
    });
    for line in table(&head, &cells.collect::<Vec<_>>(), usize::MAX) {
        writeln!(out, "{}", line.text)?;
    }
    Ok(())
}

/// Writes CSV (RFC 4180, with `\n`). A field is empty for what a request does not have.
pub fn write_csv(out: &mut impl Write, by: &[ByColumn], rows: &[UsageRow]) -> io::Result<()> {
    for column in by {
        write!(out, "{},", column.name())?;
    }
    writeln!(out, "estimated,requests,{}", KINDS.join(","))?;
    for row in rows {
        for cell in &row.cells {
            write!(out, "{},", csv_field(cell.as_deref().unwrap_or_default()))?;
        }
        write!(out, "{}", row.estimated)?;
        for count in counts_of(row) {
            write!(out, ",{count}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Quotes a text. A spreadsheet takes one that begins as a formula for one, and a client chooses its
/// account: an apostrophe makes a text of it (OWASP, "CSV Injection"). A number stays one.
fn csv_field(text: &str) -> String {
    let begins = text.starts_with(['=', '+', '-', '@', '\t', '＝', '＋', '－', '＠']);
    let guarded;
    let text = match begins && !is_number(text) {
        true => {
            guarded = format!("'{text}");
            &guarded
        }
        false => text,
    };
    match text.contains(['"', ',', '\n', '\r', ' ']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// True for digits with a sign, and perhaps with a point among them.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    all(whole) && all(part)
}

/// Writes an object on one line. A column is null for what a request does not have.
pub fn write_json(
    out: &mut impl Write,
    by: &[ByColumn],
    zone: &str,
    rows: &[UsageRow],
    lines: &LineCounts,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        zone: &'a str,
        rows: Vec<JsonRow<'a>>,
        lines: &'a LineCounts,
    }
    let rows = rows.iter().map(|row| JsonRow { by, row }).collect();
    serde_json::to_writer(&mut *out, &Document { zone, rows, lines })?;
    writeln!(out)
}

/// A row as an object, with its keys in the order of the columns.
struct JsonRow<'a> {
    by: &'a [ByColumn],
    row: &'a UsageRow,
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (column, cell) in self.by.iter().zip(&self.row.cells) {
            object.serialize_entry(column.name(), cell)?;
        }
        object.serialize_entry("estimated", &self.row.estimated)?;
        let names = ["requests"].into_iter().chain(KINDS);
        for (name, count) in names.zip(counts_of(self.row)) {
            object.serialize_entry(name, &count)?;
        }
        object.end()
    }
}

/// The numbers of a row, in the order of the columns.
fn counts_of(row: &UsageRow) -> impl Iterator<Item = u64> {
    let sums = row.sums;
    std::iter::once(sums.requests).chain(sums.tokens)
}
