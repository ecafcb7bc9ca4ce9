//! Lines of a given width: paragraphs with a label, and tables.

use crate::visible::{columns, cut};

/// The width of a label, including the space after it.
const LABEL: usize = 11;
/// The spaces between two columns of a table.
const GAP: usize = 2;

/// The style of a line on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Heading,
    Quiet,
    Alarm,
}

/// One line, no wider than requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub look: Look,
}

impl Line {
    pub fn new(look: Look, text: String) -> Self {
        Self { text, look }
    }
}

/// Wraps words behind a label, on as many lines as needed.
pub fn paragraph(look: Look, label: &str, words: &str, width: usize) -> Vec<Line> {
    let room = width.saturating_sub(LABEL).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line).saturating_add(columns(word)) < room => {
                line.push(' ');
                line.push_str(word);
            }
            // A word that is wider than a line is shortened; only names are that long.
            _ => lines.push(cut(word, room)),
        }
    }
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    let lines = lines.iter().zip(labels);
    lines
        .map(|(line, label)| Line::new(look, cut(&format!("{label:<LABEL$}{line}"), width)))
        .collect()
}

/// A column of a table.
pub struct Column {
    pub heading: &'static str,
    /// True for numbers: aligned right and never shortened.
    pub number: bool,
}

/// Lays out a table of headings and rows. In a table that is too wide, the widest texts are cut.
pub fn table(head: &[Column], rows: &[impl AsRef<[String]>], width: usize) -> Vec<Line> {
    let widths = widths(head, rows, width);
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for ((cell, column), room) in cells.zip(head).zip(&widths) {
            let room = *room;
            let cell = cut(cell, room);
            let space = " ".repeat(room.saturating_sub(columns(&cell)));
            match column.number {
                true => text.extend([space.as_str(), &cell]),
                false => text.extend([cell.as_str(), &space]),
            }
            text.push_str(&" ".repeat(GAP));
        }
        cut(text.trim_end(), width)
    };
    let headings = line(&mut head.iter().map(|column| column.heading));
    let mut lines = vec![Line::new(Look::Heading, headings)];
    for row in rows {
        let row = line(&mut row.as_ref().iter().map(String::as_str));
        lines.push(Line::new(Look::Plain, row));
    }
    lines
}

fn widths(head: &[Column], rows: &[impl AsRef<[String]>], width: usize) -> Vec<usize> {
    let headings = head.iter().map(|column| columns(column.heading));
    let mut widths: Vec<usize> = headings.collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = columns(cell).max(*width);
        }
    }
    let gaps = GAP.saturating_mul(head.len().saturating_sub(1));
    let whole = |widths: &[usize]| widths.iter().fold(gaps, |sum, n| sum.saturating_add(*n));
    while whole(&widths) > width {
        let texts = widths.iter_mut().zip(head).filter(|(_, c)| !c.number);
        match texts.map(|(width, _)| width).max() {
            Some(widest) if *widest > 1 => *widest = widest.saturating_sub(1),
            _ => break,
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn words_go_on_below_their_label() {
        let lines = paragraph(Look::Plain, "load", "tier0 x0.2, others in full", 28);
        assert_eq!(
            texts(&lines),
            ["load       tier0 x0.2,", "           others in full"]
        );
        let lines = paragraph(Look::Plain, "load", &"x".repeat(99), 20);
        assert_eq!(texts(&lines), ["load       xxxxxxxx…"]);
    }

    #[test]
    fn a_table_that_is_too_wide_shortens_its_widest_texts_and_no_number() {
        let head = [("ACCOUNT", false), ("TIER", false), ("COUNT", true)];
        let head = head.map(|(heading, number)| Column { heading, number });
        let rows = [
            ["an-account-of-some-length", "tier0", "1,234"],
            ["b", "tier1", "7"],
        ];
        let rows = rows.map(|row| row.map(str::to_owned));
        let narrow = table(&head, &rows, 24);
        assert_eq!(
            texts(&narrow),
            [
                "ACCOUNT     TIER   COUNT",
                "an-accoun…  tier0  1,234",
                "b           tier1      7"
            ]
        );
        let wide = table(&head, &rows, usize::MAX);
        assert!(wide[1].text.starts_with("an-account-of-some-length  tier0"));
    }
}
