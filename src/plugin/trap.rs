//! A request or a feed page that traps the VM, for tests only (feature `trap`).

use super::header_map::HeaderMap;
use super::hostcalls;
use proxy_wasm::types::MapType;

/// The header that asks for a trap.
const TRAP: &str = "x-tiergate-trap";

/// Panics when the headers of the current callback ask for it.
#[allow(
    clippy::panic,
    reason = "it is what the feature is for; no release is built with it"
)]
pub fn trigger(map: MapType) {
    let asks = |headers: HeaderMap| headers.values(TRAP).next().is_some();
    if hostcalls::header_map(map).is_ok_and(asks) {
        panic!("trapped as asked");
    }
}
