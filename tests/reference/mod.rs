//! The pages of docs/reference, written from the code: `make reference` writes them anew, and
//! these tests fail where a page is not what the code says.
//!
//! The tests are a part of the program `tiergate`, since only it knows its own arguments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod cli;
mod config;
mod errors;
mod metrics;

use std::path::Path;

/// Compares a page with its text, or writes it where `TIERGATE_BLESS` is set.
fn assert_page(name: &str, text: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/reference").join(name);
    if std::env::var_os("TIERGATE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = text.lines().zip(committed.lines()).enumerate();
    if let Some((i, (new, old))) = lines.find(|(_, (new, old))| new != old) {
        let line = i + 1;
        panic!("make reference: docs/reference/{name}:{line}\nis:  {old}\nnow: {new}");
    }
    assert!(committed == text, "make reference: docs/reference/{name}");
}

/// A text in a cell of a table: on one line, with bars that do not end the cell.
fn cell(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// A row of a table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|text| cell(text)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The head of a table.
fn head(cells: &[&str]) -> String {
    format!("{}|{}\n", row(cells), "---|".repeat(cells.len()))
}

#[test]
fn a_bar_does_not_end_a_cell() {
    assert_eq!(
        head(&["a|b", "c\n  d"]) + &row(&["1", "2"]),
        "| a\\|b | c d |\n|---|---|\n| 1 | 2 |\n"
    );
}
