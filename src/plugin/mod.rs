//! The proxy-wasm shell: turns callbacks into calls of the core, and makes the host calls.
//!
//! Only this module uses proxy-wasm. Contexts come from its SDK. Host calls go through
//! [`hostcalls`], where every status is a value: the SDK's wrappers panic on unexpected statuses.

mod admin_exchange;
mod body_wait;
mod cut_off;
mod envoy;
mod exchange;
mod feed;
mod fleet;
mod forwarded;
mod header_map;
pub mod hostcalls;
mod http_reply;
mod log;
mod notices;
mod overload_signal;
mod own_path;
mod paused;
mod phase;
mod request;
mod request_body;
mod response;
mod root;
mod service_call;
mod stream;
mod tick;
#[cfg(feature = "trap")]
mod trap;
mod worker;

#[cfg(not(target_os = "wasi"))]
pub use envoy::{set_monotonic_ns, take_monotonic_reads};
pub use root::Root;

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, reason = "the SDK's macro writes the entry point")]
mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(super::Root::default()));
    }}
}
