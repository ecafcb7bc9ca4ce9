//! Removes the usage event that the client did not ask for from a stream that arrives in pieces.
//!
//! A complete event is sent at once. An unfinished event is buffered only while it may be the usage
//! event: short, and its data an object. All other bytes stay unchanged. Some servers join events
//! without the empty line between them; then the line with the usage is removed.

use crate::tokens::dialect::openai::is_usage_chunk;
use crate::tokens::lines::{DATA, LineSplitter};
use memchr::memmem;

/// The maximum of buffered bytes of an event: usage events have a few hundred.
pub const BUFFERED_BYTES: usize = 8192;

/// A stream whose usage event is hidden.
#[derive(Debug, Default)]
pub struct Hide {
    buffered: Vec<u8>,
    /// The event can't be the usage event: its bytes pass through unbuffered up to its end.
    passing: Option<Event>,
    /// A removed event ended with CR: an LF that follows belongs to it.
    after_cr: bool,
}

/// The state of an event that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Event {
    lines: LineSplitter,
    /// True when the line has bytes.
    has_bytes: bool,
}

impl Event {
    /// Scans `bytes`; returns the end of the event, behind its empty line.
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
    /// Returns the bytes to send in place of the next piece; `last`: no piece follows.
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
            match without_usage(event) {
                Some(left) => {
                    self.after_cr = after.is_empty() && event.ends_with(b"\r") && left.is_empty();
                    out.extend_from_slice(&left);
                }
                None => out.extend_from_slice(event),
            }
            rest = after;
        }
        if last && let Some(left) = without_usage(rest) {
            out.extend_from_slice(&left);
            return out;
        }
        if !last && rest.len() <= BUFFERED_BYTES && may_be_usage(rest) {
            self.buffered.extend_from_slice(rest);
        } else {
            let mut event = Event::default();
            event.end(rest);
            self.passing = Some(event);
            out.extend_from_slice(rest);
        }
        out
    }

    /// Sends the bytes of a passing event, and returns the bytes after it.
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

/// Returns the end of the first event of `bytes`, including an LF behind its last CR.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut event = Event::default();
    let end = event.end(bytes)?;
    let lf_follows = event.lines.is_after_cr() && bytes.get(end) == Some(&b'\n');
    Some(end.saturating_add(usize::from(lf_follows)))
}

/// True when an unfinished event may be the usage event: its data is an object so far, or not here.
fn may_be_usage(event: &[u8]) -> bool {
    let mut lines = lines(event).filter(|line| !line.is_empty());
    let first = lines.find(|line| !is_other_field(line));
    first.is_none_or(|line| {
        let seen = DATA.len().min(line.len());
        let (start, value) = line.split_at_checked(seen).unwrap_or((line, &[]));
        DATA.starts_with(start) && matches!(value.trim_ascii_start().first(), None | Some(b'{'))
    })
}

/// True for the line of another field than data, or for its start.
fn is_other_field(line: &[u8]) -> bool {
    let fields: [&[u8]; 4] = [b"event:", b"id:", b"retry:", b":"];
    let mut fields = fields.into_iter();
    fields.any(|field| line.starts_with(field) || field.starts_with(line))
}

/// Returns the lines of an event, and an empty one where CR and LF follow one another.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|b| matches!(b, b'\n' | b'\r'))
}

/// Returns what is left of an event without the extra usage; `None` when the event has none.
fn without_usage(event: &[u8]) -> Option<Vec<u8>> {
    memmem::find(event, b"\"usage\"")?;
    let data = || lines(event).filter_map(|line| line.strip_prefix(DATA));
    let mut joined = Vec::with_capacity(event.len());
    for value in data() {
        joined.extend_from_slice(value);
        joined.push(b'\n');
    }
    if is_usage_chunk(&joined) {
        return Some(Vec::new());
    }
    if data().count() < 2 || !data().any(is_usage_chunk) {
        return None;
    }
    let is_kept = |line: &&[u8]| {
        let value = line.strip_prefix(DATA);
        !value.is_some_and(|value| is_usage_chunk(value.trim_ascii_end()))
    };
    let kept: Vec<_> = event
        .split_inclusive(|b| *b == b'\n')
        .filter(is_kept)
        .collect();
    Some(kept.concat())
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
    fn the_usage_event_is_gone_however_it_is_framed() {
        let usage = USAGE.trim_end();
        for event in [
            format!("event: message\nid: 7\n{usage}\n\n"),
            format!("{usage}\nid: 7\n\n"),
            format!(": a comment\nretry: 3\n{usage}\n\n"),
            "data: {\"choices\":[],\ndata: \"usage\":{\"total_tokens\":5}}\n\n".to_owned(),
            usage.replace("data: ", "data:") + "\n\n",
        ] {
            for line_end in ["\n", "\r\n", "\r"] {
                let stream = format!("{BEFORE}{event}{DONE}").replace('\n', line_end);
                let wanted = format!("{BEFORE}{DONE}").replace('\n', line_end);
                for at in 0..stream.len() {
                    assert_eq!(pass(&stream, &[at]), wanted, "{event:?}, cut at {at}");
                }
                let all: Vec<_> = (1..stream.len()).collect();
                assert_eq!(pass(&stream, &all), wanted);
            }
        }
    }

    #[test]
    fn of_joined_events_the_line_with_the_usage_is_gone() {
        let line = USAGE.trim_end();
        let before = BEFORE.trim_end();
        let stream = format!("{before}\n{line}\n{DONE}");
        let wanted = format!("{before}\n{DONE}");
        for at in 0..stream.len() {
            assert_eq!(pass(&stream, &[at]), wanted, "cut at {at}");
        }
        let stream = format!("{line}\n{DONE}");
        for at in 0..stream.len() {
            assert_eq!(pass(&stream, &[at]), DONE, "cut at {at}");
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
