//! A request that went to the upstream, with its response and its settlement.

use super::envoy::{Envoy, LogState, remove_header, set_filter_state, set_header};
use super::hostcalls;
use super::overload_signal;
use super::response::{ResponsePlan, ResponseReader, is_event_stream};
use super::worker::Worker;
use crate::limiter::{self, Admission, Limiter};
use crate::limits::Snapshot;
use crate::reply::WARNING;
use crate::reply::api::CalledApi;
use crate::routes::TokenCharge;
use crate::scheduler::UpstreamHeader;
use crate::time::Mono;
use crate::tokens::Used;
use crate::tokens::consumed::Consumed;
use proxy_wasm::types::MapType;

const MAP: MapType = MapType::HttpResponseHeaders;

/// The data that a forwarded request keeps until its end.
#[derive(Debug, Default)]
pub struct ForwardedRequest {
    /// `None` when the limiter recorded nothing.
    admission: Option<Admission>,
    /// The numbers for the rate-limit headers, until they are set on the response.
    snapshot: Option<Snapshot>,
    /// The API that the request calls, where it chooses these headers.
    called: CalledApi,
    /// The shares of limits that the client is warned of.
    warning: Option<String>,
    /// The headers for a scheduler, until they are set on the request.
    neighbours: Vec<UpstreamHeader>,
    plan: ResponsePlan,
    /// The use by the response, once it was told to access logs.
    consumed: Option<Consumed>,
    /// `None` before the response headers, and when nothing in the response is read.
    response: Option<ResponseReader>,
    /// The time of the last charge, or of the response's headers, in half seconds.
    charged_at: u64,
}

/// The half seconds between two charges of a stream.
const CHARGES_APART: u64 = 2;

impl ForwardedRequest {
    /// True for a request that has had a lease since `since` or before.
    pub fn is_leased_before(&self, since: Mono) -> bool {
        let admission = self.admission.as_ref();
        admission.is_some_and(|admission| admission.is_leased() && admission.at() <= since)
    }

    /// Creates the state of a request that goes to the upstream now.
    pub fn new(forwarded: limiter::Forwarded, plan: ResponsePlan) -> Self {
        Self {
            admission: forwarded.admission,
            snapshot: forwarded.snapshot,
            called: forwarded.called,
            warning: forwarded.warning,
            neighbours: forwarded.neighbours,
            plan,
            consumed: None,
            response: None,
            charged_at: 0,
        }
    }

    /// Takes the headers for a scheduler.
    pub fn take_neighbours(&mut self) -> Vec<UpstreamHeader> {
        std::mem::take(&mut self.neighbours)
    }

    /// Sets the rate-limit headers and starts to read the response.
    pub fn response_headers(&mut self, worker: &Worker, end: bool) {
        self.set_headers(worker);
        self.begin_to_read(worker, end);
        if end {
            self.end_response(worker);
        }
    }

    fn begin_to_read(&mut self, worker: &Worker, end: bool) {
        self.charged_at = worker.half_seconds();
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
        match self.warning.take() {
            Some(warning) => set_header(MAP, WARNING, &warning),
            // One of the upstream is about the gateway's own account.
            None if self.admission.as_ref().is_some_and(Admission::has_notices) => {
                remove_header(MAP, WARNING);
            }
            None => {}
        }
        let Some(snapshot) = self.snapshot.take() else {
            return;
        };
        let Some(styles) = worker.config.replies.styles.of(self.called) else {
            return;
        };
        styles.each(&snapshot, |name, value| match value {
            Some(value) => set_header(MAP, name, value),
            None => remove_header(MAP, name),
        });
    }

    /// Reads a piece of the response's body; `size` is in bytes.
    pub fn response_body(&mut self, worker: &Worker, size: usize, end: bool) {
        if let Some(response) = &mut self.response {
            response.body(size, end);
        }
        if end {
            return self.end_response(worker);
        }
        let now = worker.half_seconds();
        if now.saturating_sub(self.charged_at) >= CHARGES_APART {
            self.charged_at = now;
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
        self.end_response(worker);
    }

    /// Tells access logs what the response used: they are written before the stream ends.
    fn end_response(&mut self, worker: &Worker) {
        if !worker.config.log_usage || self.admission.is_none() {
            return;
        }
        if let Some(response) = self.response.take() {
            self.consumed = Some(response.used());
            self.log_usage(worker);
        }
    }

    /// Tells access logs what the response used so far as known.
    pub fn log_usage(&self, worker: &Worker) {
        let Some(admission) = &self.admission else {
            return;
        };
        if worker.config.log_usage {
            let consumed = self.consumed.as_ref();
            let line = |limiter: &mut Limiter| limiter.usage_line(&Envoy, admission, consumed);
            if let Some(line) = worker.with_limiter(line) {
                set_filter_state(LogState::Usage, line.to_string().as_bytes());
            }
        }
    }

    /// Returns the lease and replaces the reserved tokens with the tokens used.
    pub fn settle(self, worker: &Worker) {
        let Some(admission) = self.admission else {
            return;
        };
        let read = || self.response.map(ResponseReader::used);
        let consumed = self.consumed.or_else(read);
        let consumed = consumed.unwrap_or_else(|| Used::Unknown.into());
        worker.settle(admission, consumed);
    }
}
