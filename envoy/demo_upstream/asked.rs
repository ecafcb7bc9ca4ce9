//! What a request asks for in its headers.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The number that a header of the request holds.
pub fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Each `name: value` that a header of the request holds.
pub fn lines(headers: &HeaderMap, name: &str) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    headers.get_all(name).iter().filter_map(|line| {
        let (name, value) = line.to_str().ok()?.split_once(": ")?;
        Some((name.parse().ok()?, value.parse().ok()?))
    })
}
