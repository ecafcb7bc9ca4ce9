//! The tokens that one response reports: in its headers, its body and its trailers. The body's
//! first byte gives the format, not the path or the content type.
//!
//! Headers cost a host call, so most responses are read without them. A usage in the body then
//! decides. Only a body that leaves a doubt has its status asked for, at its end.

use crate::tokens::consumed::{Consumed, Pace, Used, used_by_json, used_by_stream};
use crate::tokens::dialect::{self, Dialects};
use crate::tokens::event_stream::EventStream;
use crate::tokens::sse::Events;
use crate::tokens::text::TextReader;
use crate::tokens::usage::MAX_TOKENS;
use std::sync::Arc;

/// The options of the response reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The response headers or trailers (lower case) whose sum is the tokens; empty: none.
    pub headers: Vec<String>,
    /// The dialects that a body is read in.
    pub dialects: Arc<Dialects>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            dialects: Arc::clone(&dialect::ALL),
        }
    }
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
    /// JSON: one text, or one in each line.
    Json(Box<TextReader>),
    /// JSON: several texts in an array.
    Array(Box<TextReader>),
    /// Server-sent events.
    Events(Box<Events>),
    /// Amazon's event stream.
    Messages(Box<EventStream>),
}

/// The reader of one response.
#[derive(Debug)]
pub struct UsageReader {
    dialects: Arc<Dialects>,
    body: BodyState,
    /// The tokens reported in headers or trailers.
    said: Option<u64>,
    /// True when the headers were read, and the status with them.
    knows_status: bool,
}

type HeaderPair<'a> = (&'a [u8], &'a [u8]);

impl UsageReader {
    /// Starts to read a response without its headers; `end`: no body follows.
    pub fn without_headers(end: bool, options: &ReadOptions) -> Self {
        Self {
            dialects: Arc::clone(&options.dialects),
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
            ..Self::without_headers(end, options)
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
        if !options.headers.iter().any(|known| known.as_bytes() == name) {
            return;
        }
        let tokens = str::from_utf8(value).ok().and_then(|v| v.parse().ok());
        if let Some(tokens) = tokens.filter(|n| *n <= MAX_TOKENS) {
            let said: u64 = self.said.unwrap_or(0);
            self.said = Some(said.saturating_add(tokens));
        }
    }

    /// True when the reader needs the next piece of the body.
    pub const fn reads_body(&self) -> bool {
        let is_read = matches!(self.body, BodyState::Free | BodyState::Opaque);
        self.said.is_none() && !is_read
    }

    /// Reads the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        if let BodyState::Unseen(mark) = &mut self.body {
            if *mark == 0 {
                piece = piece.trim_ascii_start();
            }
            piece = without_mark(piece, mark).trim_ascii_start();
            let dialects = || Arc::clone(&self.dialects);
            self.body = match piece.first() {
                None => return,
                Some(b'{') => BodyState::Json(TextReader::new(dialects()).into()),
                Some(b'[') => BodyState::Array(TextReader::new(dialects()).into()),
                // A comment, or one of the fields data, event, id and retry.
                Some(b':' | b'd' | b'e' | b'i' | b'r') => {
                    BodyState::Events(Events::new(dialects()).into())
                }
                Some(0) => BodyState::Messages(EventStream::new(dialects()).into()),
                Some(_) => BodyState::Opaque,
            };
        }
        match &mut self.body {
            BodyState::Free | BodyState::Opaque | BodyState::Unseen(_) => {}
            BodyState::Json(texts) | BodyState::Array(texts) => texts.feed(piece),
            BodyState::Events(events) => events.feed(piece),
            BodyState::Messages(messages) => messages.feed(piece),
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

    /// Returns what a stream that goes on used so far; `None` for anything else. `code` gives the
    /// status, and is called for a stream without known headers.
    pub fn so_far(&self, code: impl FnOnce() -> Option<u64>) -> Option<Consumed> {
        if self.said.is_some() {
            return None;
        }
        let consumed = match &self.body {
            BodyState::Events(events) => {
                used_by_stream(events.facts(), &Pace::of_events(events, false))
            }
            BodyState::Json(texts) | BodyState::Array(texts) if texts.facts().texts > 1 => {
                used_by_stream(texts.facts(), &Pace::of(texts.facts(), false))
            }
            BodyState::Messages(messages) => {
                let facts = messages.facts()?;
                used_by_stream(facts, &Pace::of(facts, false))
            }
            _ => return None,
        };
        let is_streamed = matches!(consumed.used, Used::Streamed(_));
        let is_success = || {
            self.knows_status
                || !matches!(
                    code().map(StatusClass::of),
                    Some(StatusClass::Failure | StatusClass::Tunnel)
                )
        };
        (is_streamed && is_success()).then_some(consumed)
    }

    /// Returns the tokens of a success, and true when no status would change them.
    fn used_by_body(self, complete: bool) -> (Consumed, bool) {
        match self.body {
            BodyState::Free => (Used::Tokens(0).into(), true),
            BodyState::Unseen(_) if complete => (Used::Tokens(0).into(), true),
            BodyState::Opaque | BodyState::Unseen(_) => (Used::Unknown.into(), false),
            BodyState::Json(texts) => used_by_json(texts.facts(), complete),
            BodyState::Array(texts) => {
                let pace = Pace::of(texts.facts(), complete);
                (used_by_stream(texts.facts(), &pace), false)
            }
            // One more call is nothing beside a stream, so its status is always checked.
            BodyState::Events(mut events) => {
                events.end(complete);
                let pace = Pace::of_events(&events, complete);
                (used_by_stream(events.facts(), &pace), false)
            }
            BodyState::Messages(messages) => match messages.facts() {
                Some(facts) => {
                    let pace = Pace::of(facts, complete && messages.is_between());
                    (used_by_stream(facts, &pace), false)
                }
                None => (Used::Unknown.into(), false),
            },
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
