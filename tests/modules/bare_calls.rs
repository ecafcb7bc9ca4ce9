//! The host calls of an admitted and settled request with `headers: []`, and nothing else: the
//! price of tiergate if deciding cost nothing. `make bench` shows it beside the filter.
//!
//! The calls go through the filter's own host-call layer, so both pay the same for a call. The
//! list of calls is that of `the_host_calls_of_an_admitted_and_settled_request` in `tests/shell`. The config is
//! the number of pages that the requests spread over, 1 when it is empty.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the SDK's macro writes the entry point")]
#![allow(dead_code, unused, reason = "the filter uses more of its layer")]

#[path = "../../src/plugin/envoy.rs"]
mod envoy;
#[path = "../../src/plugin/header_map.rs"]
mod header_map;
#[path = "../../src/host.rs"]
mod host;
#[path = "../../src/plugin/hostcalls.rs"]
mod hostcalls;
#[path = "../../src/plugin/log.rs"]
mod log;
#[path = "../../src/time.rs"]
mod time;

use envoy::{Envoy, LogState, body_bytes, remove_header, set_filter_state};
use host::{Clock as _, SetError, SharedData as _};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, MapType};
use std::rc::Rc;

/// A page as the filter's is with a thousand accounts in a ledger for 4,096, and full logs.
const PAGE: [u8; 2000] = [7; 2000];
/// Tries to write a page, as many as the filter's.
const TRIES: u32 = 100;

#[derive(Default)]
struct Root {
    pages: Rc<[String]>,
}

struct Bare {
    pages: Rc<[String]>,
    page: usize,
}

impl Bare {
    /// Makes the calls of a change of an account's record.
    fn change(&self) {
        let Some(key) = self.pages.get(self.page) else {
            return;
        };
        for _ in 0..TRIES {
            let stored = Envoy.get(key);
            let _ = Envoy.mono();
            let Ok(Some(page)) = stored else {
                return;
            };
            match Envoy.set(key, &page.value, Some(page.cas)) {
                Err(SetError::Conflict) => {}
                Ok(()) | Err(SetError::Host(_)) => return,
            }
        }
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let config = body_bytes(BufferType::PluginConfiguration, 0, size);
        let pages = str::from_utf8(&config).ok().and_then(|c| c.parse().ok());
        let pages: u32 = pages.unwrap_or(1);
        self.pages = (0..pages).map(|page| format!("bare/p{page}")).collect();
        let mut keys = self.pages.iter();
        keys.all(|key| Envoy.set(key, &PAGE, None).is_ok())
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let pages = Rc::clone(&self.pages);
        let page = usize::try_from(id).ok()?.checked_rem(pages.len())?;
        Some(Box::new(Bare { pages, page }))
    }
}

impl Context for Bare {
    fn on_done(&mut self) -> bool {
        self.change();
        true
    }
}

impl HttpContext for Bare {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let _ = hostcalls::header_map(MapType::HttpRequestHeaders);
        self.change();
        set_filter_state(LogState::Decision, b"tier=t outcome=admitted");
        for name in ["x-account-id", "x-account-tier"] {
            remove_header(MapType::HttpRequestHeaders, name);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _end_of_stream: bool) -> Action {
        let _ = body_bytes(BufferType::HttpResponseBody, 0, size);
        Action::Continue
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}
