//! The client of a reply, as far as its request tells how the reply must look.

use super::api::CalledApi;
use super::config::Replies;
use crate::host::{Header, Request};
use crate::http::visible::visible;
use crate::time::Span;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The maximum number of characters of a request's id in a message; a UUID has 36.
const ID_CHARS: usize = 64;

/// The form of a reply, chosen by the client's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyForm {
    /// Status, headers and a JSON body.
    #[default]
    Http,
    /// A gRPC status with the sentence as its message.
    Grpc,
    /// The same in the headers of a plain reply, for gRPC-web.
    GrpcWeb(GrpcWeb),
}

impl ReplyForm {
    /// True for both forms of gRPC.
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb(_))
    }
}

/// The way in which a gRPC-web request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcWeb {
    /// As the browser sent it, in binary form.
    Binary,
    /// As the browser sent it, in base64.
    Text,
    /// Translated to gRPC by an earlier filter, which translates the reply back.
    Translated,
}

impl GrpcWeb {
    /// Returns the content type of the reply.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "application/grpc-web-text+proto",
            Self::Binary | Self::Translated => "application/grpc-web+proto",
        }
    }

    /// Returns the body of a reply that has a status alone: one frame of trailers
    /// (grpc/grpc, doc/PROTOCOL-WEB.md).
    pub fn body(self, grpc_status: i32, message: &str) -> Vec<u8> {
        let trailers = format!("grpc-status: {grpc_status}\r\ngrpc-message: {message}\r\n");
        let length = u32::try_from(trailers.len()).unwrap_or(u32::MAX);
        let frame = [&[TRAILERS], &length.to_be_bytes()[..], trailers.as_bytes()].concat();
        match self {
            Self::Binary => frame,
            Self::Text => BASE64.encode(frame).into_bytes(),
            // The status stands in the headers, which the filter passes on.
            Self::Translated => Vec::new(),
        }
    }
}

/// The headers of gRPC-web that gRPC does not have.
const WEB_HEADERS: [&str; 2] = ["x-grpc-web", "x-user-agent"];
/// The `grpc-accept-encoding` that Envoy's filter for gRPC-web sets where a client sent none.
const ENVOYS_ENCODING: &[u8] = b"identity";
/// The part of a user agent that the libraries of gRPC have in common: `grpc-node-js/1.13.0`.
const NATIVE_AGENT: &[u8] = b"grpc-";
/// The flag of a frame that has trailers.
const TRAILERS: u8 = 0x80;

/// The client of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The form of the reply.
    pub form: ReplyForm,
    /// The API whose error bodies the client reads.
    pub api: CalledApi,
    /// The API that the request calls, where it chooses the rate-limit headers.
    pub called: CalledApi,
    /// The request's id, safe to show; `None` without one.
    pub request_id: Option<String>,
    /// The value of `access-control-allow-origin`, where the client may read the reply.
    pub allowed_origin: Option<String>,
    /// The time that is added to a wait, so that clients do not come back all at once.
    pub jitter: Span,
}

impl Client {
    /// Reads the client of a request. `random` is called only where a jitter is configured.
    pub fn of(request: &dyn Request, rules: &Replies, random: impl FnOnce() -> u64) -> Self {
        let request_id = match request.header("x-request-id") {
            Header::Once(id) if !id.is_empty() => Some(visible(id, ID_CHARS)),
            _ => None,
        };
        let cors = rules.cors.as_ref();
        Self {
            form: form(request),
            api: rules.errors.unwrap_or_else(|| CalledApi::of(request)),
            called: rules.styles.called(request),
            request_id,
            allowed_origin: cors.and_then(|cors| cors.allowed(request)),
            jitter: rules.jitter(random),
        }
    }

    /// Returns the client of a request that can't be read.
    pub fn unknown(rules: &Replies) -> Self {
        Self {
            api: rules.errors.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Returns the same client, which reads plain HTTP.
    #[must_use]
    pub fn over_http(self) -> Self {
        Self {
            form: ReplyForm::Http,
            ..self
        }
    }
}

fn form(request: &dyn Request) -> ReplyForm {
    let Header::Once(value) = request.header("content-type") else {
        return ReplyForm::Http;
    };
    // Envoy does not treat gRPC-web as gRPC, also where a filter before has translated the request.
    match value.strip_prefix(b"application/grpc") {
        Some([] | [b'+' | b';', ..]) if is_translated(request) => {
            ReplyForm::GrpcWeb(GrpcWeb::Translated)
        }
        Some([] | [b'+' | b';', ..]) => ReplyForm::Grpc,
        Some(rest) if rest.starts_with(b"-web-text") => ReplyForm::GrpcWeb(GrpcWeb::Text),
        Some(rest) if rest.starts_with(b"-web") => ReplyForm::GrpcWeb(GrpcWeb::Binary),
        _ => ReplyForm::Http,
    }
}

/// True for gRPC that a gRPC-web client sent. It says so in a header that gRPC does not have
/// (grpc/grpc, doc/PROTOCOL-WEB.md) or in the type that it takes, or Envoy's filter has left its mark.
fn is_translated(request: &dyn Request) -> bool {
    let takes_web = match request.header("accept") {
        Header::Once(value) => value.starts_with(b"application/grpc-web"),
        Header::Absent | Header::Repeated => false,
    };
    let has = |name| request.header(name) != Header::Absent;
    takes_web || WEB_HEADERS.into_iter().any(has) || is_marked(request)
}

/// True for a request with the mark of Envoy's filter for gRPC-web. A client of gRPC can send the same
/// encoding; the libraries have `grpc-` in their user agent.
fn is_marked(request: &dyn Request) -> bool {
    let is_native = match request.header("user-agent") {
        Header::Once(agent) => agent.windows(NATIVE_AGENT.len()).any(|w| w == NATIVE_AGENT),
        Header::Absent => false,
        Header::Repeated => true,
    };
    request.header("grpc-accept-encoding") == Header::Once(ENVOYS_ENCODING) && !is_native
}
