//! Header names and request paths in configs and feeds.

use crate::json::Invalid;

/// The longest request path, in bytes.
pub const PATH_BYTES: usize = 1024;

/// Checks a header's name (a token of RFC 9110, 5.6.2, of 1 to 128 bytes). Returns it in lower
/// case.
///
/// # Errors
/// [`Invalid`] at `path`.
pub fn header_name(path: &str, name: &str) -> Result<String, Invalid> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if (1..=128).contains(&name.len()) && name.bytes().all(token) {
        return Ok(name.to_ascii_lowercase());
    }
    let problem = format!("{name:?} is not the name of a header");
    Err(Invalid::new(path, problem))
}

/// Checks the name of a request's header, as [`header_name`] does.
///
/// # Errors
/// [`Invalid`] at `path`; also for `host`, which no request has behind Envoy.
pub fn request_header(path: &str, name: &str) -> Result<String, Invalid> {
    let name = header_name(path, name)?;
    if name == "host" {
        let problem = "no request has \"host\": Envoy makes :authority of it. Use the property \
                       [\"request\", \"host\"]; in routes, match the host in Envoy's own, and here \
                       their name with route_name";
        return Err(Invalid::new(path, problem));
    }
    Ok(name)
}

/// Checks the path of an Envoy property (attribute): its segments.
///
/// # Errors
/// [`Invalid`] at `path`.
pub fn property_path(path: &str, segments: Vec<String>) -> Result<Vec<String>, Invalid> {
    if segments.is_empty() || segments.iter().any(|s| s.is_empty() || s.contains('\0')) {
        let problem = "a path has at least one segment, and none is empty";
        return Err(Invalid::new(path, problem));
    }
    Ok(segments)
}

/// Tells whether all of `text` is visible ASCII.
pub fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

/// Tells whether `text` can be the `:path` of a request: a slash first, visible ASCII, at most
/// [`PATH_BYTES`].
pub fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= PATH_BYTES && is_visible_ascii(text)
}
