//! Which requests ask for their own usage.

use super::envoy::StreamRequest;
use crate::config::Config;
use crate::host::{Header, Request};

/// Whether a request is a GET of the configured `usage_path`, with or without a query.
pub fn is_asked(config: &Config, request: &StreamRequest) -> bool {
    let (Some(usage), Header::Once(path)) = (&config.usage_path, request.header(":path")) else {
        return false;
    };
    let path = path.split(|b| *b == b'?').next();
    path == Some(usage.as_bytes()) && request.header(":method") == Header::Once(b"GET")
}
