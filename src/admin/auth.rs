//! Authentication of admin calls, by tokens whose SHA-256 is in the config.

use super::Problem;
use crate::config::AdminToken;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The name of a caller where the config has no tokens.
pub const ANYONE: &str = "anyone";

/// Checks the `authorization` header of a call, and returns the name of its token.
///
/// Read-only calls also accept HTTP Basic with the token as the password, for browsers. Without
/// tokens, a call that changes something and carries a browser's `origin` is refused.
///
/// # Errors
/// [`Problem::Unauthorized`], [`Problem::BearerOnly`], [`Problem::ReadOnly`] or
/// [`Problem::FromAPage`].
pub fn check<'a>(
    tokens: Option<&'a [AdminToken]>,
    authorization: Option<&[u8]>,
    reads: bool,
    has_origin: bool,
) -> Result<&'a str, Problem> {
    let Some(tokens) = tokens else {
        return match has_origin && !reads {
            true => Err(Problem::FromAPage),
            false => Ok(ANYONE),
        };
    };
    let header = authorization.ok_or(Problem::Unauthorized)?;
    let (scheme, value) = split(header).ok_or(Problem::Unauthorized)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    let decoded = match scheme.eq_ignore_ascii_case(b"basic") {
        true => STANDARD.decode(value).unwrap_or_default(),
        false => Vec::new(),
    };
    let secret = match is_bearer {
        true => value,
        false => memchr::memchr(b':', &decoded)
            .and_then(|at| decoded.get(at.saturating_add(1)..))
            .unwrap_or_default(),
    };
    if secret.is_empty() {
        return Err(Problem::Unauthorized);
    }
    let token = find(tokens, secret).ok_or(Problem::Unauthorized)?;
    match (reads, is_bearer) {
        (false, false) => Err(Problem::BearerOnly),
        (false, true) if token.read_only => Err(Problem::ReadOnly(token.name.clone())),
        _ => Ok(&token.name),
    }
}

/// Finds the token with a secret. All digests are compared in constant time, so timing reveals nothing
/// about them.
fn find<'a>(tokens: &'a [AdminToken], secret: &[u8]) -> Option<&'a AdminToken> {
    let digest: [u8; 32] = Sha256::digest(secret).into();
    let mut found = None;
    for token in tokens {
        if digest.ct_eq(&token.sha256).into() {
            found = Some(token);
        }
    }
    found
}

fn split(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', header)?;
    let (scheme, value) = header.split_at_checked(at)?;
    Some((scheme, value.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &str, read_only: bool) -> AdminToken {
        AdminToken {
            name: name.to_owned(),
            sha256: Sha256::digest(secret).into(),
            read_only,
        }
    }

    fn allowed(header: Option<&str>, reads: bool) -> Result<String, Problem> {
        let tokens = [
            token("ops", "secret", false),
            token("support", "look", true),
        ];
        let header = header.map(str::as_bytes);
        check(Some(&tokens), header, reads, false).map(str::to_owned)
    }

    #[test]
    fn the_bearer_token_may_do_all_and_a_password_may_read() {
        let basic = format!("Basic {}", STANDARD.encode("anyone:secret"));
        let ops = || Ok("ops".to_owned());
        assert_eq!(allowed(Some("Bearer secret"), false), ops());
        assert_eq!(allowed(Some("bearer  secret "), true), ops());
        assert_eq!(allowed(Some(&basic), true), ops());
        assert_eq!(allowed(Some(&basic), false), Err(Problem::BearerOnly));
        let read_only = Problem::ReadOnly("support".to_owned());
        assert_eq!(allowed(Some("Bearer look"), true), Ok("support".to_owned()));
        assert_eq!(allowed(Some("Bearer look"), false), Err(read_only));
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
            Some("Digest secret"),
            Some(&*wrong),
            Some(&*long),
        ] {
            assert_eq!(
                allowed(header, true),
                Err(Problem::Unauthorized),
                "{header:?}"
            );
        }
        assert_eq!(check(None, None, false, false), Ok(ANYONE), "as configured");
        assert_eq!(check(None, None, true, true), Ok(ANYONE));
        assert_eq!(check(None, None, false, true), Err(Problem::FromAPage));
    }
}
