//! A second plugin that writes into shared data: an operator's own auth filter, or hostile code.
//!
//! Its config is one line for each value: `key value`. Each of its VMs writes all of them at start.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the SDK's macro writes the entry point")]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

struct SharedWriter;
struct Silent;

impl Context for SharedWriter {}
impl Context for Silent {}
impl HttpContext for Silent {}

impl RootContext for SharedWriter {
    fn on_configure(&mut self, _size: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        for line in String::from_utf8_lossy(&config).lines() {
            if let Some((key, value)) = line.split_once(' ') {
                let _ = hostcalls::set_shared_data(key, Some(value.as_bytes()), None);
            }
        }
        let _ = hostcalls::log(LogLevel::Info, "shared-writer: written");
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Silent))
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(SharedWriter));
}}
