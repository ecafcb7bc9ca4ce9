//! The host calls of an admitted and settled request, and nothing else: what tiergate would cost
//! if deciding cost nothing. `make bench` shows it beside the filter.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the SDK's macro writes the entry point")]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, MapType};

/// A page as it is with a thousand accounts in a ledger for 4,096.
const PAGE: [u8; 1000] = [7; 1000];
const KEY: &str = "bare/p1";

struct Bare;

/// What reading and writing an account's record asks of the host.
fn change() {
    let stored = hostcalls::get_shared_data(KEY);
    // SAFETY: takes numbers and returns one.
    let _ = unsafe { wasi::clock_time_get(wasi::CLOCKID_MONOTONIC, 1) };
    if let Ok((_, cas)) = stored {
        let _ = hostcalls::set_shared_data(KEY, Some(&PAGE), cas);
    }
}

impl RootContext for Bare {
    fn on_configure(&mut self, _size: usize) -> bool {
        hostcalls::set_shared_data(KEY, Some(&PAGE), None).is_ok()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Bare))
    }
}

impl Context for Bare {
    fn on_done(&mut self) -> bool {
        change();
        true
    }
}

impl HttpContext for Bare {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let _ = hostcalls::get_map_bytes(MapType::HttpRequestHeaders);
        change();
        let _ = hostcalls::set_property(vec!["bare"], Some(b"tier=t outcome=admitted"));
        for name in ["x-account-id", "x-account-tier"] {
            let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _end_of_stream: bool) -> Action {
        let _ = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, size);
        Action::Continue
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Bare));
}}
