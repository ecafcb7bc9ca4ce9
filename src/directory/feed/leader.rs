//! Who pulls the feed: one value of shared data, with the lease of the VM that does, and what all
//! know of the last load.
//!
//! ```text
//! key {namespace}/feed    offset  width  field (numbers little endian, times monotonic ms)
//!                         0       1      layout version (page::LAYOUT)
//!                         1       1      'L'
//!                         2       8      nonce of the VM that loads; 0: none does
//!                         10      8      when its lease ends
//!                         18      8      hash of where the feed comes from
//!                         26      8      when the newest config with that feed came
//!                         34      8      when the next load is due
//!                         42      8      when the directory was last known to be whole
//!                         50      8      the age that the gauge shows, in seconds
//!                         58      4      failures in a row
//!                         62      ..     ETag of the last whole load; empty for none
//! ```
//! A VM takes the lease for one load and gives it back. While it loads it renews the lease on its
//! ticks; when it dies, the lease ends and the next VM to tick begins anew.

use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::time::{Mono, Span};

/// How long a lease holds without being renewed.
pub const TERM: Span = Span::from_secs(5);
const LAYOUT: Layout = Layout {
    name: "the feed's state",
    version: 1,
    kind: b'L',
};

/// What all VMs know of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The age that the gauge shows, in seconds.
    pub reported_age: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The ETag of the last whole load.
    pub etag: Vec<u8>,
}

/// The value of one namespace.
pub type SharedFeedState = SharedCell<FeedState>;

/// The lease of `namespace`.
pub fn feed_state(namespace: &str) -> SharedFeedState {
    SharedCell::new(format!("{namespace}/feed"))
}

impl FeedState {
    /// Whether a VM holds the lease.
    pub fn has_leader(&self, now: Mono) -> bool {
        self.leader != 0 && now < self.until
    }
}

impl Content for FeedState {
    const LAYOUT: Layout = LAYOUT;

    fn initial(now: Mono) -> Self {
        Self {
            synced_at: now,
            ..Self::default()
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = LAYOUT.prefix().to_vec();
        for number in [
            self.leader,
            self.until.as_millis(),
            self.source,
            self.configured.as_millis(),
            self.due.as_millis(),
            self.synced_at.as_millis(),
            self.reported_age,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.failures.to_le_bytes());
        out.extend_from_slice(&self.etag);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = LAYOUT.body(bytes)?;
        let mut number = || {
            let (number, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_le_bytes(*number))
        };
        let (leader, until, source) = (number()?, number()?, number()?);
        let (configured, due, synced_at, reported_age) =
            (number()?, number()?, number()?, number()?);
        let (failures, etag) = rest.split_first_chunk::<4>()?;
        Some(Self {
            leader,
            until: Mono::from_millis(until),
            source,
            configured: Mono::from_millis(configured),
            due: Mono::from_millis(due),
            synced_at: Mono::from_millis(synced_at),
            reported_age,
            failures: u32::from_le_bytes(*failures),
            etag: etag.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_read_as_it_was_written() {
        let state = FeedState {
            leader: 1,
            until: Mono::from_millis(2),
            source: 3,
            configured: Mono::from_millis(4),
            due: Mono::from_millis(5),
            synced_at: Mono::from_millis(6),
            reported_age: 7,
            failures: 8,
            etag: b"W/\"9\"".to_vec(),
        };
        let bytes = state.encode();
        for end in 0..62 {
            assert_eq!(FeedState::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(FeedState::decode(&bytes), Some(state));
    }
}
