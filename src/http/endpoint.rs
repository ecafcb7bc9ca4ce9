//! A place that the filter itself calls, through an Envoy cluster.

use super::names::{is_path, is_visible_ascii};
use crate::json::Invalid;
use std::fmt;

/// The longest name of a cluster, and the longest authority, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest token, in bytes.
const LONGEST_TOKEN: usize = 4_096;

/// A path of a service behind an Envoy cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The Envoy cluster.
    pub cluster: String,
    /// The `:authority` of the requests.
    pub authority: String,
    /// The path of the requests.
    pub path: String,
    /// The bearer token of the requests.
    pub token: Option<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authority, path) = (&self.authority, &self.path);
        write!(f, "{authority}{path} of cluster {}", self.cluster)
    }
}

impl Endpoint {
    /// Checks an endpoint that the config names at `at`.
    ///
    /// # Errors
    /// [`Invalid`] for the first field that is wrong.
    pub fn check(self, at: &str) -> Result<Self, Invalid> {
        let invalid = |name: &str, problem: &str| {
            let path = format!("{at}.{name}");
            Err(Invalid::new(path, problem))
        };
        if self.cluster.is_empty() || self.cluster.len() > LONGEST_NAME {
            return invalid("cluster", "not the name of a cluster: 1 to 255 bytes");
        }
        let authority = &self.authority;
        let is_host = is_visible_ascii(authority) && !authority.contains(['/', '?', '#', '@']);
        if authority.is_empty() || authority.len() > LONGEST_NAME || !is_host {
            let problem = "not a host, with or without a port: 1 to 255 visible characters";
            return invalid("authority", problem);
        }
        if !is_path(&self.path) {
            let problem = "a path begins with / and has at most 1024 visible ASCII characters";
            return invalid("path", problem);
        }
        let is_token =
            |token: &String| (1..=LONGEST_TOKEN).contains(&token.len()) && is_visible_ascii(token);
        if self.token.as_ref().is_some_and(|token| !is_token(token)) {
            return invalid("token", "a token has 1 to 4096 visible ASCII characters");
        }
        Ok(self)
    }
}
