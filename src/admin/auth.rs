//! Authentication of admin calls, by a token whose SHA-256 is in the config.

use super::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Checks the `authorization` header of a call; `token` is the digest of the right token.
///
/// Read-only calls also accept HTTP Basic with the token as the password, for browsers. Without a
/// token, a call that changes something and carries a browser's `origin` is refused.
///
/// # Errors
/// [`Problem::Unauthorized`], [`Problem::BearerOnly`] or [`Problem::FromAPage`].
pub fn check(
    token: Option<&[u8; 32]>,
    authorization: Option<&[u8]>,
    reads: bool,
    has_origin: bool,
) -> Result<(), Problem> {
    let Some(token) = token else {
        return match has_origin && !reads {
            true => Err(Problem::FromAPage),
            false => Ok(()),
        };
    };
    let header = authorization.ok_or(Problem::Unauthorized)?;
    let (scheme, value) = split(header).ok_or(Problem::Unauthorized)?;
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return match is_token(value, token) {
            true => Ok(()),
            false => Err(Problem::Unauthorized),
        };
    }
    let decoded = STANDARD.decode(value).unwrap_or_default();
    let password = memchr::memchr(b':', &decoded)
        .and_then(|at| decoded.get(at.saturating_add(1)..))
        .unwrap_or_default();
    match scheme.eq_ignore_ascii_case(b"basic") && is_token(password, token) {
        false => Err(Problem::Unauthorized),
        true if !reads => Err(Problem::BearerOnly),
        true => Ok(()),
    }
}

fn split(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', header)?;
    let (scheme, value) = header.split_at_checked(at)?;
    Some((scheme, value.trim_ascii()))
}

/// Compares digests in constant time, so timing reveals nothing about the token.
fn is_token(value: &[u8], token: &[u8; 32]) -> bool {
    let digest: [u8; 32] = Sha256::digest(value).into();
    digest.ct_eq(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(header: Option<&str>, reads: bool) -> Result<(), Problem> {
        let token: [u8; 32] = Sha256::digest(b"secret").into();
        check(Some(&token), header.map(str::as_bytes), reads, false)
    }

    #[test]
    fn the_bearer_token_may_do_all_and_a_password_may_read() {
        let basic = format!("Basic {}", STANDARD.encode("anyone:secret"));
        assert_eq!(allowed(Some("Bearer secret"), false), Ok(()));
        assert_eq!(allowed(Some("bearer  secret "), true), Ok(()));
        assert_eq!(allowed(Some(&basic), true), Ok(()));
        assert_eq!(allowed(Some(&basic), false), Err(Problem::BearerOnly));
    }

    #[test]
    fn nothing_else_gets_in() {
        let wrong = format!("Basic {}", STANDARD.encode("secret:"));
        let long = format!("Bearer {}", "x".repeat(50_000));
        for header in [
            None,
            Some(""),
            Some("secret"),
            Some("Bearer"),
            Some("Bearer Secret"),
            Some("Basic secret"),
            Some("Basic \u{e9}"),
            Some(&*wrong),
            Some(&*long),
        ] {
            assert_eq!(
                allowed(header, true),
                Err(Problem::Unauthorized),
                "{header:?}"
            );
        }
        assert_eq!(check(None, None, false, false), Ok(()), "as configured");
        assert_eq!(check(None, None, true, true), Ok(()));
        assert_eq!(check(None, None, false, true), Err(Problem::FromAPage));
    }
}
