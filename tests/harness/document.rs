//! A table that a command makes, in its document between two marks.

use std::io;
use std::path::Path;

/// Replaces what stands between two marks of a document.
pub fn replace(path: impl AsRef<Path>, (begin, end): (&str, &str), table: &str) -> io::Result<()> {
    let document = std::fs::read_to_string(&path)?;
    let split = document.split_once(begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(end)?;
        Some((before, after))
    });
    let (before, after) = split.ok_or_else(|| io::Error::other("no marks of the table"))?;
    std::fs::write(path, format!("{before}{begin}\n{table}\n{end}{after}"))
}
