//! The VM that imports the feed, and the shared state of the last import (key
//! `{namespace}/feed-state`).
//!
//! A VM takes the leadership for one import, renews its term on its ticks, and gives the leadership
//! back. A term without renewal ends, and the next VM to tick begins another import.

use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::time::{Mono, Span};
use serde::{Deserialize, Serialize};

/// The length of a term that is not renewed.
pub const TERM: Span = Span::from_secs(5);
/// The longest delay of a due import. After that, no config has the feed any more.
const OVERDUE: Span = Span::from_secs(60);

/// The state of the feed that all VMs share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// The nonce of the leader; 0 for none.
    pub leader: u64,
    /// The end of the leader's term.
    pub until: Mono,
    /// A hash of the feed's source.
    pub source: u64,
    /// Time of the newest config with this feed; older code decides by it.
    pub configured: Mono,
    /// Time of the next import.
    pub due: Mono,
    /// Time of the last complete import; before the first, the time of this value's creation.
    pub synced_at: Mono,
    /// Failures in a row.
    pub failures: u32,
    /// The ETag of the last complete import; empty when accounts had no room.
    pub etag: Vec<u8>,
}

/// The value of one namespace.
pub type SharedFeedState = SharedCell<FeedState>;

impl FeedState {
    /// Moves times that are too far ahead of the clock: the clock stepped back, or the bytes were
    /// corrupt.
    pub fn correct(&mut self, now: Mono) {
        self.until = self.until.min(now.after(TERM));
        self.configured = self.configured.min(now);
        self.synced_at = self.synced_at.min(now);
    }

    /// True while a config imports the feed: an import runs, or is not long overdue.
    pub fn is_alive(&self, now: Mono) -> bool {
        let was_tried = self.due > Mono::default();
        self.has_leader(now) || (was_tried && now < self.due.after(OVERDUE))
    }

    /// True while a VM leads.
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
    const KEY: &'static str = "feed-state";

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
