//! The refusals of the last minutes: one value of shared data for all VMs (key
//! `{namespace}/refusal-log`).
//!
//! Each VM gathers its refusals and adds them on its ticks, at most once a second, so requests do
//! not pay for the log. When shared data is lost, so is the log; nothing depends on it.

pub mod batch;
mod log;

pub use log::{
    Batch, ID_BYTES, Id, MOST_BYTES, RING, Reason, RecentRefusal, RefusalLog, Total, WINDOW_S,
};

use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};

/// The stored log of one namespace.
pub type Refusals = SharedCell<RefusalLog>;

impl Content for RefusalLog {
    const LAYOUT: Layout = Layout {
        name: "the log of refusals",
        version: 1,
        kind: b'R',
    };
    const KEY: &'static str = "refusal-log";

    fn is_valid(&self) -> bool {
        self.is_bounded()
    }
}
