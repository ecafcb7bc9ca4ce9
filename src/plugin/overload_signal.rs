//! The overload signal that the upstream reports in its responses.

use super::envoy::remove_header;
use super::header_map::HeaderMap;
use super::hostcalls;
use super::worker::Worker;
use crate::overload::Origin;
use proxy_wasm::types::MapType;

/// Records the signal of a response, and hides its header from the client. `counts`: the response
/// answers an admitted request.
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
            // Two values contradict each other, so neither counts.
            load.map(|load| loads.next().map_or(load, |_| b""))
        }
    };
    if counts {
        let status = headers.values(":status").next();
        worker.with_limiter(|limiter| limiter.overload_mut().observe(status, load));
    }
}

/// Hides the signal header of a response to a request that is not recorded.
pub fn hide(worker: &Worker) {
    if worker.config.overload.is_some()
        && let Ok(headers) = hostcalls::header_map(MapType::HttpResponseHeaders)
    {
        note(worker, &headers, false);
    }
}
