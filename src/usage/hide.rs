//! Takes the usage event that the client did not ask for out of a stream that passes in pieces.
//!
//! A complete event goes out at once; only one that has not ended is held back, and only while it
//! is short enough to be the one. All other bytes stay as they are.

use super::tally::Usage;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Bytes of an event that are held back at most: usage events have a few hundred.
pub const HELD_BYTES: usize = 8192;

/// A stream in which the usage event is hidden.
#[derive(Debug, Default)]
pub struct Hide {
    held: Vec<u8>,
    /// The event is too long to be the one: what comes of it goes out as it comes.
    passing: bool,
    /// An event was taken out that ended with CR: an LF now belongs to it.
    after_cr: bool,
}

/// The chunk that `stream_options.include_usage` adds: no choices, and the usage.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<IgnoredAny>,
    usage: Usage,
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
        self.held.extend_from_slice(piece);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        let mut out = Vec::with_capacity(rest.len());
        while let Some(end) = event_end(rest) {
            let (event, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if self.passing || !is_extra_usage(event) {
                out.extend_from_slice(event);
            } else {
                self.after_cr = after.is_empty() && event.ends_with(b"\r");
            }
            self.passing = false;
            rest = after;
        }
        if last {
            if !is_extra_usage(rest) {
                out.extend_from_slice(rest);
            }
        } else if self.passing || rest.len() > HELD_BYTES {
            self.passing = true;
            // The end of the event may lie across this piece and the next.
            let keep = rest.len().saturating_sub(4);
            let (gone, kept) = rest.split_at_checked(keep).unwrap_or((rest, &[]));
            out.extend_from_slice(gone);
            self.held.extend_from_slice(kept);
        } else {
            self.held.extend_from_slice(rest);
        }
        out
    }
}

/// Where the first event of `bytes` ends: behind its empty line.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        if at < line_start {
            // The LF of a CRLF that was passed with its CR.
            continue;
        }
        let next = at.saturating_add(1);
        let crlf = bytes.get(at..).is_some_and(|b| b.starts_with(b"\r\n"));
        let after = if crlf { next.saturating_add(1) } else { next };
        if at == line_start {
            return Some(after);
        }
        line_start = after;
    }
    None
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
    serde_json::from_slice::<Chunk>(&data)
        .is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage != Usage::default())
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
        let long = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(3 * HELD_BYTES));
        let kimi = "data: {\"choices\":[{\"usage\":{\"total_tokens\":5}}]}\n\n";
        for stream in [
            &*format!("{BEFORE}{long}{DONE}"),
            &format!("{kimi}{DONE}"),
            "data: {\"choices\":[],\"usage\":null}\n\n",
            ": ping\n\n\n\n",
            "no event at all",
            "data: {\"choices\":[],\"usa",
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
            assert!(hide.held.len() <= HELD_BYTES);
        }
    }
}
