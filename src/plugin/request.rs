//! The request of a stream: its headers, and those that the upstream must not see.

use super::envoy::{remove_header, set_header};
use super::header_map::HeaderMap;
use super::hostcalls;
use crate::config::Config;
use crate::host::{Header, HostError, Request};
use crate::http::path::without_query;
use crate::scheduler::UpstreamHeader;
use crate::tokens::config::Tokens;
use percent_encoding::percent_decode;
use proxy_wasm::types::MapType;
use std::borrow::Cow;

const MAP: MapType = MapType::HttpRequestHeaders;

/// The request of the current stream.
#[derive(Debug, Default)]
pub struct StreamRequest {
    headers: HeaderMap,
    has_body: bool,
}

impl StreamRequest {
    /// Reads the headers in one host call, during a callback of the request; `end`: they end it.
    ///
    /// # Errors
    /// The host's status.
    pub fn read(end: bool) -> Result<Self, HostError> {
        Ok(Self {
            headers: hostcalls::header_map(MAP)?,
            has_body: !end,
        })
    }

    /// True when the client asks for a tunnel: an upgrade to another protocol, such as WebSocket, or
    /// a CONNECT.
    pub fn asks_for_upgrade(&self) -> bool {
        self.header("upgrade") != Header::Absent
            || self.header(":method") == Header::Once(b"CONNECT")
    }

    /// Removes the headers that the upstream must not see.
    pub fn strip(&self, config: &Config) {
        for name in &config.strip {
            self.remove(name);
        }
    }

    /// True when the API of the path takes a request for the usage of its stream: others refuse a
    /// field that they do not know.
    pub fn takes_usage(&self, tokens: &Tokens) -> bool {
        let Header::Once(path) = self.header(":path") else {
            return false;
        };
        if tokens.include_usage.is_empty() {
            return false;
        }
        let path = Cow::from(percent_decode(without_query(path)));
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        let mut suffixes = tokens.include_usage.iter();
        suffixes.any(|suffix| path.ends_with(suffix.as_bytes()))
    }

    /// Removes `content-length` where the body may change; Envoy then sends it in chunks.
    pub fn unset_length(&self, tokens: &Tokens) {
        if self.takes_usage(tokens) {
            self.remove("content-length");
        }
    }

    fn remove(&self, name: &str) {
        if self.header(name) != Header::Absent {
            remove_header(MAP, name);
        }
    }
}

/// Sets headers of the request that goes to the upstream.
pub fn set_request_headers(headers: &[UpstreamHeader]) {
    for (name, value) in headers {
        set_header(MAP, name, value);
    }
}

impl Request for StreamRequest {
    fn header(&self, name: &str) -> Header<'_> {
        let mut values = self.headers.values(name);
        match (values.next(), values.next()) {
            (None, _) => Header::Absent,
            (Some(value), None) => Header::Once(value),
            (Some(_), Some(_)) => Header::Repeated,
        }
    }

    fn has_body(&self) -> bool {
        self.has_body
    }

    fn property(&self, path: &[String]) -> Option<Vec<u8>> {
        hostcalls::property(path).ok().flatten()
    }
}
