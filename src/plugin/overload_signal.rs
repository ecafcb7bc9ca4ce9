//! What the upstream's answers say of its load.

use super::envoy::remove_header;
use super::header_map::HeaderMap;
use super::worker::Worker;
use crate::overload::Origin;
use proxy_wasm::types::MapType;

/// Takes note of the load that an answer tells of, and hides it from the client; `counts`: it
/// answers a request that was let through and recorded.
pub fn note(worker: &Worker, headers: &HeaderMap, counts: bool) {
    let Some(policy) = &worker.config.overload else {
        return;
    };
    let load = match &policy.origin {
        Origin::Overload => None,
        Origin::Header(name) => {
            let mut loads = headers.values(name);
            let load = loads.next();
            if load.is_some() {
                remove_header(MapType::HttpResponseHeaders, name);
            }
            // Of two, nobody knows which is meant.
            load.map(|load| loads.next().map_or(load, |_| b""))
        }
    };
    if counts {
        let status = headers.values(":status").next();
        worker.with_limiter(|limiter| limiter.overload_mut().observe(status, load));
    }
}
