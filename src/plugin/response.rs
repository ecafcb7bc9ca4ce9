//! A response in transit: read for its usage, and unchanged except for a usage event that the
//! client did not ask for.

use super::envoy::{body_bytes, remove_header};
use super::header_map::HeaderMap;
use super::hostcalls;
use super::log::warn;
use crate::tokens::config::{Settle, Tokens};
use crate::tokens::consumed::Consumed;
use crate::tokens::redact::Hide;
use crate::tokens::response::{ReadOptions, UsageReader, is_plain};
use proxy_wasm::types::{BufferType, MapType};

const BODY: BufferType = BufferType::HttpResponseBody;
/// The maximum number of bytes of a body that are copied at once.
const PART_BYTES: usize = 65_536;

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
    pub fn needs_headers(self, tokens: &Tokens) -> bool {
        let may_be_encoded = !tokens.identity;
        self.hides_usage || self.may_tunnel || may_be_encoded || !tokens.options.headers.is_empty()
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
    pub fn without_headers(tokens: &Tokens, end: bool) -> Self {
        Self {
            usage: UsageReader::without_headers(end, &tokens.options),
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
        // A long piece is copied in parts, so that the VM's memory stays small.
        let mut at = 0;
        while at < size && self.usage.reads_body() {
            let part = size.saturating_sub(at).min(PART_BYTES);
            self.usage.feed(&body_bytes(BODY, at, part));
            at = at.saturating_add(part);
        }
    }

    /// Reads the trailers, which end the response.
    pub fn trailers(&mut self, options: &ReadOptions) {
        self.complete = true;
        if !options.headers.is_empty()
            && let Ok(trailers) = hostcalls::header_map(MapType::HttpResponseTrailers)
        {
            self.usage.trailers(trailers.iter(), options);
        }
    }

    /// Returns what a stream that goes on used so far; `None` for anything else.
    pub fn so_far(&self) -> Option<Consumed> {
        let code = || hostcalls::response_code().ok().flatten();
        self.usage.so_far(code)
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
