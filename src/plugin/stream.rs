//! One HTTP stream: judged on its request headers, settled exactly once, at its end.
//!
//! Envoy ends every stream with `on_log`, `on_done` and the context's removal, in that order,
//! however it ended; after a trap it calls none of them. What is held is taken out before it is
//! settled, so no order of ends can settle twice.

use super::envoy::{Envoy, StreamRequest};
use super::hostcalls::{self, LocalReply};
use super::root::SharedGate;
use crate::gate::{Action as Verdict, Gate, Held, Used};
use crate::host::{Header, Request};
use crate::reply::Reply;
use crate::reply::headers::HeaderLine;
use crate::usage::{Reader, TAIL_BYTES};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};

/// One stream.
#[derive(Debug)]
pub struct Stream {
    gate: Option<SharedGate>,
    held: Option<Held>,
    headers: Vec<HeaderLine>,
    usage: Usage,
}

/// What is known of the tokens that the response used.
#[derive(Debug)]
enum Usage {
    /// Nothing, or not yet.
    Unknown,
    /// The upstream refused or failed: none.
    None,
    /// The body is read as it comes by.
    Reading(Reader),
}

impl Stream {
    /// A stream that nothing has happened on.
    pub fn new(gate: Option<SharedGate>) -> Self {
        Self {
            gate,
            held: None,
            headers: Vec::new(),
            usage: Usage::Unknown,
        }
    }

    /// Runs `f` with the gate, if there is one.
    fn with_gate<T>(&self, f: impl FnOnce(&mut Gate) -> T) -> Option<T> {
        let gate = self.gate.as_ref()?;
        gate.try_borrow_mut().ok().map(|mut gate| f(&mut gate))
    }

    fn judge(&mut self) -> Option<Action> {
        let (request, verdict) = match StreamRequest::read() {
            Ok(request) => {
                let verdict = self.with_gate(|gate| gate.judge(&Envoy, &request))?;
                (request, verdict)
            }
            Err(error) => {
                let verdict = self.with_gate(|gate| gate.fault(error.into()))?;
                (StreamRequest::default(), verdict)
            }
        };
        if let Err(error) = hostcalls::set_filter_state("tiergate", verdict.log.as_bytes()) {
            log::warn!("tiergate: filter state: {error}");
        }
        match verdict.action {
            Verdict::Pass(pass) => {
                self.held = pass.held;
                self.headers = pass.headers;
                self.strip(&request);
                Some(Action::Continue)
            }
            Verdict::Reply(reply) => {
                send(&reply, request.is_grpc());
                Some(Action::Pause)
            }
        }
    }

    fn strip(&self, request: &StreamRequest) {
        let Some(config) = self.with_gate(|gate| gate.config().clone()) else {
            return;
        };
        for name in &config.strip {
            if request.header(name) != Header::Absent
                && let Err(error) = hostcalls::remove_header(MapType::HttpRequestHeaders, name)
            {
                log::warn!("tiergate: request header {name}: {error}");
            }
        }
    }

    fn settle(&mut self) {
        let Some(held) = self.held.take() else { return };
        let used = match std::mem::replace(&mut self.usage, Usage::Unknown) {
            Usage::Unknown => Used::Unknown,
            Usage::None => Used::Tokens(0),
            Usage::Reading(reader) => reader.tokens().map_or(Used::Unknown, Used::Tokens),
        };
        self.with_gate(|gate| gate.settle(&Envoy, held, used));
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        self.settle();
        true
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Every end that is known comes by on_done; this is for one that is not.
        self.settle();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.judge().unwrap_or(Action::Continue)
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        for (name, value) in std::mem::take(&mut self.headers) {
            let map = MapType::HttpResponseHeaders;
            let done = match value {
                Some(value) => hostcalls::replace_header(map, name, &value),
                None => hostcalls::remove_header(map, name),
            };
            if let Err(error) = done {
                log::warn!("tiergate: response header {name}: {error}");
            }
        }
        if self.held.is_some() {
            self.usage = usage_to_come(end_of_stream);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _end_of_stream: bool) -> Action {
        if let Usage::Reading(reader) = &mut self.usage {
            read_piece(reader, size);
        }
        Action::Continue
    }
}

/// Where the tokens of this response will be found, by its headers.
fn usage_to_come(end_of_stream: bool) -> Usage {
    let Ok(headers) = hostcalls::header_map(MapType::HttpResponseHeaders) else {
        return Usage::Unknown;
    };
    let mut json = false;
    for (name, value) in headers.iter() {
        match name {
            b":status" if matches!(value.first(), Some(b'4' | b'5')) => return Usage::None,
            b"content-type" => json = is_json(value),
            b"content-encoding" if value != b"identity" => return Usage::Unknown,
            _ => {}
        }
    }
    if json && !end_of_stream {
        Usage::Reading(Reader::default())
    } else {
        Usage::Unknown
    }
}

fn is_json(content_type: &[u8]) -> bool {
    let media = content_type
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default();
    let media = media.trim_ascii();
    media.eq_ignore_ascii_case(b"application/json") || media.ends_with(b"+json")
}

/// Takes what the reader wants of a piece; the middle of a long one is not copied.
fn read_piece(reader: &mut Reader, size: usize) {
    let wanted = reader.head_wanted().saturating_add(TAIL_BYTES);
    if size <= wanted {
        if let Some(piece) = response_body(0, size) {
            reader.feed(&piece);
        }
        return;
    }
    let head = reader.head_wanted();
    if head > 0
        && let Some(piece) = response_body(0, head)
    {
        reader.feed(&piece);
    }
    if let Some(piece) = response_body(size.saturating_sub(TAIL_BYTES), TAIL_BYTES) {
        reader.feed_after_gap(&piece);
    }
}

fn response_body(start: usize, max: usize) -> Option<Vec<u8>> {
    hostcalls::buffer(BufferType::HttpResponseBody, start, max)
        .ok()
        .flatten()
}

fn send(reply: &Reply, grpc: bool) {
    // The host makes the body of a gRPC reply its grpc-message: that is the sentence alone.
    let body = if grpc {
        reply.message.as_bytes()
    } else {
        &reply.body
    };
    let headers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| !grpc || *name != "content-type")
        .cloned()
        .collect();
    let sent = hostcalls::send_local_reply(&LocalReply {
        status: reply.status,
        details: &format!("tiergate_{}", reply.code),
        headers: &headers,
        body,
        grpc_status: if grpc { reply.grpc_status } else { -1 },
    });
    if let Err(error) = sent {
        log::error!("tiergate: local reply: {error}");
    }
}
