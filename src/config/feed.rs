//! The directory's feed in the config: from where, and how often.

use super::error::ConfigError;
use super::schema;
use crate::json::Object;
use crate::time::Span;

/// The longest path of a page, in bytes.
pub const PATH_BYTES: usize = 1024;

const LONGEST_NAME: usize = 255;
const SHORTEST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 86_400_000;

/// Where the account directory is pulled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The Envoy cluster that serves it.
    pub cluster: String,
    /// The `:authority` of the requests.
    pub authority: String,
    /// The path of the first page.
    pub path: String,
    /// From one load to the next.
    pub interval: Span,
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

/// Whether `text` can be the `:path` of a request: from "/" on, visible ASCII, not too long.
pub fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= PATH_BYTES && is_visible(text)
}

pub(super) fn check(Object(feed): Object<schema::Feed>) -> Result<Feed, ConfigError> {
    let problem = |name: &str, says: &str| {
        Err(ConfigError::new(
            format!("directory.{name}"),
            says.to_owned(),
        ))
    };
    if feed.cluster.is_empty() || feed.cluster.len() > LONGEST_NAME {
        return problem("cluster", "not the name of a cluster: 1 to 255 bytes");
    }
    let is_host = is_visible(&feed.authority) && !feed.authority.contains(['/', '?', '#', '@']);
    if feed.authority.is_empty() || feed.authority.len() > LONGEST_NAME || !is_host {
        let says = "not a host, with or without a port: 1 to 255 visible characters";
        return problem("authority", says);
    }
    if !is_path(&feed.path) {
        let says = "a path begins with / and has at most 1024 visible ASCII characters";
        return problem("path", says);
    }
    let interval = feed.interval.0;
    if !(SHORTEST_MS..=LONGEST_MS).contains(&interval.as_millis()) {
        return problem("interval", "out of range: \"1s\" to \"24h\" is allowed");
    }
    Ok(Feed {
        cluster: feed.cluster,
        authority: feed.authority,
        path: feed.path,
        interval,
    })
}
