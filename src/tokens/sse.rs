//! Server-sent events that arrive in pieces: their number, and the usage in them.
//!
//! Source: the WHATWG HTML standard, "Server-sent events", 9.2.5 and 9.2.6. Lines end with LF, CR
//! or CRLF. An event joins its data lines and ends with an empty line. Of an event that is longer
//! than an [`Excerpt`], only the start and the end are buffered.

use crate::tokens::dialect::{self, Dialects};
use crate::tokens::excerpt::Excerpt;
use crate::tokens::lines::LineSplitter;
use crate::tokens::usage::UsageTotals;

const FIELD: &[u8] = b"data:";

/// The position of the next byte in its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LineState {
    /// The given number of bytes into the line, all of them from `data:`.
    Field(usize),
    /// In the value of a data line.
    Data,
    /// In any other line.
    #[default]
    Other,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    dialects: &'static Dialects,
    line: LineState,
    lines: LineSplitter,
    /// True when the event has a data line.
    has_data: bool,
    data: Excerpt,
    /// True after a dialect's end-of-stream event.
    done: bool,
    /// The sum of the usage objects.
    pub totals: UsageTotals,
    /// The number of ended events with data, without the end-of-stream event.
    pub count: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self::new(&dialect::ALL)
    }
}

impl Events {
    /// Creates a stream in some dialects.
    pub fn new(dialects: &'static Dialects) -> Self {
        Self {
            dialects,
            line: LineState::Field(0),
            lines: LineSplitter::default(),
            has_data: false,
            data: Excerpt::default(),
            done: false,
            totals: UsageTotals::default(),
            count: 0,
        }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while let Some(part) = self.lines.next(&mut piece) {
            self.part_of_line(part.bytes);
            if part.ends_line {
                self.line_ends();
            }
        }
    }

    fn part_of_line(&mut self, part: &[u8]) {
        let mut part = part;
        if let LineState::Field(seen) = self.line {
            let wanted = FIELD.get(seen..).unwrap_or_default();
            let length = wanted.len().min(part.len());
            let (start, rest) = part.split_at_checked(length).unwrap_or((part, &[]));
            if !wanted.starts_with(start) {
                self.line = LineState::Other;
            } else if length == wanted.len() {
                self.line = LineState::Data;
                if self.has_data {
                    self.data.feed(b"\n");
                }
                self.has_data = true;
            } else {
                self.line = LineState::Field(seen.saturating_add(length));
            }
            part = rest;
        }
        if self.line == LineState::Data {
            // JSON ignores spaces before the value.
            let part = if self.data.is_empty() {
                part.trim_ascii_start()
            } else {
                part
            };
            self.data.feed(part);
        }
    }

    fn line_ends(&mut self) {
        if self.line == LineState::Field(0) {
            self.event_ends();
        }
        self.line = LineState::Field(0);
    }

    fn event_ends(&mut self) {
        if !self.has_data {
            return;
        }
        let mut ends = self.dialects.ends_of_stream.iter();
        if ends.any(|end| self.data.starts_with(end)) {
            self.done = true;
        } else {
            self.count = self.count.saturating_add(1);
            if let Some(usage) = self.data.usage(self.dialects) {
                self.totals.update(&usage);
            }
        }
        self.has_data = false;
        self.data.clear();
    }

    /// Ends the stream; true when the stream is complete. `complete`: its body is.
    ///
    /// A missing last empty line is accepted.
    pub fn end(&mut self, complete: bool) -> bool {
        if complete {
            self.event_ends();
        }
        complete || self.done
    }

    /// Returns the number of buffered bytes.
    pub fn buffered(&self) -> usize {
        self.data.buffered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::excerpt::{HEAD_BYTES, TAIL_BYTES};

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Option<u64>, u64) {
        let mut events = Events::default();
        for piece in pieces {
            events.feed(piece);
            assert!(events.buffered() <= HEAD_BYTES + TAIL_BYTES);
        }
        (events.totals.tokens(), events.count)
    }

    const OPEN_AI: &str = concat!(
        ": a comment\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"usage\"}}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n",
        "data: [DONE]\n\n"
    );
    const ANTHROPIC: &str = concat!(
        "event: message_start\n",
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: message_delta\n",
        "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":5}}\n\n",
    );
    const IN_LINES: &str = concat!(
        "id: 1\ndata: {\"choices\":[],\ndata:\"usage\"\ndata\ndata: :{\"prompt_tokens\":7,\n",
        "data:\"completion_tokens\":5}}\nretry: 3\n\n",
        "data: {}\n\ndata:\n\n"
    );

    #[test]
    fn usage_is_read_wherever_the_stream_is_cut() {
        for stream in [OPEN_AI, ANTHROPIC, IN_LINES] {
            for line_end in ["\n", "\r\n", "\r"] {
                let stream = stream.replace('\n', line_end);
                let stream = stream.as_bytes();
                assert_eq!(read([stream]), (Some(12), 3));
                for at in 0..stream.len() {
                    let (a, b) = stream.split_at(at);
                    assert_eq!(read([a, b]), (Some(12), 3), "cut at {at}");
                }
                assert_eq!(read(stream.chunks(1)), (Some(12), 3));
            }
        }
    }

    #[test]
    fn an_event_that_never_ends_holds_no_more_than_the_bound() {
        let mut events = Events::default();
        events.feed(b"data: {\"x\":\"");
        for _ in 0..1000 {
            events.feed(&[b'x'; 50_000]);
            assert!(events.buffered() <= HEAD_BYTES + TAIL_BYTES);
        }
        events.feed(b"\",\"usage\":{\"total_tokens\":9}}\n\n");
        assert_eq!(events.totals.tokens(), Some(9));
    }
}
