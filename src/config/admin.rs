//! The config part `admin`.

use crate::json::{Invalid, Object, plain_name};
use serde::Deserialize;

/// The part `admin`, unchecked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// The prefix of the API's paths, such as `/-/tiergate`.
    path: String,
    /// The SHA-256 of the token, in hex.
    token_sha256: Option<String>,
    /// 1 to 16 tokens with names.
    #[cfg_attr(feature = "cli", schemars(length(min = 1, max = MOST_TOKENS)))]
    tokens: Option<Vec<Object<TokenConfig>>>,
    /// True for an API without a token.
    insecure: Option<bool>,
}

/// A token of the part `admin`, unchecked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct TokenConfig {
    /// The name, for the log.
    name: String,
    /// The SHA-256 of the token, in hex.
    sha256: String,
    /// True for a token that may only read.
    read_only: Option<bool>,
}

/// The settings of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The prefix of the API's paths.
    pub path: String,
    /// The tokens; `None` lets every caller do everything.
    pub tokens: Option<Vec<AdminToken>>,
}

/// A token of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// The name, for the log.
    pub name: String,
    /// The SHA-256 of the token.
    pub sha256: [u8; 32],
    /// True for a token that may only read.
    pub read_only: bool,
}

/// The SHA-256 of no bytes.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// The maximum number of tokens.
const MOST_TOKENS: usize = 16;
/// The name of the token that has none.
const UNNAMED: &str = "admin";

/// Checks the path and the tokens.
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
    let tokens = match (admin.token_sha256, admin.tokens, insecure) {
        (Some(hex), None, false) => Some(vec![AdminToken {
            name: UNNAMED.to_owned(),
            sha256: digest_at("admin.token_sha256", &hex)?,
            read_only: false,
        }]),
        (None, Some(tokens), false) => Some(named_tokens(tokens)?),
        (None, None, true) => None,
        (None, None, false) => {
            let problem = "needs token_sha256 (printf %s TOKEN | sha256sum), tokens, or \
                           \"insecure\": true";
            return Err(Invalid::new("admin", problem));
        }
        _ => {
            let problem = "has exactly one of token_sha256, tokens and \"insecure\": true";
            return Err(Invalid::new("admin", problem));
        }
    };
    Ok(Admin { path, tokens })
}

fn named_tokens(written: Vec<Object<TokenConfig>>) -> Result<Vec<AdminToken>, Invalid> {
    if !(1..=MOST_TOKENS).contains(&written.len()) {
        let problem = format!("{} tokens: 1 to {MOST_TOKENS} are allowed", written.len());
        return Err(Invalid::new("admin.tokens", problem));
    }
    let mut tokens: Vec<AdminToken> = Vec::with_capacity(written.len());
    for (i, Object(token)) in written.into_iter().enumerate() {
        let path = format!("admin.tokens[{i}]");
        plain_name(&format!("{path}.name"), &token.name)?;
        let sha256 = digest_at(&format!("{path}.sha256"), &token.sha256)?;
        if tokens.iter().any(|other| other.name == token.name) {
            let problem = format!("there is a token {:?} already", token.name);
            return Err(Invalid::new(format!("{path}.name"), problem));
        }
        if tokens.iter().any(|other| other.sha256 == sha256) {
            let problem = "another name has the same token";
            return Err(Invalid::new(format!("{path}.sha256"), problem));
        }
        tokens.push(AdminToken {
            name: token.name,
            sha256,
            read_only: token.read_only.unwrap_or(false),
        });
    }
    Ok(tokens)
}

fn digest_at(path: &str, hex: &str) -> Result<[u8; 32], Invalid> {
    if hex.eq_ignore_ascii_case(OF_NOTHING) {
        let problem = "is the SHA-256 of nothing: the token was empty";
        return Err(Invalid::new(path, problem));
    }
    let problem = "is not the 64 hex digits of a SHA-256: printf %s TOKEN | sha256sum";
    digest(hex).ok_or_else(|| Invalid::new(path, problem))
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
