//! The check of the admin API's config.

use super::Admin;
use super::error::ConfigError;
use super::schema;

/// Checks where the API is and who may use it.
pub(super) fn check(admin: schema::Admin) -> Result<Admin, ConfigError> {
    let path = admin.path;
    let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let is_plain = segments.is_some_and(|mut segments| {
        segments.all(|s| !["", ".", ".."].contains(&s) && s.bytes().all(plain))
    });
    if !is_plain {
        return Err(ConfigError::new(
            "admin.path",
            format!(
                "{path:?} is not a path such as \"/-/tiergate\": no empty segments, no end in /"
            ),
        ));
    }
    let insecure = admin.insecure.unwrap_or(false);
    let token = match (&admin.token_sha256, insecure) {
        (Some(hex), false) => Some(digest(hex).ok_or_else(|| {
            ConfigError::new(
                "admin.token_sha256",
                "is not the 64 hex digits of a SHA-256",
            )
        })?),
        (None, true) => None,
        (None, false) => {
            let problem = "needs token_sha256 (printf %s TOKEN | sha256sum), or \"insecure\": true";
            return Err(ConfigError::new("admin", problem));
        }
        (Some(_), true) => {
            let problem = "has a token and is insecure: leave one of them out";
            return Err(ConfigError::new("admin", problem));
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
