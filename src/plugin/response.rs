//! A response in transit: read for its usage, and unchanged except for a usage event that the
//! client did not ask for.

use super::envoy::{body_bytes, remove_header};
use super::header_map::HeaderMap;
use super::hostcalls;
use super::log::warn;
use crate::tokens::Used;
use crate::tokens::config::{Settle, Tokens};
use crate::tokens::excerpt::TAIL_BYTES;
use crate::tokens::redact::Hide;
use crate::tokens::response::{ReadOptions, UsageReader, Wants};
use proxy_wasm::types::{BufferType, MapType};

const BODY: BufferType = BufferType::HttpResponseBody;

/// The reader of one response.
#[derive(Debug)]
pub struct ResponseReader {
    usage: UsageReader,
    hide: Option<Hide>,
    /// True after the end of the response.
    complete: bool,
}

impl ResponseReader {
    /// True when something in a response must be read.
    pub fn wants(tokens: &Tokens, hides_usage: bool) -> bool {
        tokens.settle == Settle::Usage || hides_usage
    }

    /// Starts to read a response, from its headers.
    pub fn begin(tokens: &Tokens, headers: &HeaderMap, end: bool, hides_usage: bool) -> Self {
        let is_encoded = headers.values("content-encoding").any(|v| v != b"identity");
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
    pub fn used(self) -> Used {
        self.usage.used(self.complete)
    }
}

fn is_event_stream((name, value): (&[u8], &[u8])) -> bool {
    name == b"content-type" && value.starts_with(b"text/event-stream")
}
