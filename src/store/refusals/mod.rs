//! The refusals of the last minutes, as one value of shared data that all VMs add to
//! (key `{namespace}/refusals`; `bytes.rs` draws it).
//!
//! What is refused is gathered in each VM and added on its ticks, at most once a second, so nothing
//! of this is on a request's way. When shared data is lost, so is the list; nothing hangs on it.

mod board;
mod bytes;

pub use board::{Batch, Board, ID_BYTES, Id, RING, Recent, Total, WINDOW_S, Why};
pub use bytes::{MOST_BYTES, decode, encode};

use super::value::{Content, Value};
use crate::time::Mono;

/// The value of one namespace.
pub type Refusals = Value<Board>;

/// The refusals of `namespace`.
pub fn refusals(namespace: &str) -> Refusals {
    Value::new(format!("{namespace}/refusals"))
}

impl Content for Board {
    const NAME: &'static str = "the list of refusals";

    fn afresh(_: Mono) -> Self {
        Self::default()
    }

    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes).ok()
    }
}
