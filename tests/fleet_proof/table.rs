//! The tables: printed, and written into their document between two marks.

use crate::acceptance::{self, Accepted};
use crate::judge::Judged;
use crate::rows;
use std::io;
use std::path::Path;

/// A line of a table, by the name of its row.
type Line = (&'static str, String);

const ACCEPTED: &str = "\
| row | limit | offered | windows | fullest window | admitted | by edge | asks in line | failed messages | kept |
|---|---|---|---|---|---|---|---|---|---|
";
const JUDGED: &str = "\
| row | fault | clients saw | normal again after | fullest window, and what else is judged | kept |
|---|---|---|---|---|---|
";

/// Prints the tables, and puts their rows into those of the document. Rows that were not run stay as
/// they are there.
pub fn publish(
    accepted: &[Accepted],
    judged: &[Judged],
    document: Option<&Path>,
) -> io::Result<()> {
    let accepted = accepted.iter().map(of_accepted).collect();
    let judged = judged.iter().map(of_judged).collect();
    let names = acceptance::ROWS.iter().map(|row| row.name).collect();
    publish_one(("acceptance", ACCEPTED), names, accepted, document)?;
    let names = rows::all().map(|row| row.name).collect();
    publish_one(("faults", JUDGED), names, judged, document)
}

fn publish_one(
    (mark, head): (&str, &str),
    names: Vec<&str>,
    lines: Vec<Line>,
    document: Option<&Path>,
) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
    println!("{head}{}", texts.concat());
    let Some(path) = document else {
        return Ok(());
    };
    let text = std::fs::read_to_string(path)?;
    let begin = format!("<!-- {mark} of make fleet-proof -->\n");
    let end = "<!-- its end -->";
    let split = text.split_once(&begin).and_then(|(before, rest)| {
        let (old, after) = rest.split_once(end)?;
        Some((before, old, after))
    });
    let (before, old, after) = split.ok_or_else(|| io::Error::other("no marks of the table"))?;
    let mut table = head.to_owned();
    for name in names {
        let run = lines.iter().find(|(row, _)| *row == name);
        let known = format!("| `{name}` |");
        let known = || old.lines().find(|line| line.starts_with(&known));
        match run {
            Some((_, line)) => table += line,
            None => table.extend(known().map(|line| format!("{line}\n"))),
        }
    }
    std::fs::write(path, format!("{before}{begin}\n{table}\n{end}{after}"))
}

fn of_accepted(row: &Accepted) -> Line {
    let edges = row.by_edge.iter().map(|part| format!("{part:.0} %"));
    let edges: Vec<_> = edges.collect();
    let line = format!(
        "| `{}` | {} in {} s | {:.1} x | {} | {} ({:.1} %) | {:.1} % | {} | {:.1} % | {} | {} |\n",
        row.name,
        row.limit,
        row.window,
        row.offered,
        row.windows,
        row.fullest,
        100.0 * row.fullest as f64 / row.limit as f64,
        row.admitted,
        edges.join(", "),
        row.asks,
        row.failures,
        yes(row.is_kept)
    );
    (row.name, line)
}

fn of_judged(row: &Judged) -> Line {
    let line = format!(
        "| `{}` | {} ([promise]({})) | {} | {} | {} | {} |\n",
        row.name,
        row.what,
        row.promise,
        row.clients_saw,
        row.until_normal,
        row.verdict,
        yes(row.is_kept)
    );
    (row.name, line)
}

const fn yes(is_kept: bool) -> &'static str {
    match is_kept {
        true => "yes",
        false => "**no**",
    }
}
