//! The tokens that one response reports: in its headers, its body and its trailers. The body's
//! first byte gives the format, not the path or the content type.

use crate::tokens::dialect;
use crate::tokens::excerpt::Excerpt;
use crate::tokens::sse::Events;
use crate::tokens::usage::{Cached, MAX_TOKENS, UsageTotals};

/// The options of the response reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The treatment of cached prompt tokens.
    pub cached: Cached,
    /// The response header or trailer (lower case) with the tokens, if there is one.
    pub header: Option<String>,
}

/// The tokens that a response used, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// The number of tokens.
    Tokens(u64),
    /// Unknown.
    Unknown,
    /// A stream without complete usage.
    Streamed(Streamed),
}

/// A stream of events without usage, or with a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// The prompt tokens, if the stream reported them.
    pub prompt: Option<u64>,
    /// The tokens that the stream reported; zero without a report.
    pub said: u64,
    /// The events of the stream: each is at least one token.
    pub events: u64,
    /// True when the stream is complete.
    pub complete: bool,
}

/// The part of the next piece that the reader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Nothing.
    Nothing,
    /// The complete piece.
    All,
    /// The given number of bytes from its start, and [`crate::tokens::excerpt::TAIL_BYTES`] from
    /// its end.
    Ends(usize),
}

#[derive(Debug)]
enum BodyState {
    /// The response used no tokens.
    Free,
    /// The body can't be read.
    Opaque,
    /// No byte has arrived.
    Unseen,
    Json(Excerpt),
    Events(Box<Events>),
}

/// The reader of one response.
#[derive(Debug)]
pub struct UsageReader {
    cached: Cached,
    body: BodyState,
    /// The tokens reported in a header or trailer.
    said: Option<u64>,
}

type HeaderPair<'a> = (&'a [u8], &'a [u8]);

impl UsageReader {
    /// Starts to read a response, from its headers; `end`: no body follows.
    ///
    /// A response without success or without a body used no tokens.
    pub fn begin<'a>(
        headers: impl Iterator<Item = HeaderPair<'a>>,
        end: bool,
        options: &ReadOptions,
    ) -> Self {
        let mut response = Self {
            cached: options.cached,
            body: if end {
                BodyState::Free
            } else {
                BodyState::Unseen
            },
            said: None,
        };
        for (name, value) in headers {
            match name {
                b":status" => match value {
                    b"101" => response.body = BodyState::Opaque,
                    [b'2', ..] => {}
                    _ => {
                        response.body = BodyState::Free;
                        return response;
                    }
                },
                b"content-encoding"
                    if !value.eq_ignore_ascii_case(b"identity")
                        && matches!(response.body, BodyState::Unseen) =>
                {
                    response.body = BodyState::Opaque;
                }
                _ => response.note(name, value, options),
            }
        }
        response
    }

    /// Reads the trailers.
    pub fn trailers<'a>(
        &mut self,
        trailers: impl Iterator<Item = HeaderPair<'a>>,
        options: &ReadOptions,
    ) {
        for (name, value) in trailers {
            self.note(name, value, options);
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8], options: &ReadOptions) {
        if options.header.as_ref().map(String::as_bytes) == Some(name) {
            let tokens = str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            self.said = tokens.filter(|n| *n <= MAX_TOKENS).or(self.said);
        }
    }

    /// Returns the part of the next piece that the reader needs.
    pub fn wants(&self) -> Wants {
        match &self.body {
            _ if self.said.is_some() => Wants::Nothing,
            BodyState::Free | BodyState::Opaque => Wants::Nothing,
            BodyState::Unseen | BodyState::Events(_) => Wants::All,
            BodyState::Json(excerpt) => Wants::Ends(excerpt.head_wanted()),
        }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        if matches!(self.body, BodyState::Unseen) {
            piece = piece.trim_ascii_start();
            self.body = match piece.first() {
                None => return,
                Some(b'{') => BodyState::Json(Excerpt::default()),
                // A comment, one of the fields data, event, id and retry, or a byte order mark.
                Some(b':' | b'd' | b'e' | b'i' | b'r' | 0xEF) => BodyState::Events(Box::default()),
                Some(_) => BodyState::Opaque,
            };
        }
        match &mut self.body {
            BodyState::Free | BodyState::Opaque | BodyState::Unseen => {}
            BodyState::Json(excerpt) => excerpt.feed(piece),
            BodyState::Events(events) => events.feed(piece),
        }
    }

    /// Reads the last [`crate::tokens::excerpt::TAIL_BYTES`] of a piece whose middle was skipped.
    pub fn feed_after_gap(&mut self, end: &[u8]) {
        if let BodyState::Json(excerpt) = &mut self.body {
            excerpt.feed_after_gap(end);
        }
    }

    /// Returns the number of buffered bytes: at most [`crate::tokens::excerpt::HEAD_BYTES`] and
    /// [`crate::tokens::excerpt::TAIL_BYTES`].
    pub fn buffered(&self) -> usize {
        match &self.body {
            BodyState::Free | BodyState::Opaque | BodyState::Unseen => 0,
            BodyState::Json(excerpt) => excerpt.buffered(),
            BodyState::Events(events) => events.buffered(),
        }
    }

    /// Returns the tokens used; `complete`: the response reached its end.
    pub fn used(self, complete: bool) -> Used {
        if let Some(tokens) = self.said {
            return Used::Tokens(tokens);
        }
        match self.body {
            BodyState::Free => Used::Tokens(0),
            BodyState::Opaque | BodyState::Unseen => Used::Unknown,
            BodyState::Json(mut excerpt) => {
                let mut totals = UsageTotals::default();
                if let Some(usage) = excerpt.usage(&dialect::ALL) {
                    totals.update(&usage);
                }
                totals
                    .tokens(self.cached)
                    .map_or(Used::Unknown, Used::Tokens)
            }
            BodyState::Events(mut events) => {
                let complete = events.end(complete);
                match events.totals.tokens(self.cached) {
                    Some(tokens) if complete => Used::Tokens(tokens),
                    said => Used::Streamed(Streamed {
                        prompt: events.totals.prompt(),
                        said: said.unwrap_or(0),
                        events: events.count,
                        complete,
                    }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: &str, lines: &[(&str, &str)], end: bool, body: &[&str]) -> Used {
        let options = ReadOptions {
            cached: Cached::Count,
            header: Some("x-tokens".to_owned()),
        };
        let mut all = vec![(":status", status)];
        all.extend_from_slice(lines);
        let lines = all.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let mut response = UsageReader::begin(lines, end, &options);
        for piece in body {
            response.feed(piece.as_bytes());
        }
        response.used(true)
    }

    #[test]
    fn the_first_byte_tells_the_shape() {
        let json = r#"{"usage":{"total_tokens":5}}"#;
        assert_eq!(response("200", &[], false, &[" \n", json]), Used::Tokens(5));
        let event = "data: {\"usage\":{\"total_tokens\":5}}\n\n";
        for start in [
            "",
            ": hi\n\n",
            "event: x\n",
            "id: 1\n",
            "\u{feff}\n",
            "\n\n",
        ] {
            assert_eq!(
                response("200", &[], false, &[start, event]),
                Used::Tokens(5),
                "{start:?}"
            );
        }
        assert_eq!(response("200", &[], false, &["<html>"]), Used::Unknown);
        assert_eq!(
            response("200", &[], false, &["\u{1f}\u{8b}..."]),
            Used::Unknown
        );
    }

    #[test]
    fn what_is_no_success_or_has_no_body_used_nothing() {
        let json = r#"{"usage":{"total_tokens":5}}"#;
        for status in ["302", "400", "429", "503"] {
            assert_eq!(
                response(status, &[], false, &[json]),
                Used::Tokens(0),
                "{status}"
            );
        }
        assert_eq!(response("204", &[], true, &[]), Used::Tokens(0));
        assert_eq!(
            response("101", &[], false, &["data: "]),
            Used::Unknown,
            "a tunnel"
        );
    }

    #[test]
    fn a_header_goes_before_the_body_and_encoded_bodies_are_not_read() {
        let json = r#"{"usage":{"total_tokens":5}}"#;
        let said = [("x-tokens", "7")];
        assert_eq!(response("200", &said, false, &[json]), Used::Tokens(7));
        let nonsense = [("x-tokens", "-7")];
        assert_eq!(response("200", &nonsense, false, &[json]), Used::Tokens(5));
        let gzip = [("content-encoding", "gzip")];
        assert_eq!(response("200", &gzip, false, &[json]), Used::Unknown);
    }

    #[test]
    fn a_stream_that_is_cut_tells_what_it_can() {
        let mut cut = UsageReader::begin(std::iter::empty(), false, &ReadOptions::default());
        cut.feed(b"data: {\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n");
        cut.feed(b"data: {}\n\ndata: {}\n\ndata: {\"half\":");
        let told = Streamed {
            prompt: Some(70),
            said: 71,
            events: 3,
            complete: false,
        };
        assert_eq!(cut.used(false), Used::Streamed(told));
    }
}
