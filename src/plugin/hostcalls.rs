//! The calls of the proxy-wasm ABI 0.2.1 that the filter uses, with every status as a value.
//!
//! Source: proxy-wasm/spec, abi-versions/v0.2.1. A panic traps the worker. The SDK's wrappers panic
//! on unexpected statuses and on header names that are not UTF-8; these calls return [`HostError`]
//! and bytes instead.

#![allow(unsafe_code, reason = "the ABI is a C interface")]

use super::header_map::{self, HeaderMap};
use crate::host::{HostError, SetError};
use proxy_wasm::types::{BufferType, MapType, MetricType, StreamType};
use std::num::NonZeroU32;
use std::time::Duration;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const CAS_MISMATCH: u32 = 8;

#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "env"))]
unsafe extern "C" {
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        data: *const u8,
        data_size: usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

fn check(status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        other => Err(HostError(other)),
    }
}

/// Runs a call that returns bytes; `None` when the host has none.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, HostError> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size: usize = 0;
    match call(&raw mut data, &raw mut size) {
        OK if data.is_null() => Ok(Some(Vec::new())),
        // SAFETY: the host allocated `size` bytes with the module's own allocator
        // (proxy_on_memory_allocate), filled them, and gave them up.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) })),
        NOT_FOUND => Ok(None),
        other => Err(HostError(other)),
    }
}

/// Reads at most `max` bytes of a buffer, from `start`; `None` when the buffer is empty.
///
/// # Errors
/// The host's status.
pub fn buffer(kind: BufferType, start: usize, max: usize) -> Result<Option<Vec<u8>>, HostError> {
    // SAFETY: the out-pointers are valid for the call.
    bytes(|data, size| unsafe { proxy_get_buffer_bytes(kind as u32, start, max, data, size) })
}

/// Replaces the first `size` bytes of a buffer with `bytes`.
///
/// # Errors
/// The host's status.
pub fn set_buffer(kind: BufferType, size: usize, bytes: &[u8]) -> Result<(), HostError> {
    // SAFETY: `bytes` is valid for the call.
    check(unsafe { proxy_set_buffer_bytes(kind as u32, 0, size, bytes.as_ptr(), bytes.len()) })
}

/// Reads a complete header map in one call.
///
/// # Errors
/// The host's status.
pub fn header_map(map: MapType) -> Result<HeaderMap, HostError> {
    // SAFETY: the out-pointers are valid for the call.
    let all = bytes(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })?;
    Ok(HeaderMap::from_bytes(all.unwrap_or_default()))
}

/// Removes a header.
///
/// # Errors
/// The host's status.
pub fn remove_header(map: MapType, name: &str) -> Result<(), HostError> {
    // SAFETY: `name` is valid for the call.
    check(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Sets a header and replaces all values of that name.
///
/// # Errors
/// The host's status.
pub fn replace_header(map: MapType, name: &str, value: &str) -> Result<(), HostError> {
    // SAFETY: `name` and `value` are valid for the call.
    check(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Reads the property at `path`; `None` when the host has none there.
///
/// # Errors
/// The host's status.
pub fn property(path: &[String]) -> Result<Option<Vec<u8>>, HostError> {
    property_at(&path.join("\0"))
}

/// Reads the status that the client gets. `None`: there is no response yet.
///
/// # Errors
/// The host's status.
pub fn response_code() -> Result<Option<u64>, HostError> {
    let code = property_at("response\0code")?;
    // The host gives a number as eight bytes.
    Ok(code.and_then(|code| Some(u64::from_le_bytes(code.try_into().ok()?))))
}

fn property_at(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    // SAFETY: `path` and the out-pointers are valid for the call.
    bytes(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets the filter state `wasm.{name}`.
///
/// # Errors
/// The host's status.
pub fn set_filter_state(name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: `name` and `value` are valid for the call.
    check(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Reads a value of shared data and its version; `None` when the key was never set.
///
/// # Errors
/// The host's status.
pub fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
    let mut cas = 0;
    // SAFETY: `key` and the out-pointers are valid for the call.
    let value = bytes(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
    })?;
    Ok(value.map(|v| (v, cas)))
}

/// Writes a value of shared data: over version `cas`, or over any version when `cas` is `None`.
///
/// # Errors
/// [`SetError::Conflict`] when the version differs, or the host's status.
pub fn set_shared_data(key: &str, value: &[u8], cas: Option<NonZeroU32>) -> Result<(), SetError> {
    let cas = cas.map_or(0, NonZeroU32::get);
    // SAFETY: `key` and `value` are valid for the call.
    let status =
        unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) };
    match status {
        OK => Ok(()),
        CAS_MISMATCH => Err(SetError::Conflict),
        other => Err(SetError::Host(HostError(other))),
    }
}

/// A reply that the filter sends itself.
#[derive(Debug)]
pub struct LocalReply<'a> {
    /// HTTP status.
    pub status: u32,
    /// The response code details in access logs.
    pub details: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, String)],
    /// Body; for gRPC, the host sends it as `grpc-message`.
    pub body: &'a [u8],
    /// gRPC status, or -1.
    pub grpc_status: i32,
}

/// Sends a local reply to the request.
///
/// # Errors
/// The host's status.
pub fn send_local_reply(reply: &LocalReply<'_>) -> Result<(), HostError> {
    let headers = header_map::serialise(reply.headers);
    // SAFETY: all slices are valid for the call.
    check(unsafe {
        proxy_send_local_response(
            reply.status,
            reply.details.as_ptr(),
            reply.details.len(),
            reply.body.as_ptr(),
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            reply.grpc_status,
        )
    })
}

/// Directs the calls that follow at the stream `context`.
///
/// # Errors
/// The host's status.
pub fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: takes a number.
    check(unsafe { proxy_set_effective_context(context) })
}

/// Resumes a paused request.
///
/// # Errors
/// The host's status.
pub fn resume_request() -> Result<(), HostError> {
    // SAFETY: takes a number.
    check(unsafe { proxy_continue_stream(StreamType::HttpRequest as u32) })
}

/// Resets the stream of a request.
///
/// # Errors
/// The host's status.
pub fn close_stream() -> Result<(), HostError> {
    // SAFETY: takes a number.
    check(unsafe { proxy_close_stream(StreamType::HttpRequest as u32) })
}

/// Makes an HTTP call through a cluster; returns the token that its response carries.
///
/// The SDK must make the call, since it stops the VM at a response to a token that it does not
/// know. But the SDK also stops the VM at an unexpected status, such as that of a host which
/// forbids calls. So a call without headers, which every host rejects, probes the status first.
///
/// # Errors
/// The host's status.
pub fn http_call(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Result<u32, HostError> {
    let none = header_map::serialise(&[]);
    let (map, size) = (none.as_ptr(), none.len());
    let mut token = 0;
    // SAFETY: all slices and the out-pointer are valid for the call.
    let status = unsafe {
        let (name, name_size) = (cluster.as_ptr(), cluster.len());
        proxy_http_call(
            name,
            name_size,
            map,
            size,
            map,
            0,
            map,
            size,
            1,
            &raw mut token,
        )
    };
    if status != BAD_ARGUMENT {
        return Err(HostError(status));
    }
    proxy_wasm::hostcalls::dispatch_http_call(cluster, headers, body, vec![], timeout)
        .map_err(|status| HostError(status as u32))
}

/// Reads the wall clock, in nanoseconds since the epoch.
///
/// # Errors
/// The host's status.
pub fn wall_clock() -> Result<u64, HostError> {
    let mut time = 0;
    // SAFETY: the out-pointer is valid for the call.
    check(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// Sets the tick period in milliseconds.
///
/// # Errors
/// The host's status.
pub fn set_tick_period(period_ms: u32) -> Result<(), HostError> {
    // SAFETY: takes a number.
    check(unsafe { proxy_set_tick_period_milliseconds(period_ms) })
}

/// Defines a metric; the host creates a new id at each call.
///
/// # Errors
/// The host's status.
pub fn define_metric(kind: MetricType, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: `name` and the out-pointer are valid for the call.
    check(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter (at least 1) or moves a gauge.
///
/// # Errors
/// The host's status.
pub fn increment_metric(id: u32, delta: i64) -> Result<(), HostError> {
    // SAFETY: takes numbers.
    check(unsafe { proxy_increment_metric(id, delta) })
}

/// Sets a gauge.
///
/// # Errors
/// The host's status.
pub fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    // SAFETY: takes numbers.
    check(unsafe { proxy_record_metric(id, value) })
}
