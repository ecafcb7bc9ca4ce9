//! Calls of the root context to a service of the operator, through an Envoy cluster.

use super::hostcalls;
use super::log::warn;
use crate::host::HostError;
use crate::http::endpoint::Endpoint;
use proxy_wasm::types::MapType;
use std::time::Duration;

/// A call without its headers of every call.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCall<'a> {
    /// The method and the path.
    pub target: (&'a str, &'a str),
    /// More headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, if there is one.
    pub body: Option<&'a [u8]>,
    /// The longest wait for an answer.
    pub timeout: Duration,
}

/// Makes a call; returns the token that its answer carries.
///
/// # Errors
/// The host's status.
pub fn send(to: &Endpoint, call: &ServiceCall<'_>) -> Result<u32, HostError> {
    let (method, path) = call.target;
    let mut headers = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", to.authority.as_str()),
        (":path", path),
    ];
    headers.extend(call.headers);
    let bearer = to.token.as_ref().map(|token| format!("Bearer {token}"));
    if let Some(bearer) = &bearer {
        headers.push(("authorization", bearer));
    }
    hostcalls::http_call(&to.cluster, headers, call.body, call.timeout)
}

/// Returns the status of the answer of the current callback; empty without one.
pub fn status() -> String {
    let headers = hostcalls::header_map(MapType::HttpCallResponseHeaders);
    let headers = headers.unwrap_or_default();
    let status = headers.values(":status").next().unwrap_or_default();
    String::from_utf8_lossy(status).into_owned()
}

/// The failures of a service in a row, of which the log has the first.
#[derive(Debug, Default)]
pub struct FailureRow {
    told: bool,
}

impl FailureRow {
    /// Logs the first failure of a row.
    pub fn tell(&mut self, line: &str) {
        if !std::mem::replace(&mut self.told, true) {
            warn!("{line}");
        }
    }

    /// Ends a row: the service answered.
    pub const fn end(&mut self) {
        self.told = false;
    }
}
