//! A request that waits for its body, and the reading of that body.

use super::envoy::body_bytes;
use super::hostcalls;
use super::log::warn;
use super::request::StreamRequest;
use crate::routes::Applies;
use crate::tokens::config::Tokens;
use crate::tokens::request::{self, ReadBody};
use proxy_wasm::types::BufferType;

const BODY: BufferType = BufferType::HttpRequestBody;

/// A request whose body is not complete.
#[derive(Debug)]
pub struct AwaitingBody {
    /// The request's headers.
    pub request: StreamRequest,
    /// The way in which the limits apply to the request.
    pub applies: Applies,
    /// The maximum size of a body that is read, in bytes.
    pub limit: u64,
    /// True when Envoy pauses the headers; otherwise they have gone on and can't change.
    pub headers_held: bool,
}

/// The part of a request's body that is read; sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub enum BodyPart {
    /// The whole body, of at most this many bytes.
    Whole(usize),
    /// The start of a longer one, and the number of bytes that have come.
    Start(usize),
    /// Nothing.
    Nothing,
}

impl AwaitingBody {
    /// Reads a part of the body; true when it was changed to ask for a usage event.
    pub fn read(&self, tokens: &Tokens, part: BodyPart) -> (ReadBody, bool) {
        match part {
            BodyPart::Whole(size) if size > 0 => {
                let body = body_bytes(BODY, 0, size);
                let read = request::read(&body, &tokens.options.dialects);
                (read, self.ask_for_usage(tokens, &body, size))
            }
            BodyPart::Start(size) => (self.read_start(tokens, size), false),
            BodyPart::Whole(_) | BodyPart::Nothing => (ReadBody::default(), false),
        }
    }

    /// Reads the start of a longer body, of which `size` bytes have come.
    fn read_start(&self, tokens: &Tokens, size: usize) -> ReadBody {
        let seen = u64::try_from(size).unwrap_or(u64::MAX);
        let dialects = &tokens.options.dialects;
        if dialects.models == 0 {
            return ReadBody::unread(seen);
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        ReadBody {
            seen,
            ..request::read_start(&body_bytes(BODY, 0, limit), dialects)
        }
    }

    /// Adds a request for a usage event to the body; true when the body was changed.
    fn ask_for_usage(&self, tokens: &Tokens, body: &[u8], size: usize) -> bool {
        if !self.request.takes_usage(tokens) {
            return false;
        }
        let Some(splice) = request::ask_for_usage(body, &tokens.options.dialects) else {
            return false;
        };
        if self.headers_held {
            self.request.unset_length(tokens);
        }
        let set = hostcalls::set_buffer(BODY, size, &splice.apply(body));
        if let Err(error) = &set {
            warn!("request body: {error}");
        }
        set.is_ok()
    }
}
