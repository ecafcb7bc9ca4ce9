//! The part `directory` of the config: the source of the account directory's feed.

use crate::http::endpoint::Endpoint;
use crate::json::values::Duration;
use crate::json::{Invalid, Object, in_range};
use crate::time::Span;
use serde::Deserialize;

const SHORTEST: Span = Span::from_secs(1);
const LONGEST: Span = Span::from_secs(86_400);

/// True for the path at which the fleet's service gives changes.
fn is_of_changes(path: &str) -> bool {
    path.ends_with("/v1/directory/changes")
}

/// The feed as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// The Envoy cluster that serves the feed.
    cluster: String,
    /// The host of the call.
    authority: String,
    /// The path of the first page.
    path: String,
    /// The time from one import to the next, `1s` to `24h`.
    interval: Duration,
    /// A bearer token for the feed.
    token: Option<String>,
    /// True when a whole feed takes out accounts that it does not name.
    removes: Option<bool>,
}

/// The source of the account directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSource {
    /// The first page.
    pub endpoint: Endpoint,
    /// The time from one import to the next.
    pub interval: Span,
    /// True when a whole feed removes the accounts that it does not name.
    pub removes: bool,
}

impl FeedSource {
    /// Checks the feed.
    ///
    /// # Errors
    /// [`Invalid`] for the first field that is wrong.
    pub fn check(Object(written): Object<FeedConfig>) -> Result<Self, Invalid> {
        let endpoint = Endpoint {
            cluster: written.cluster,
            authority: written.authority,
            path: written.path,
            token: written.token,
        };
        let endpoint = endpoint.check("directory")?;
        let removes = written.removes.unwrap_or(false);
        if removes && endpoint.path.split('?').next().is_some_and(is_of_changes) {
            let problem =
                "true, and this path gives changes alone, which name what is removed: leave it out";
            return Err(Invalid::new("directory.removes", problem));
        }
        let Duration(interval) = written.interval;
        Ok(Self {
            endpoint,
            removes,
            interval: in_range("directory.interval", interval, SHORTEST..=LONGEST)?,
        })
    }
}
