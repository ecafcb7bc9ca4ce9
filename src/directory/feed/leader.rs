//! The VM that imports the feed, and what all VMs know of the last import (key
//! `{namespace}/feed-state`).
//!
//! A VM takes the leadership for one import and gives it back. While it imports it renews its term
//! on its ticks. A term that its leader did not renew ends, and the next VM to tick begins anew.

use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::time::{Mono, Span};
use serde::{Deserialize, Serialize};

/// How long a lease holds without being renewed.
pub const TERM: Span = Span::from_secs(5);

/// What all VMs know of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// The nonce of the VM that loads; 0: none does.
    pub leader: u64,
    /// When its lease ends.
    pub until: Mono,
    /// Where the feed comes from, as a hash.
    pub source: u64,
    /// When the newest config with that feed came.
    pub configured: Mono,
    /// When the next load is due.
    pub due: Mono,
    /// When the directory was last known to be whole; when this value was made, before the first.
    pub synced_at: Mono,
    /// Failures in a row.
    pub failures: u32,
    /// The ETag of the last whole load.
    pub etag: Vec<u8>,
}

/// The value of one namespace.
pub type SharedFeedState = SharedCell<FeedState>;

/// The lease of `namespace`.
pub fn feed_state(namespace: &str) -> SharedFeedState {
    SharedCell::new(format!("{namespace}/feed-state"))
}

impl FeedState {
    /// Whether a VM holds the lease.
    pub fn has_leader(&self, now: Mono) -> bool {
        self.leader != 0 && now < self.until
    }
}

impl Content for FeedState {
    const LAYOUT: Layout = Layout {
        name: "the feed's state",
        version: 1,
        kind: b'L',
    };

    fn is_valid(&self) -> bool {
        self.etag.len() <= super::ETAG_BYTES
    }

    fn initial(now: Mono) -> Self {
        Self {
            synced_at: now,
            ..Self::default()
        }
    }
}
