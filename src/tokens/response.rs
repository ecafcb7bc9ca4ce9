//! The tokens that one response reports: in its headers, its body and its trailers. The body's
//! first byte gives the format, not the path or the content type.
//!
//! Headers cost a host call, so most responses are read without them. A usage in the body then
//! decides. Only a body that leaves a doubt has its status asked for, at its end.

use crate::tokens::dialect;
use crate::tokens::excerpt::Excerpt;
use crate::tokens::rates::TokenCounts;
use crate::tokens::sse::Events;
use crate::tokens::usage::{MAX_TOKENS, UsageTotals};

/// The options of the response reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The response header or trailer (lower case) with the tokens, if there is one.
    pub header: Option<String>,
}

/// The tokens that a response used, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// The number of tokens.
    Tokens(u64),
    /// The number of output tokens; the input is unknown.
    Output(u64),
    /// Unknown.
    Unknown,
    /// A stream without complete usage.
    Streamed(Streamed),
}

/// The tokens that a response used, and the kinds of input among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// The tokens of all kinds.
    pub used: Used,
    /// The input tokens by kind, if the response reported them.
    pub input: Option<TokenCounts>,
}

impl From<Used> for Consumed {
    fn from(used: Used) -> Self {
        Self { used, input: None }
    }
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

/// True for a content-encoding that leaves the body as it is; some upstreams say so in their way.
pub fn is_plain(encoding: &[u8]) -> bool {
    let names = [&b""[..], b"identity", b"none", b"utf-8"];
    let encoding = encoding.trim_ascii();
    names.iter().any(|name| encoding.eq_ignore_ascii_case(name))
}

/// The meaning of a response's status for its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusClass {
    /// The body reports the tokens.
    Success,
    /// 101: the body is a tunnel, whose tokens are unknown.
    Tunnel,
    /// The response used no tokens.
    Failure,
}

impl StatusClass {
    const fn of(code: u64) -> Self {
        match code {
            101 => Self::Tunnel,
            200..=299 => Self::Success,
            _ => Self::Failure,
        }
    }
}

#[derive(Debug)]
enum BodyState {
    /// The response used no tokens.
    Free,
    /// The body can't be read.
    Opaque,
    /// No byte has arrived but blanks, and this much of a byte order mark.
    Unseen(usize),
    Json(Excerpt),
    Events(Box<Events>),
}

/// The reader of one response.
#[derive(Debug)]
pub struct UsageReader {
    body: BodyState,
    /// The tokens reported in a header or trailer.
    said: Option<u64>,
    /// True when the headers were read, and the status with them.
    knows_status: bool,
}

type HeaderPair<'a> = (&'a [u8], &'a [u8]);

impl UsageReader {
    /// Starts to read a response without its headers; `end`: no body follows.
    pub const fn without_headers(end: bool) -> Self {
        Self {
            body: if end {
                BodyState::Free
            } else {
                BodyState::Unseen(0)
            },
            said: None,
            knows_status: false,
        }
    }

    /// Starts to read a response, from its headers; `end`: no body follows.
    ///
    /// A response without success or without a body used no tokens.
    pub fn begin<'a>(
        headers: impl Iterator<Item = HeaderPair<'a>>,
        end: bool,
        options: &ReadOptions,
    ) -> Self {
        let mut response = Self {
            knows_status: true,
            ..Self::without_headers(end)
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
                    if !is_plain(value) && matches!(response.body, BodyState::Unseen(_)) =>
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
            BodyState::Unseen(_) | BodyState::Events(_) => Wants::All,
            BodyState::Json(excerpt) => Wants::Ends(excerpt.head_wanted()),
        }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        if let BodyState::Unseen(mark) = &mut self.body {
            piece = without_mark(piece, mark).trim_ascii_start();
            self.body = match piece.first() {
                None => return,
                Some(b'{') => BodyState::Json(Excerpt::default()),
                // A comment, or one of the fields data, event, id and retry.
                Some(b':' | b'd' | b'e' | b'i' | b'r') => BodyState::Events(Box::default()),
                Some(_) => BodyState::Opaque,
            };
        }
        match &mut self.body {
            BodyState::Free | BodyState::Opaque | BodyState::Unseen(_) => {}
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
            BodyState::Free | BodyState::Opaque | BodyState::Unseen(_) => 0,
            BodyState::Json(excerpt) => excerpt.buffered(),
            BodyState::Events(events) => events.buffered(),
        }
    }

    /// Returns the tokens used; `complete`: the response reached its end. `code` gives the status,
    /// and is called only where the body leaves a doubt.
    ///
    /// A status that is not known counts as success.
    pub fn used(self, complete: bool, code: impl FnOnce() -> Option<u64>) -> Consumed {
        if let Some(tokens) = self.said {
            return Used::Tokens(tokens).into();
        }
        let knows_status = self.knows_status;
        let (consumed, is_certain) = self.used_by_body(complete);
        if is_certain || knows_status {
            return consumed;
        }
        match code().map(StatusClass::of) {
            Some(StatusClass::Failure) => Used::Tokens(0).into(),
            Some(StatusClass::Tunnel) => Used::Unknown.into(),
            Some(StatusClass::Success) | None => consumed,
        }
    }

    /// Returns the tokens of a success, and true when no status would change them.
    fn used_by_body(self, complete: bool) -> (Consumed, bool) {
        match self.body {
            BodyState::Free => (Used::Tokens(0).into(), true),
            BodyState::Opaque | BodyState::Unseen(_) => (Used::Unknown.into(), false),
            BodyState::Json(mut excerpt) => {
                let mut totals = UsageTotals::default();
                if let Some(usage) = excerpt.usage(&dialect::ALL) {
                    totals.update(&usage);
                }
                let alone = totals.output_alone().map(Used::Output);
                let Some(used) = alone.or_else(|| totals.tokens().map(Used::Tokens)) else {
                    return (Used::Unknown.into(), false);
                };
                let consumed = Consumed {
                    used,
                    input: totals.input(),
                };
                // A failure that reports a usage says that it is an error.
                (consumed, !excerpt.names_error())
            }
            // One more call is nothing beside a stream, so its status is always checked.
            BodyState::Events(events) => (used_by_events(*events, complete), false),
        }
    }
}

/// Takes a byte order mark off the first piece, or off the first pieces; `mark` is the number of its
/// bytes that were taken.
fn without_mark<'a>(piece: &'a [u8], mark: &mut usize) -> &'a [u8] {
    const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
    let left = MARK.get(*mark..).unwrap_or_default();
    let same = left.iter().zip(piece).take_while(|(a, b)| a == b).count();
    *mark = mark.saturating_add(same);
    piece.get(same..).unwrap_or_default()
}

fn used_by_events(mut events: Events, complete: bool) -> Consumed {
    let complete = events.end(complete);
    let (said, input) = (events.totals.tokens(), events.totals.input());
    let alone = events.totals.output_alone();
    let used = match (said, alone) {
        (_, Some(output)) if complete => Used::Output(output),
        (Some(tokens), None) if complete => Used::Tokens(tokens),
        // Bytes without an event may be no stream at all, but an encoded body.
        (None, None) if events.count == 0 => Used::Unknown,
        (said, alone) => Used::Streamed(Streamed {
            prompt: input.map(|input| input.all_input()).filter(|n| *n > 0),
            said: said.unwrap_or(0),
            events: events.count.max(alone.unwrap_or(0)),
            complete,
        }),
    };
    Consumed { used, input }
}
