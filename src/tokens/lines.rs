//! The lines of server-sent events that arrive in pieces. Lines end with LF, CR or CRLF.

/// The field that holds an event's data.
pub const DATA: &[u8] = b"data:";

/// Splits a stream into its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineSplitter {
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
}

/// A part of a line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePiece<'a> {
    /// The bytes; empty when a piece starts with the end of a line.
    pub bytes: &'a [u8],
    /// True when the line ends after the bytes.
    pub ends_line: bool,
}

impl LineSplitter {
    /// Takes the next part of a line from a piece.
    ///
    /// The LF of a CRLF is taken with the next part, since it may be in the next piece.
    pub fn next<'a>(&mut self, piece: &mut &'a [u8]) -> Option<LinePiece<'a>> {
        if self.after_cr
            && let Some(rest) = piece.strip_prefix(b"\n")
        {
            self.after_cr = false;
            *piece = rest;
        }
        if piece.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', piece);
        let (bytes, rest) = piece
            .split_at_checked(end.unwrap_or(piece.len()))
            .unwrap_or((piece, &[]));
        self.after_cr = rest.first() == Some(&b'\r');
        *piece = rest.get(1..).unwrap_or_default();
        Some(LinePiece {
            bytes,
            ends_line: end.is_some(),
        })
    }

    /// True when an LF that comes next belongs to the last line.
    pub const fn is_after_cr(&self) -> bool {
        self.after_cr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], size: usize) -> Vec<Vec<u8>> {
        let mut lines = LineSplitter::default();
        let mut all = vec![Vec::new()];
        for mut piece in text.chunks(size) {
            while let Some(part) = lines.next(&mut piece) {
                all.last_mut().unwrap().extend_from_slice(part.bytes);
                if part.ends_line {
                    all.push(Vec::new());
                }
            }
        }
        all
    }

    #[test]
    fn each_end_of_line_ends_one_wherever_the_text_is_cut() {
        let text = b"a\nbc\r\n\r\rde\n\r\nf\r";
        let wanted = ["a", "bc", "", "", "de", "", "f", ""].map(|line| line.as_bytes().to_vec());
        for size in 1..=text.len() {
            assert_eq!(lines(text, size), wanted, "{size}");
        }
    }
}
