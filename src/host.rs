//! The host's interface for the core: narrow traits, without proxy-wasm.
//!
//! The shell ([`crate::plugin`]) implements the traits on Envoy; tests implement them with a fake
//! that can misbehave on purpose.

use crate::time::{Mono, Wall};
use std::num::NonZeroU32;

/// The status of a failed host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host answered with status {0}")]
pub struct HostError(pub u32);

/// The reason why a write to shared data failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Another writer was faster: the value must be read again.
    #[error("the value was changed by another writer")]
    Conflict,
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A value of shared data and its version for a compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The bytes; may be empty.
    pub value: Vec<u8>,
    /// The version of the value.
    pub cas: NonZeroU32,
}

/// Envoy's shared data: one map for all workers of the process.
pub trait SharedData {
    /// Reads the value of `key`; `None` when it was never set.
    ///
    /// # Errors
    /// The host's status when it can't read.
    fn get(&self, key: &str) -> Result<Option<Stored>, HostError>;

    /// Sets `key` to `value`: only over the version `cas`, or over any version with `None`.
    ///
    /// The host ignores `cas` when the key is missing, so this can't be used as "insert if absent".
    ///
    /// # Errors
    /// [`SetError::Conflict`] when the value has another version, or the host's status.
    fn set(&self, key: &str, value: &[u8], cas: Option<NonZeroU32>) -> Result<(), SetError>;
}

/// The two clocks.
pub trait Clock {
    /// Reads the monotonic clock, the same for every worker of the process.
    fn mono(&self) -> Mono;
    /// Reads the wall clock, which may step, also backwards.
    fn wall(&self) -> Wall;
}

/// The host as the stores need it: shared data and clocks.
pub trait Host: SharedData + Clock {}

impl<T: SharedData + Clock> Host for T {}

/// The values of one request header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// The request has no such header.
    Absent,
    /// The request has one such header; any bytes.
    Once(&'a [u8]),
    /// The request has several such headers.
    Repeated,
}

/// One request: the headers and properties that a check reads.
pub trait Request {
    /// Reads the request header of this lower-case name.
    fn header(&self, name: &str) -> Header<'_>;
    /// True when a body follows the headers, or may follow.
    fn has_body(&self) -> bool;
    /// Reads the Envoy property (attribute) at `path`, if there is one.
    fn property(&self, path: &[String]) -> Option<Vec<u8>>;
}

/// The receiver of metrics.
pub trait MetricSink {
    /// Adds `delta` to the counter `name`; 0 makes it exist.
    fn count(&mut self, name: &str, delta: u64);
    /// Moves the gauge `name` by `delta`.
    fn gauge(&mut self, name: &str, delta: i64);
    /// Sets the gauge `name`, which all workers share.
    fn set(&mut self, name: &str, value: u64);
}
