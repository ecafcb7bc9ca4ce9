//! Takes the usage event that the client did not ask for out of a stream that passes in pieces.
//!
//! A complete event goes out at once; only one that has not ended is held back, and only while it
//! may be the one: short, and `data:` with an object. All other bytes stay as they are.

use crate::tokens::dialect::openai::is_usage_chunk;
use crate::tokens::lines::LineSplitter;
use memchr::memmem;

/// Bytes of an event that are held back at most: usage events have a few hundred.
pub const BUFFERED_BYTES: usize = 8192;

/// A stream in which the usage event is hidden.
#[derive(Debug, Default)]
pub struct Hide {
    buffered: Vec<u8>,
    /// The event can't be the one: what comes of it goes out as it comes, up to its end.
    passing: Option<Event>,
    /// An event was taken out that ended with CR: an LF now belongs to it.
    after_cr: bool,
}

/// How far an event that passes in pieces has come.
#[derive(Clone, Copy, Debug, Default)]
struct Event {
    lines: LineSplitter,
    /// Whether the line has bytes.
    has_bytes: bool,
}

impl Event {
    /// Goes on over `bytes`; where in them the event ends, behind its empty line.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some(part) = self.lines.next(&mut rest) {
            self.has_bytes |= !part.bytes.is_empty();
            if part.ends_line {
                if !self.has_bytes {
                    return Some(bytes.len().saturating_sub(rest.len()));
                }
                self.has_bytes = false;
            }
        }
        None
    }
}

impl Hide {
    /// What goes out in place of the next piece; `last` when none follows.
    pub fn feed(&mut self, piece: &[u8], last: bool) -> Vec<u8> {
        let piece = match piece.strip_prefix(b"\n") {
            Some(rest) if self.after_cr => {
                self.after_cr = false;
                rest
            }
            _ => piece,
        };
        self.after_cr &= piece.is_empty();
        let mut out = Vec::with_capacity(self.buffered.len().saturating_add(piece.len()));
        let fresh = self.pass(piece, &mut out);
        self.buffered.extend_from_slice(fresh);
        let buffered = std::mem::take(&mut self.buffered);
        let mut rest = buffered.as_slice();
        while let Some(end) = event_end(rest) {
            let (event, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if is_extra_usage(event) {
                self.after_cr = after.is_empty() && event.ends_with(b"\r");
            } else {
                out.extend_from_slice(event);
            }
            rest = after;
        }
        if last && is_extra_usage(rest) {
            return out;
        }
        if !last && rest.len() <= BUFFERED_BYTES && may_be_json(rest) {
            self.buffered.extend_from_slice(rest);
        } else {
            let mut event = Event::default();
            event.end(rest);
            self.passing = Some(event);
            out.extend_from_slice(rest);
        }
        out
    }

    /// Lets out what belongs to an event that passes; what comes behind it.
    fn pass<'a>(&mut self, piece: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Some(event) = &mut self.passing else {
            return piece;
        };
        let end = event.end(piece);
        if end.is_some() {
            self.passing = None;
        }
        let (event, rest) = piece
            .split_at_checked(end.unwrap_or(piece.len()))
            .unwrap_or((piece, &[]));
        out.extend_from_slice(event);
        rest
    }
}

/// Where the first event of `bytes` ends, an LF behind its last CR included.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut event = Event::default();
    let end = event.end(bytes)?;
    let lf_follows = event.lines.is_after_cr() && bytes.get(end) == Some(&b'\n');
    Some(end.saturating_add(usize::from(lf_follows)))
}

/// Whether an event that has not ended may be the one: a comment, a field or `[DONE]` is not.
fn may_be_json(event: &[u8]) -> bool {
    const FIELD: &[u8] = b"data:";
    let seen = FIELD.len().min(event.len());
    let (start, value) = event.split_at_checked(seen).unwrap_or((event, &[]));
    FIELD.starts_with(start) && matches!(value.trim_ascii_start().first(), None | Some(b'{'))
}

fn is_extra_usage(event: &[u8]) -> bool {
    if memmem::find(event, b"\"usage\"").is_none() {
        return false;
    }
    let mut data = Vec::with_capacity(event.len());
    for line in event.split(|b| matches!(b, b'\n' | b'\r')) {
        if let Some(value) = line.strip_prefix(b"data:") {
            data.extend_from_slice(value);
            data.push(b'\n');
        }
    }
    is_usage_chunk(&data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"total_tokens\":5}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn pass(stream: &str, cuts: &[usize]) -> String {
        let mut hide = Hide::default();
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            out.extend(hide.feed(&stream.as_bytes()[from..cut], cut == stream.len()));
            from = cut;
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_usage_event_is_gone_wherever_the_stream_is_cut() {
        for line_end in ["\n", "\r\n"] {
            let stream = format!("{BEFORE}{USAGE}{DONE}").replace('\n', line_end);
            let wanted = format!("{BEFORE}{DONE}").replace('\n', line_end);
            for at in 0..stream.len() {
                assert_eq!(pass(&stream, &[at]), wanted, "cut at {at}");
            }
            let all: Vec<_> = (1..stream.len()).collect();
            assert_eq!(pass(&stream, &all), wanted);
        }
    }

    #[test]
    fn every_other_byte_stays() {
        let long = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(3 * BUFFERED_BYTES));
        let kimi = "data: {\"choices\":[{\"usage\":{\"total_tokens\":5}}]}\n\n";
        for stream in [
            &*format!("{BEFORE}{long}{DONE}"),
            &format!("{kimi}{DONE}"),
            "data: {\"choices\":[],\"usage\":null}\n\n",
            ": ping\n\n\n\n",
            "no event at all",
            "data: [DONE]\n",
            "event: x\ndata: {\"choices\":[],\"usa",
            "\r\r\r\n\n\r",
            "",
        ] {
            for size in [1, 3, 1000, 100_000] {
                let cuts: Vec<_> = (size..stream.len()).step_by(size).collect();
                assert_eq!(pass(stream, &cuts), stream, "{size}");
            }
        }
        let after_long = format!("{long}{USAGE}{DONE}");
        let cuts: Vec<_> = (100..after_long.len()).step_by(100).collect();
        assert_eq!(pass(&after_long, &cuts), format!("{long}{DONE}"));
    }

    #[test]
    fn no_more_is_held_back_than_the_bound() {
        let mut hide = Hide::default();
        hide.feed(b"data: ", false);
        for _ in 0..1000 {
            hide.feed(&[b'x'; 1000], false);
            assert!(hide.buffered.len() <= BUFFERED_BYTES);
        }
    }
}
