//! Server-sent events that arrive in pieces: their number, and the texts in them.
//!
//! Source: the WHATWG HTML standard, "Server-sent events", 9.2.5 and 9.2.6. Lines end with LF, CR
//! or CRLF. An event joins its data lines and ends with an empty line. Some servers leave that line
//! out, so a data line can begin a text of its own.

use crate::tokens::dialect::Dialects;
use crate::tokens::lines::{DATA, LineSplitter};
use crate::tokens::text::{ResponseFacts, TextReader};
use std::sync::Arc;

/// A bit for each end of stream.
const BITS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// The position of the next byte in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineState {
    /// The given number of bytes into the line, all of them from `data:`.
    Field(usize),
    /// In the value of a data line, before its first byte.
    Data,
    /// The given number of bytes into the value, all of them from some ends of stream, one bit for each.
    End(usize, u8),
    /// In the value of a data line that is no end of stream.
    Value,
    /// In any other line.
    Other,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    line: LineState,
    lines: LineSplitter,
    /// True when the event has a data line other than an end of stream.
    has_data: bool,
    texts: TextReader,
    /// The number of texts before the event.
    texts_before: u64,
    /// The number of events with data that is no text.
    other_data: u64,
    /// True after a dialect's end-of-stream event.
    done: bool,
}

impl Events {
    /// Creates a stream.
    pub fn new(dialects: Arc<Dialects>) -> Self {
        Self {
            line: LineState::Field(0),
            lines: LineSplitter::default(),
            has_data: false,
            texts: TextReader::new(dialects),
            texts_before: 0,
            other_data: 0,
            done: false,
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
            let wanted = DATA.get(seen..).unwrap_or_default();
            let length = wanted.len().min(part.len());
            let (start, rest) = part.split_at_checked(length).unwrap_or((part, &[]));
            self.line = match () {
                () if !wanted.starts_with(start) => LineState::Other,
                () if length == wanted.len() => LineState::Data,
                () => LineState::Field(seen.saturating_add(length)),
            };
            if self.line == LineState::Data && !self.texts.is_between() {
                self.texts.feed(b"\n");
            }
            part = rest;
        }
        if self.line == LineState::Data {
            part = part.trim_ascii_start();
            self.line = match part.first() {
                None => LineState::Data,
                Some(_) if self.texts.is_between() => LineState::End(0, u8::MAX),
                Some(_) => LineState::Value,
            };
        }
        if let LineState::End(seen, alike) = self.line {
            part = self.part_of_end(seen, alike, part);
        }
        if self.line == LineState::Value && !part.is_empty() {
            self.has_data = true;
            self.texts.feed(part);
        }
    }

    /// Compares a part of a data line with the ends of stream; returns what follows. The bytes before
    /// are no part of a text: between texts, no end of stream has a byte of one.
    fn part_of_end<'a>(&mut self, mut seen: usize, mut alike: u8, part: &'a [u8]) -> &'a [u8] {
        let ends = &self.texts.dialects().ends_of_stream;
        let mut rest = part;
        while let Some((byte, after)) = rest.split_first() {
            for (bit, end) in BITS.into_iter().zip(ends) {
                if end.get(seen) != Some(byte) {
                    alike &= !bit;
                }
            }
            seen = seen.saturating_add(1);
            let mut known = BITS.into_iter().zip(ends);
            if known.any(|(bit, end)| alike & bit != 0 && end.len() == seen) {
                self.done = true;
                self.line = LineState::Other;
                return after;
            }
            if BITS.into_iter().zip(ends).all(|(bit, _)| alike & bit == 0) {
                self.line = LineState::Value;
                return rest;
            }
            rest = after;
        }
        self.line = LineState::End(seen, alike);
        rest
    }

    fn line_ends(&mut self) {
        match self.line {
            LineState::Field(0) => self.event_ends(),
            // An empty value is data too.
            LineState::Data | LineState::End(..) => self.has_data = true,
            LineState::Field(_) | LineState::Value | LineState::Other => {}
        }
        self.line = LineState::Field(0);
    }

    fn event_ends(&mut self) {
        self.texts.drop_text();
        let texts = self.texts.facts().texts;
        if self.has_data && texts == self.texts_before {
            self.other_data = self.other_data.saturating_add(1);
        }
        self.has_data = false;
        self.texts_before = texts;
    }

    /// Ends the stream. `complete`: its body is. A missing last empty line is accepted.
    pub fn end(&mut self, complete: bool) {
        if complete {
            self.event_ends();
        }
    }

    /// True after an event that is the last one of its stream.
    pub fn has_ended(&self) -> bool {
        self.done || self.facts().ends
    }

    /// Returns what the texts say.
    pub fn facts(&self) -> &ResponseFacts {
        self.texts.facts()
    }

    /// Returns the number of ended events with data, without errors and ends of stream.
    pub fn count(&self) -> u64 {
        let facts = self.facts();
        let good = facts.texts.saturating_sub(facts.errors);
        good.saturating_add(self.other_data)
    }

    /// Returns the number of events that may be output.
    pub fn outputs(&self) -> u64 {
        self.facts().outputs.saturating_add(self.other_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::dialect;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Option<u64>, u64) {
        let mut events = Events::new(Arc::clone(&dialect::ALL));
        for piece in pieces {
            events.feed(piece);
        }
        (events.facts().totals.tokens(), events.count())
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
    const JOINED: &str = concat!(
        "data: {\"choices\":[{}]}\ndata: {\"choices\":[]}\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n",
        "data: [DONE]\n\n"
    );

    #[test]
    fn usage_is_read_wherever_the_stream_is_cut() {
        for stream in [OPEN_AI, ANTHROPIC, IN_LINES, JOINED] {
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
    fn a_broken_event_spoils_no_other_one() {
        let broken = "data: {\"choices\":[{\"delta\":{\"con\n\n";
        assert_eq!(read([broken.as_bytes(), OPEN_AI.as_bytes()]), (Some(12), 4));
    }

    #[test]
    fn an_end_of_stream_is_known_wherever_it_is_cut() {
        for (line, ends) in [
            ("data: [DONE]", true),
            ("data:[DONE]\n", true),
            ("data: [DONE] \n", true),
            ("data: [DONE\n\n", false),
            ("data: [DO\ndata: NE]\n\n", false),
            ("data: {\"a\":\ndata: [DONE]\n\n", false),
            ("event: [DONE]\n\n", false),
        ] {
            for at in 0..line.len() {
                let mut events = Events::new(Arc::clone(&dialect::ALL));
                events.feed(&line.as_bytes()[..at]);
                events.feed(&line.as_bytes()[at..]);
                assert_eq!(events.has_ended(), ends, "{line:?}, cut at {at}");
            }
        }
    }
}
