//! A filter that does nothing: the floor that `make bench` measures against.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the SDK's macro writes the entry point")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

struct Empty;

impl Context for Empty {}
impl HttpContext for Empty {}
impl RootContext for Empty {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Empty))
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Empty));
}}
