//! A second plugin, as an operator's own auth filter would be: it writes the tier of an account
//! into shared data, under `tier-of/{account}`, before tiergate reads it.
//!
//! Its config is one line for each account: `account tier`.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the SDK's macro writes the entry point")]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

struct TierWriter;
struct Silent;

impl Context for TierWriter {}
impl Context for Silent {}
impl HttpContext for Silent {}

impl RootContext for TierWriter {
    fn on_configure(&mut self, _size: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        for line in String::from_utf8_lossy(&config).lines() {
            if let Some((account, tier)) = line.split_once(' ') {
                let key = format!("tier-of/{account}");
                let _ = hostcalls::set_shared_data(&key, Some(tier.as_bytes()), None);
            }
        }
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
    proxy_wasm::set_root_context(|_| Box::new(TierWriter));
}}
