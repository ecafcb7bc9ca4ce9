//! Envoy as the core's host: shared data, clocks and metrics.

use super::hostcalls;
use super::log::warn;
use crate::host::{Clock, HostError, MetricSink, SetError, SharedData, Stored};
use crate::time::{Mono, Wall};
use proxy_wasm::types::{BufferType, MapType, MetricType};
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;

/// The host of this VM.
#[derive(Clone, Copy, Debug)]
pub struct Envoy;

impl SharedData for Envoy {
    fn get(&self, key: &str) -> Result<Option<Stored>, HostError> {
        let found = hostcalls::shared_data(key)?;
        Ok(found.and_then(|(value, cas)| {
            let cas = NonZeroU32::new(cas)?;
            Some(Stored { value, cas })
        }))
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<NonZeroU32>) -> Result<(), SetError> {
        hostcalls::set_shared_data(key, value, cas)
    }
}

impl Clock for Envoy {
    fn mono(&self) -> Mono {
        Mono::from_millis(monotonic_ns().div_euclid(1_000_000))
    }

    fn wall(&self) -> Wall {
        // The ABI defines no failure of this clock.
        Wall::from_millis(hostcalls::wall_clock().unwrap_or(0).div_euclid(1_000_000))
    }
}

#[cfg(target_os = "wasi")]
#[allow(unsafe_code, reason = "the wasi crate marks the call so")]
pub(super) fn monotonic_ns() -> u64 {
    // SAFETY: takes numbers and returns one. The host defines no failure of this clock.
    unsafe { wasi::clock_time_get(wasi::CLOCKID_MONOTONIC, 1) }.unwrap_or(0)
}

#[cfg(not(target_os = "wasi"))]
thread_local! {
    static SET_NS: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
    static READS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Sets this thread's monotonic clock, off Envoy only; `None` starts it again.
#[cfg(not(target_os = "wasi"))]
pub fn set_monotonic_ns(ns: Option<u64>) {
    SET_NS.set(ns);
}

/// Returns this thread's readings of the monotonic clock since the last call, off Envoy only.
#[cfg(not(target_os = "wasi"))]
pub fn take_monotonic_reads() -> u32 {
    READS.take()
}

/// Reads the process-wide clock, off Envoy, unless the thread has set its own.
#[cfg(not(target_os = "wasi"))]
pub(super) fn monotonic_ns() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    READS.set(READS.get().saturating_add(1));
    SET_NS.get().unwrap_or_else(|| {
        let elapsed = START.get_or_init(Instant::now).elapsed();
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    })
}

thread_local! {
    // The host makes a new id at each definition, so each VM defines a name once.
    static METRICS: RefCell<HashMap<String, u32>> = RefCell::new(HashMap::new());
}

impl Envoy {
    fn with_metric(kind: MetricType, name: &str, f: impl FnOnce(u32) -> Result<(), HostError>) {
        let id = METRICS.with_borrow_mut(|ids| match ids.get(name) {
            Some(id) => Ok(*id),
            None => hostcalls::define_metric(kind, name).inspect(|id| {
                ids.insert(name.to_owned(), *id);
            }),
        });
        if let Err(error) = id.and_then(f) {
            warn!("metric {name}: {error}");
        }
    }
}

impl MetricSink for Envoy {
    fn count(&mut self, name: &str, delta: u64) {
        let delta = i64::try_from(delta).unwrap_or(i64::MAX);
        Self::with_metric(MetricType::Counter, name, |id| match delta {
            // A counter exists once it is defined, and Envoy refuses to move it by nothing.
            0 => Ok(()),
            _ => hostcalls::increment_metric(id, delta),
        });
    }

    fn gauge(&mut self, name: &str, delta: i64) {
        Self::with_metric(MetricType::Gauge, name, |id| {
            hostcalls::increment_metric(id, delta)
        });
    }

    fn set(&mut self, name: &str, value: u64) {
        Self::with_metric(MetricType::Gauge, name, |id| {
            hostcalls::record_metric(id, value)
        });
    }
}

/// A line that access logs show, as Envoy's filter state `wasm.` with this name.
#[derive(Clone, Copy, Debug)]
pub enum LogState {
    /// The decision.
    Decision,
    /// The usage.
    Usage,
}

/// Sets a line that access logs show.
pub fn set_filter_state(state: LogState, log: &[u8]) {
    let name = match state {
        LogState::Decision => "tiergate",
        LogState::Usage => "tiergate.usage",
    };
    if let Err(error) = hostcalls::set_filter_state(name, log) {
        warn!("filter state: {error}");
    }
}

/// Sets a header in place of those of its name, and logs a failure.
pub fn set_header(map: MapType, name: &str, value: &str) {
    if let Err(error) = hostcalls::replace_header(map, name, value) {
        warn!("header {name} is not set: {error}");
    }
}

/// Removes a header and logs a failure.
pub fn remove_header(map: MapType, name: &str) {
    if let Err(error) = hostcalls::remove_header(map, name) {
        warn!("header {name} stays: {error}");
    }
}

/// Returns bytes of a body; empty when the host does not give them.
pub fn body_bytes(body: BufferType, start: usize, size: usize) -> Vec<u8> {
    let bytes = hostcalls::buffer(body, start, size);
    bytes.ok().flatten().unwrap_or_default()
}
