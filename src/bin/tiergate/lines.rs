//! The lines of a file of any size, one at a time, in bounded memory.
//!
//! A line that is too long is skipped without buffering, so the next line is found.

use std::io::{self, BufRead};

/// The maximum length of a line, without its end, unless a reader sets another.
pub const LONGEST: usize = 65_536;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum InputLine<'a> {
    Whole(&'a [u8]),
    TooLong,
}

pub struct InputLines<R> {
    reader: R,
    longest: usize,
    held: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> InputLines<R> {
    pub fn new(reader: R) -> Self {
        Self::up_to(LONGEST, reader)
    }

    /// Reads lines of at most `longest` bytes, without their ends.
    pub fn up_to(longest: usize, reader: R) -> Self {
        Self {
            reader,
            longest,
            held: Vec::new(),
            number: 0,
            bytes: 0,
        }
    }

    /// Returns the number of the last line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the number of bytes read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next line; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<InputLine<'_>>> {
        self.held.clear();
        let mut length = 0_usize;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() && length == 0 {
                return Ok(None);
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or(chunk);
            // The buffer may have one byte more than allowed: the \r of the line's end.
            if self.held.len().saturating_add(part.len()) <= self.longest.saturating_add(1) {
                self.held.extend_from_slice(part);
            }
            let used = part.len().saturating_add(usize::from(end.is_some()));
            let ended = end.is_some() || chunk.is_empty();
            length = length.saturating_add(used);
            self.reader.consume(used);
            self.bytes = self
                .bytes
                .saturating_add(u64::try_from(used).unwrap_or(u64::MAX));
            if ended {
                self.number = self.number.saturating_add(1);
                let content = length.saturating_sub(usize::from(end.is_some()));
                return Ok(Some(self.held_line(content)));
            }
        }
    }

    fn held_line(&self, content: usize) -> InputLine<'_> {
        let line = self.held.strip_suffix(b"\r").unwrap_or(&self.held);
        if content != self.held.len() || line.len() > self.longest {
            return InputLine::TooLong;
        }
        // Spreadsheets put a byte order mark before the first line.
        match line.strip_prefix(b"\xEF\xBB\xBF") {
            Some(unmarked) if self.number == 1 => InputLine::Whole(unmarked),
            _ => InputLine::Whole(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    /// Reads the lines of a text with a buffer size: each line's text, or `None` when too long.
    fn lines(text: &[u8], buffer: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = InputLines::new(BufReader::with_capacity(buffer, Cursor::new(text)));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                InputLine::Whole(line) => Some(line.to_vec()),
                InputLine::TooLong => None,
            });
        }
        assert_eq!(lines.bytes(), text.len() as u64);
        assert_eq!(lines.number(), all.len() as u64);
        all
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"\xEF\xBB\xBFone\r\n\ntwo\nthr\xFFee";
        let whole = |line: &[u8]| Some(line.to_vec());
        for buffer in 1..20 {
            let expected = [
                whole(b"one"),
                whole(b""),
                whole(b"two"),
                whole(b"thr\xFFee"),
            ];
            assert_eq!(lines(text, buffer), expected, "{buffer}");
        }
        assert_eq!(lines(b"", 8), []);
    }

    #[test]
    fn what_is_too_long_is_not_held_and_the_next_line_is_found() {
        let longest = vec![b'x'; LONGEST];
        for (end, buffer) in [("\n", 7), ("\r\n", 4096), ("\n", 1 << 20)] {
            let mut text = longest.clone();
            text.extend_from_slice(end.as_bytes());
            text.extend_from_slice(&longest);
            text.extend_from_slice(b"x");
            text.extend_from_slice(end.as_bytes());
            text.extend_from_slice(&vec![b'y'; 10 * LONGEST]);
            text.extend_from_slice(b"\nnext");
            let expected = [Some(longest.clone()), None, None, Some(b"next".to_vec())];
            assert!(lines(&text, buffer) == expected, "{buffer}");
        }
    }
}
