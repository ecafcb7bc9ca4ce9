//! The part `directory` of the config: the source of the account directory's feed.

use crate::http::names::{is_path, is_visible_ascii};
use crate::json::values::Duration;
use crate::json::{Invalid, Object, in_range};
use crate::time::Span;
use serde::Deserialize;

const LONGEST_NAME: usize = 255;
const SHORTEST: Span = Span::from_secs(1);
const LONGEST: Span = Span::from_secs(86_400);

/// The feed as written in the config.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    cluster: String,
    authority: String,
    path: String,
    interval: Duration,
    token: Option<String>,
    removes: Option<bool>,
}

/// The longest token, in bytes.
const LONGEST_TOKEN: usize = 4_096;

/// The source of the account directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSource {
    /// The Envoy cluster that serves the feed.
    pub cluster: String,
    /// The `:authority` of the requests.
    pub authority: String,
    /// The path of the first page.
    pub path: String,
    /// The time from one import to the next.
    pub interval: Span,
    /// The bearer token of the requests.
    pub token: Option<String>,
    /// True when a whole feed removes the accounts that it does not name.
    pub removes: bool,
}

impl FeedSource {
    /// Checks the feed.
    ///
    /// # Errors
    /// [`Invalid`] for the first field that is wrong.
    pub fn check(Object(written): Object<FeedConfig>) -> Result<Self, Invalid> {
        let invalid = |name: &str, problem: &str| {
            let path = format!("directory.{name}");
            Err(Invalid::new(path, problem))
        };
        if written.cluster.is_empty() || written.cluster.len() > LONGEST_NAME {
            return invalid("cluster", "not the name of a cluster: 1 to 255 bytes");
        }
        let authority = &written.authority;
        let is_host = is_visible_ascii(authority) && !authority.contains(['/', '?', '#', '@']);
        if authority.is_empty() || authority.len() > LONGEST_NAME || !is_host {
            let problem = "not a host, with or without a port: 1 to 255 visible characters";
            return invalid("authority", problem);
        }
        if !is_path(&written.path) {
            let problem = "a path begins with / and has at most 1024 visible ASCII characters";
            return invalid("path", problem);
        }
        let is_token =
            |token: &String| (1..=LONGEST_TOKEN).contains(&token.len()) && is_visible_ascii(token);
        if written.token.as_ref().is_some_and(|token| !is_token(token)) {
            return invalid("token", "a token has 1 to 4096 visible ASCII characters");
        }
        let Duration(interval) = written.interval;
        Ok(Self {
            token: written.token,
            removes: written.removes.unwrap_or(false),
            cluster: written.cluster,
            authority: written.authority,
            path: written.path,
            interval: in_range("directory.interval", interval, SHORTEST..=LONGEST)?,
        })
    }
}
