//! The config part `admin`.

use crate::json::{Invalid, Object};
use serde::Deserialize;

/// The part `admin`, unchecked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    path: String,
    token_sha256: Option<String>,
    insecure: Option<bool>,
}

/// The settings of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The prefix of the API's paths.
    pub path: String,
    /// SHA-256 of the token; `None` lets every caller do everything.
    pub token: Option<[u8; 32]>,
}

/// Checks the path and the token.
pub(super) fn check(Object(admin): Object<AdminConfig>) -> Result<Admin, Invalid> {
    let path = admin.path;
    let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let is_plain = segments.is_some_and(|mut segments| {
        segments.all(|s| !["", ".", ".."].contains(&s) && s.bytes().all(plain))
    });
    if !is_plain {
        return Err(Invalid::new(
            "admin.path",
            format!(
                "{path:?} is not a path such as \"/-/tiergate\": no empty segments, no end in /"
            ),
        ));
    }
    let insecure = admin.insecure.unwrap_or(false);
    let token = match (&admin.token_sha256, insecure) {
        (Some(hex), false) => Some(digest(hex).ok_or_else(|| {
            Invalid::new(
                "admin.token_sha256",
                "is not the 64 hex digits of a SHA-256",
            )
        })?),
        (None, true) => None,
        (None, false) => {
            let problem = "needs token_sha256 (printf %s TOKEN | sha256sum), or \"insecure\": true";
            return Err(Invalid::new("admin", problem));
        }
        (Some(_), true) => {
            let problem = "has a token and is insecure: leave one of them out";
            return Err(Invalid::new("admin", problem));
        }
    };
    Ok(Admin { path, token })
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
