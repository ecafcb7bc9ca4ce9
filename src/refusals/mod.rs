//! The refusals of the last minutes, as one value of shared data that all VMs add to
//! (key `{namespace}/refusals`; `bytes.rs` draws it).
//!
//! What is refused is gathered in each VM and added on its ticks, at most once a second, so nothing
//! of this is on a request's way. When shared data is lost, so is the list; nothing hangs on it.

pub mod batch;
mod bytes;
mod log;

pub use bytes::{MOST_BYTES, decode, encode};
pub use log::{Batch, ID_BYTES, Id, RING, Reason, Recent, RefusalLog, Total, WINDOW_S};

use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::time::Mono;

const LAYOUT: Layout = Layout {
    name: "the log of refusals",
    version: 1,
    kind: b'R',
};

/// The value of one namespace.
pub type Refusals = SharedCell<RefusalLog>;

/// The refusals of `namespace`.
pub fn refusals(namespace: &str) -> Refusals {
    SharedCell::new(format!("{namespace}/refusals"))
}

impl Content for RefusalLog {
    const LAYOUT: Layout = LAYOUT;

    fn initial(_: Mono) -> Self {
        Self::default()
    }

    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes).ok()
    }
}
