//! For tests alone (feature `trap`): a request that traps the worker's VM.

use super::hostcalls;
use proxy_wasm::types::MapType;

/// Panics when the request asks for it.
#[allow(
    clippy::panic,
    reason = "it is what the feature is for; no release is built with it"
)]
pub fn spring() {
    if let Ok(Some(_)) = hostcalls::header(MapType::HttpRequestHeaders, "x-tiergate-trap") {
        panic!("trapped as asked");
    }
}
