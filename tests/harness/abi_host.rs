//! The host's side of the proxy-wasm ABI as plain symbols, so that the whole shell runs natively.
//!
//! One thread is one VM. It counts calls by name, and can fail each of them on purpose.

#![allow(unsafe_code, reason = "the ABI is a C interface")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
/// The kind of a counter.
const COUNTER: u32 = 0;
const CAS_MISMATCH: u32 = 8;
const INTERNAL_FAILURE: u32 = 10;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
const REQUEST_HEADERS: u32 = 0;

type Lines = Vec<(String, Vec<u8>)>;

/// The VM's surroundings.
#[derive(Default)]
pub struct Host {
    pub config: Vec<u8>,
    pub request: Lines,
    pub response: Lines,
    pub body: Vec<u8>,
    pub request_body: Vec<u8>,
    /// Status and body of a local reply.
    pub reply: Option<(u32, Vec<u8>)>,
    pub calls: BTreeMap<&'static str, u32>,
    /// The names of all calls, in order.
    pub trace: Vec<&'static str>,
    /// The value of the last filter state that was set.
    pub filter_state: Option<Vec<u8>>,
    /// Every call fails.
    pub failing: bool,
    /// The headers of HTTP calls that were made, as they were given; their tokens count from 1.
    pub http_calls: Vec<Vec<u8>>,
    /// The status of HTTP calls where it is not the real host's, such as that of one that forbids them.
    pub http_status: u32,
    data: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    cas: u32,
    metrics: Vec<(String, i64)>,
    /// The counters among the metrics, by id.
    counters: Vec<u32>,
    /// The moves of metrics that were refused.
    pub refused_moves: u32,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Runs `f` with this VM's host.
pub fn host<T>(f: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(f)
}

impl Host {
    fn lines(&mut self, map: u32) -> &mut Lines {
        if map == REQUEST_HEADERS {
            &mut self.request
        } else {
            &mut self.response
        }
    }

    /// The value of a metric; 0 when it was never moved.
    pub fn metric(&self, name: &str) -> i64 {
        let found = self.metrics.iter().find(|(n, _)| n == name);
        found.map_or(0, |(_, value)| *value)
    }
}

/// Counts the call and runs it, unless every call is to fail.
fn call(name: &'static str, f: impl FnOnce(&mut Host) -> u32) -> u32 {
    let counted = HOST.try_with(|host| {
        let mut host = host.borrow_mut();
        *host.calls.entry(name).or_default() += 1;
        host.trace.push(name);
        if host.failing {
            return INTERNAL_FAILURE;
        }
        f(&mut host)
    });
    // A test that fails leaves streams behind, which end after their host.
    counted.unwrap_or(INTERNAL_FAILURE)
}

unsafe fn slice<'a>(data: *const u8, size: usize) -> &'a [u8] {
    // SAFETY: the module passes a valid pointer and size.
    unsafe { std::slice::from_raw_parts(data, size) }
}

/// Gives bytes to the module, which frees them.
unsafe fn give(bytes: &[u8], data: *mut *mut u8, size: *mut usize) -> u32 {
    let given = Box::leak(bytes.to_vec().into_boxed_slice());
    // SAFETY: the module passes valid out-pointers.
    unsafe {
        *size = given.len();
        *data = if given.is_empty() {
            std::ptr::null_mut()
        } else {
            given.as_mut_ptr()
        };
    }
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_buffer_bytes(
    kind: u32,
    start: usize,
    max: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    call("get_buffer_bytes", |host| {
        let buffer = match kind {
            PLUGIN_CONFIGURATION => &host.config,
            REQUEST_BODY => &host.request_body,
            RESPONSE_BODY | CALL_RESPONSE_BODY => &host.body,
            _ => return NOT_FOUND,
        };
        let start = start.min(buffer.len());
        let end = start.saturating_add(max).min(buffer.len());
        unsafe { give(&buffer[start..end], data, size) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_header_map_pairs(
    map: u32,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    call("get_header_map_pairs", |host| {
        let lines = host.lines(map);
        let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let mut out = number(lines.len()).to_vec();
        for (name, value) in lines.iter() {
            out.extend_from_slice(&number(name.len()));
            out.extend_from_slice(&number(value.len()));
        }
        for (name, value) in lines.iter() {
            out.extend_from_slice(name.as_bytes());
            out.push(0);
            out.extend_from_slice(value);
            out.push(0);
        }
        unsafe { give(&out, data, size) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_remove_header_map_value(map: u32, key: *const u8, size: usize) -> u32 {
    call("remove_header_map_value", |host| {
        let key = unsafe { slice(key, size) };
        host.lines(map).retain(|(name, _)| name.as_bytes() != key);
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_replace_header_map_value(
    map: u32,
    key: *const u8,
    key_size: usize,
    value: *const u8,
    value_size: usize,
) -> u32 {
    call("replace_header_map_value", |host| {
        let (key, value) = unsafe { (slice(key, key_size), slice(value, value_size)) };
        let lines = host.lines(map);
        lines.retain(|(name, _)| name.as_bytes() != key);
        lines.push((String::from_utf8(key.to_vec()).unwrap(), value.to_vec()));
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_property(
    path: *const u8,
    path_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    call("get_property", |host| {
        let status = host.response.iter().find(|(name, _)| name == ":status");
        let code = status.and_then(|(_, value)| str::from_utf8(value).ok()?.parse::<i64>().ok());
        match (unsafe { slice(path, path_size) }, code) {
            (b"response\0code", Some(code)) => unsafe { give(&code.to_le_bytes(), data, size) },
            _ => NOT_FOUND,
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_set_property(
    _path: *const u8,
    _path_size: usize,
    value: *const u8,
    value_size: usize,
) -> u32 {
    call("set_property", |host| {
        host.filter_state = Some(unsafe { slice(value, value_size) }.to_vec());
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_shared_data(
    key: *const u8,
    key_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
    cas: *mut u32,
) -> u32 {
    call("get_shared_data", |host| {
        let key = unsafe { slice(key, key_size) };
        let Some((value, version)) = host.data.get(key) else {
            return NOT_FOUND;
        };
        unsafe {
            *cas = *version;
            give(value, data, size)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_set_shared_data(
    key: *const u8,
    key_size: usize,
    value: *const u8,
    value_size: usize,
    cas: u32,
) -> u32 {
    call("set_shared_data", |host| {
        let (key, value) = unsafe { (slice(key, key_size), slice(value, value_size)) };
        if let Some((_, version)) = host.data.get(key)
            && cas != 0
            && cas != *version
        {
            return CAS_MISMATCH;
        }
        host.cas += 1;
        host.data.insert(key.to_vec(), (value.to_vec(), host.cas));
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_send_local_response(
    status: u32,
    _details: *const u8,
    _details_size: usize,
    body: *const u8,
    body_size: usize,
    _headers: *const u8,
    _headers_size: usize,
    _grpc_status: i32,
) -> u32 {
    call("send_local_response", |host| {
        host.reply = Some((status, unsafe { slice(body, body_size) }.to_vec()));
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32 {
    call("get_current_time_nanoseconds", |_| {
        unsafe { *time = 1_790_000_000_000_000_000 };
        OK
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_effective_context(_context: u32) -> u32 {
    call("set_effective_context", |_| OK)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_continue_stream(_stream: u32) -> u32 {
    call("continue_stream", |_| OK)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_close_stream(_stream: u32) -> u32 {
    call("close_stream", |_| OK)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_set_tick_period_milliseconds(_period: u32) -> u32 {
    call("set_tick_period_milliseconds", |_| OK)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_define_metric(
    kind: u32,
    name: *const u8,
    size: usize,
    id: *mut u32,
) -> u32 {
    call("define_metric", |host| {
        let name = unsafe { slice(name, size) }.to_vec();
        host.metrics.push((String::from_utf8(name).unwrap(), 0));
        let new = u32::try_from(host.metrics.len()).unwrap();
        if kind == COUNTER {
            host.counters.push(new);
        }
        unsafe { *id = new };
        OK
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_increment_metric(id: u32, delta: i64) -> u32 {
    call("increment_metric", |host| {
        // As Envoy has it.
        if delta <= 0 && host.counters.contains(&id) {
            host.refused_moves += 1;
            return BAD_ARGUMENT;
        }
        let place = usize::try_from(id).unwrap() - 1;
        match host.metrics.get_mut(place) {
            Some((_, value)) => *value += delta,
            None => return BAD_ARGUMENT,
        }
        OK
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_record_metric(id: u32, recorded: u64) -> u32 {
    call("record_metric", |host| {
        let place = usize::try_from(id).unwrap() - 1;
        match host.metrics.get_mut(place) {
            Some((_, value)) => *value = i64::try_from(recorded).unwrap(),
            None => return BAD_ARGUMENT,
        }
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_http_call(
    _cluster: *const u8,
    _cluster_size: usize,
    headers: *const u8,
    headers_size: usize,
    _body: *const u8,
    _body_size: usize,
    _trailers: *const u8,
    _trailers_size: usize,
    _timeout: u32,
    token: *mut u32,
) -> u32 {
    call("http_call", |host| {
        let headers = unsafe { slice(headers, headers_size) };
        if host.http_status != OK {
            return host.http_status;
        }
        if !headers.windows(5).any(|w| w == b":path") {
            return BAD_ARGUMENT;
        }
        host.http_calls.push(headers.to_vec());
        unsafe { *token = u32::try_from(host.http_calls.len()).unwrap() };
        OK
    })
}

/// Calls that the SDK names and the filter does not make.
macro_rules! never_called {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> u32 {
            panic!(concat!(stringify!($name), " was called"))
        }
    )*};
}

never_called! {
    proxy_log proxy_get_log_level proxy_get_header_map_value proxy_set_buffer_bytes proxy_set_header_map_pairs
    proxy_add_header_map_value proxy_register_shared_queue proxy_resolve_shared_queue
    proxy_dequeue_shared_queue proxy_enqueue_shared_queue
    proxy_grpc_call proxy_grpc_stream proxy_grpc_send
    proxy_grpc_cancel proxy_grpc_close proxy_get_status
    proxy_call_foreign_function proxy_done proxy_get_metric
}

// What the SDK exports for the host to call.
unsafe extern "C" {
    pub safe fn proxy_on_context_create(context: u32, root: u32);
    pub safe fn proxy_on_configure(context: u32, size: usize) -> bool;
    pub safe fn proxy_on_tick(context: u32);
    pub safe fn proxy_on_request_headers(context: u32, count: usize, end: bool) -> u32;
    pub safe fn proxy_on_request_body(context: u32, size: usize, end: bool) -> u32;
    pub safe fn proxy_on_request_trailers(context: u32, count: usize) -> u32;
    pub safe fn proxy_on_response_headers(context: u32, count: usize, end: bool) -> u32;
    pub safe fn proxy_on_response_body(context: u32, size: usize, end: bool) -> u32;
    pub safe fn proxy_on_http_call_response(
        context: u32,
        token: u32,
        headers: usize,
        body: usize,
        trailers: usize,
    );
    pub safe fn proxy_on_log(context: u32);
    pub safe fn proxy_on_done(context: u32) -> bool;
    pub safe fn proxy_on_delete(context: u32);
}
