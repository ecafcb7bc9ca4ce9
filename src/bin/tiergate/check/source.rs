//! The text of a file: lines and columns, and what of it may be drawn on a terminal.

use super::tree::Bytes;
use crate::visible::drawn;
use std::ops::Range;

/// A file that was read.
pub struct SourceFile {
    /// The name, for people.
    pub name: String,
    pub text: String,
}

/// A place for people and editors: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl SourceFile {
    /// Returns the line and the column of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let before = self.before(byte);
        let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let in_line = before.get(start..).unwrap_or_default();
        Position {
            line: before.matches('\n').count().saturating_add(1),
            column: in_line.chars().count().saturating_add(1),
        }
    }

    /// Returns the characters of a range of bytes; at least one, and none beyond the first line.
    pub fn characters(&self, bytes: &Bytes) -> Range<usize> {
        let start = self.before(bytes.start).chars().count();
        let text = self.text.get(bytes.clone()).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        start..start.saturating_add(line.chars().count().max(1))
    }

    /// Returns the line of a byte, without its end.
    pub fn line(&self, byte: usize) -> &str {
        let start = self.before(byte).rfind('\n');
        let start = start.map_or(0, |at| at.saturating_add(1));
        let rest = self.text.get(start..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }

    /// Returns the text with each character that acts on a terminal replaced by one that does not.
    pub fn drawn(&self) -> String {
        let next = self.text.chars().skip(1).map(Some).chain([None]);
        let pairs = self.text.chars().zip(next);
        pairs
            .map(|(c, next)| match c {
                '\n' | '\t' => c,
                '\r' if next == Some('\n') => c,
                _ => drawn(c),
            })
            .collect()
    }

    fn before(&self, byte: usize) -> &str {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte = byte.saturating_sub(1);
        }
        self.text.get(..byte).unwrap_or_default()
    }
}
