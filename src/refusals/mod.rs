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

use crate::shared::cell::{Content, Value};
use crate::time::Mono;

/// The value of one namespace.
pub type Refusals = Value<RefusalLog>;

/// The refusals of `namespace`.
pub fn refusals(namespace: &str) -> Refusals {
    Value::new(format!("{namespace}/refusals"))
}

impl Content for RefusalLog {
    const NAME: &'static str = "the list of refusals";

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
