//! A request that went to the upstream, with its response and its settlement.

use super::envoy::{Envoy, remove_header};
use super::hostcalls;
use super::log::warn;
use super::overload_signal;
use super::response::{ResponsePlan, ResponseReader, is_event_stream};
use super::worker::Worker;
use crate::limiter::{self, Admission};
use crate::limits::Snapshot;
use crate::reply::headers;
use crate::routes::TokenCharge;
use crate::tokens::Used;
use proxy_wasm::types::MapType;

const MAP: MapType = MapType::HttpResponseHeaders;

/// The data that a forwarded request keeps until its end.
#[derive(Debug, Default)]
pub struct ForwardedRequest {
    /// `None` when the limiter recorded nothing.
    admission: Option<Admission>,
    /// The numbers for the rate-limit headers, until they are set on the response.
    snapshot: Option<Snapshot>,
    plan: ResponsePlan,
    /// `None` before the response headers, and when nothing in the response is read.
    response: Option<ResponseReader>,
    /// The slow tick of the last charge, or of the response's headers.
    charged_at: u32,
}

/// The slow ticks between two charges of a stream: a second.
const TICKS_APART: u32 = 2;

impl ForwardedRequest {
    /// Creates the state of a request that goes to the upstream now.
    pub fn new(forwarded: limiter::Forwarded, plan: ResponsePlan) -> Self {
        Self {
            admission: forwarded.admission,
            snapshot: forwarded.snapshot,
            plan,
            response: None,
            charged_at: 0,
        }
    }

    /// Sets the rate-limit headers and starts to read the response.
    pub fn response_headers(&mut self, worker: &Worker, end: bool) {
        self.set_headers(worker);
        self.charged_at = worker.slow_ticks.get();
        let tokens = &worker.config.tokens;
        let charge = self.admission.as_ref().map(Admission::tokens);
        let settles = charge.is_some_and(|charge| charge != TokenCharge::None);
        let is_fetch = charge == Some(TokenCharge::Fetched);
        let reads = self.plan.reads(tokens, settles);
        let may_cost = is_fetch && reads && !end;
        if worker.config.overload.is_none() && !may_cost {
            if !reads {
                return;
            }
            if !self.plan.needs_headers(tokens) {
                self.response = Some(ResponseReader::without_headers(tokens, end));
                return;
            }
        }
        let Ok(headers) = hostcalls::header_map(MAP) else {
            return;
        };
        overload_signal::note(worker, &headers, charge.is_some());
        if let Some(admission) = self.admission.as_mut().filter(|_| is_fetch) {
            if !headers.iter().any(is_event_stream) {
                return;
            }
            // A GET can fetch the stream of a background response: it generates while it runs.
            admission.charge();
        }
        if reads {
            let response = ResponseReader::begin(tokens, &headers, end, self.plan.hides_usage);
            self.response = Some(response);
        }
    }

    fn set_headers(&mut self, worker: &Worker) {
        let Some(snapshot) = self.snapshot.take() else {
            return;
        };
        headers::each(&worker.config.headers, &snapshot, |name, value| {
            let Some(value) = value else {
                return remove_header(MAP, name);
            };
            if let Err(error) = hostcalls::replace_header(MAP, name, value) {
                warn!("response header {name}: {error}");
            }
        });
    }

    /// Reads a piece of the response's body; `size` is in bytes.
    pub fn response_body(&mut self, worker: &Worker, size: usize, end: bool) {
        if let Some(response) = &mut self.response {
            response.body(size, end);
        }
        let tick = worker.slow_ticks.get();
        if !end && tick.wrapping_sub(self.charged_at) >= TICKS_APART {
            self.charged_at = tick;
            self.charge(worker);
        }
    }

    /// Charges what a stream has used beyond its reserve so far.
    fn charge(&mut self, worker: &Worker) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        let so_far = self.response.as_ref().and_then(ResponseReader::so_far);
        if let Some(consumed) = so_far {
            worker.with_limiter(|limiter| limiter.charge_stream(&Envoy, admission, &consumed));
        }
    }

    /// Reads the trailers, which end the response.
    pub fn response_trailers(&mut self, worker: &Worker) {
        if let Some(response) = &mut self.response {
            response.trailers(&worker.config.tokens.options);
        }
    }

    /// Returns the lease and replaces the reserved tokens with the tokens used.
    pub fn settle(self, worker: &Worker) {
        let Some(admission) = self.admission else {
            return;
        };
        let unknown = || Used::Unknown.into();
        let consumed = self.response.map_or_else(unknown, ResponseReader::used);
        worker.with_limiter(|limiter| limiter.settle(&Envoy, admission, consumed));
    }
}
