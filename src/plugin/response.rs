//! A response in transit: read for its usage, and unchanged except for a usage event that the
//! client did not ask for.

use super::envoy::{body_bytes, remove_header};
use super::header_map::HeaderMap;
use super::hostcalls;
use super::log::warn;
use crate::tokens::config::{Settle, Tokens};
use crate::tokens::excerpt::TAIL_BYTES;
use crate::tokens::redact::Hide;
use crate::tokens::response::{Consumed, ReadOptions, UsageReader, Wants, is_plain};
use proxy_wasm::types::{BufferType, MapType};

const BODY: BufferType = BufferType::HttpResponseBody;

/// The facts of a request that tell how its response is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponsePlan {
    /// True when the response's usage event must be hidden: the client did not ask for it.
    pub hides_usage: bool,
    /// True when the client asks for an upgrade: the response may be a tunnel.
    pub may_tunnel: bool,
}

impl ResponsePlan {
    /// True when something in a response must be read. `settles`: the request was admitted.
    pub fn reads(self, tokens: &Tokens, settles: bool) -> bool {
        self.hides_usage || (settles && tokens.settle == Settle::Usage)
    }

    /// True when the body alone does not tell how to read it.
    ///
    /// The bytes of a tunnel may look like a usage, and those of an encoded body like a stream.
    pub const fn needs_headers(self, tokens: &Tokens) -> bool {
        let may_be_encoded = !tokens.identity;
        self.hides_usage || self.may_tunnel || may_be_encoded || tokens.options.header.is_some()
    }
}

/// The reader of one response.
#[derive(Debug)]
pub struct ResponseReader {
    usage: UsageReader,
    hide: Option<Hide>,
    /// True after the end of the response.
    complete: bool,
}

impl ResponseReader {
    /// Starts to read a response by its body alone.
    pub const fn without_headers(end: bool) -> Self {
        Self {
            usage: UsageReader::without_headers(end),
            hide: None,
            complete: end,
        }
    }

    /// Starts to read a response, from its headers.
    pub fn begin(tokens: &Tokens, headers: &HeaderMap, end: bool, hides_usage: bool) -> Self {
        let is_encoded = !headers.values("content-encoding").all(is_plain);
        let hides = hides_usage && !is_encoded && headers.iter().any(is_event_stream);
        if hides {
            remove_header(MapType::HttpResponseHeaders, "content-length");
        }
        Self {
            usage: UsageReader::begin(headers.iter(), end, &tokens.options),
            hide: hides.then(Hide::default),
            complete: end,
        }
    }

    /// Reads a piece of the body.
    pub fn body(&mut self, size: usize, end: bool) {
        self.complete |= end;
        if let Some(hide) = &mut self.hide {
            let piece = body_bytes(BODY, 0, size);
            self.usage.feed(&piece);
            let out = hide.feed(&piece, end);
            if out != piece
                && let Err(error) = hostcalls::set_buffer(BODY, size, &out)
            {
                warn!("response body: {error}");
            }
            return;
        }
        match self.usage.wants() {
            Wants::Nothing => {}
            Wants::Ends(head) if size > head.saturating_add(TAIL_BYTES) => {
                // The middle of a long piece is not copied.
                if head > 0 {
                    self.usage.feed(&body_bytes(BODY, 0, head));
                }
                let tail = size.saturating_sub(TAIL_BYTES);
                self.usage
                    .feed_after_gap(&body_bytes(BODY, tail, TAIL_BYTES));
            }
            Wants::All | Wants::Ends(_) if size > 0 => {
                self.usage.feed(&body_bytes(BODY, 0, size));
            }
            Wants::All | Wants::Ends(_) => {}
        }
    }

    /// Reads the trailers, which end the response.
    pub fn trailers(&mut self, options: &ReadOptions) {
        self.complete = true;
        if options.header.is_some()
            && let Ok(trailers) = hostcalls::header_map(MapType::HttpResponseTrailers)
        {
            self.usage.trailers(trailers.iter(), options);
        }
    }

    /// Returns the tokens that the response used.
    pub fn used(self) -> Consumed {
        let code = || hostcalls::response_code().ok().flatten();
        self.usage.used(self.complete, code)
    }
}

/// True for the header line of an event stream.
pub fn is_event_stream((name, value): (&[u8], &[u8])) -> bool {
    name == b"content-type" && value.starts_with(b"text/event-stream")
}
