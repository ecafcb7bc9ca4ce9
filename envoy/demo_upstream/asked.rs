//! What a request asks for in its headers.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The number that a header of the request holds.
pub fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The `name: value` that a header of the request holds.
pub fn line(headers: &HeaderMap, name: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = headers.get(name)?.to_str().ok()?.split_once(": ")?;
    Some((name.parse().ok()?, value.parse().ok()?))
}
