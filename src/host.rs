//! The host as the core sees it: narrow traits, and nothing of proxy-wasm.
//!
//! The shell ([`crate::plugin`]) implements them on Envoy; tests implement them with a fake that
//! can misbehave on purpose.

use crate::time::{Mono, Wall};
use std::num::NonZeroU32;

/// The host would not do what was asked, and gave this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host answered with status {0}")]
pub struct HostError(pub u32);

/// A write to shared data that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Another writer was faster: read again.
    #[error("the value was changed by another writer")]
    Conflict,
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A value of shared data and the mark that a compare-and-set needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The bytes; empty when the key holds nothing.
    pub value: Vec<u8>,
    /// The mark of this version of the value.
    pub cas: NonZeroU32,
}

/// Envoy's shared data: one map for all workers of the process.
pub trait SharedData {
    /// The value of `key`, or `None` when it was never set.
    ///
    /// # Errors
    /// The host's status when it can't read.
    fn get(&self, key: &str) -> Result<Option<Stored>, HostError>;

    /// Sets `key` to `value`: only over the version `cas`, or whatever is there with `None`.
    ///
    /// The host ignores `cas` when the key is missing, so this can't be used as "insert if absent".
    ///
    /// # Errors
    /// [`SetError::Conflict`] when the value is not of version `cas` any more.
    fn set(&self, key: &str, value: &[u8], cas: Option<NonZeroU32>) -> Result<(), SetError>;
}

/// The two clocks.
pub trait Clock {
    /// The monotonic clock, the same for every worker of the process.
    fn mono(&self) -> Mono;
    /// The wall clock; it may step, also backwards.
    fn wall(&self) -> Wall;
}

/// All that the ledger needs of a host.
pub trait Host: SharedData + Clock {}

impl<T: SharedData + Clock> Host for T {}

/// What one request header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// The request has no such header.
    Absent,
    /// It has it once; the bytes need not be text.
    Once(&'a [u8]),
    /// It has it more than once.
    Repeated,
}

/// One request, as far as its account and tier can be read from it.
pub trait Request {
    /// The request header of that lower-case name.
    fn header(&self, name: &str) -> Header<'_>;
    /// The Envoy property (attribute) at `path`, or `None` where there is none.
    fn property(&self, path: &[String]) -> Option<Vec<u8>>;
}

/// Where counts go that operators see.
pub trait MetricSink {
    /// Adds `delta` (at least 1) to the counter of that name.
    fn count(&mut self, name: &str, delta: u64);
    /// Moves the gauge of that name by `delta`.
    fn gauge(&mut self, name: &str, delta: i64);
    /// Sets the gauge of that name, which is one for all workers.
    fn set(&mut self, name: &str, value: u64);
}
