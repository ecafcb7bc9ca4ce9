//! One request and its response: checked on the request, settled once at the end.
//!
//! Envoy ends every stream with `on_log`, `on_done` and the context's removal, in that order,
//! however the stream ended. After a trap Envoy calls none of them.

use super::body_wait::GiveUpRound;
use super::envoy::{Envoy, LogState, set_filter_state};
use super::forwarded::ForwardedRequest;
use super::hostcalls;
use super::http_reply;
use super::log::warn;
use super::overload_signal;
use super::own_path::{self, OwnPath};
use super::phase::{Flow, PausedFor, Phase, Queued};
use super::request::{StreamRequest, set_request_headers};
use super::request_body::{AwaitingBody, BodyPart};
use super::response::ResponsePlan;
use super::worker::Worker;
use crate::admin::Problem;
use crate::config::Config;
use crate::host::Clock as _;
use crate::limiter::{self, CheckResult, Limiter, LogLine, Ticket};
use crate::reply::Client;
use crate::routes::{Applies, TokenCharge};
use crate::time::Mono;
use crate::tokens::request::{self, ReadBody};
use proxy_wasm::types::BufferType;
use std::rc::Rc;

pub(super) const BODY: BufferType = BufferType::HttpRequestBody;

/// The state of one request and its response.
#[derive(Debug)]
pub struct Exchange {
    pub(super) worker: Rc<Worker>,
    id: u32,
    pub(super) phase: Phase,
    headers: RequestHeaders,
}

/// The way that the headers of a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestHeaders {
    /// The filter decides before they go on.
    Held,
    /// They went on before the body, which the host would keep back.
    Upstream,
    /// They went on in that round, without a body that did not come.
    WithoutBody(GiveUpRound),
}

impl Exchange {
    /// Creates the exchange of the stream `id`, before its first callback.
    pub const fn new(worker: Rc<Worker>, id: u32) -> Self {
        Self {
            worker,
            id,
            phase: Phase::New,
            headers: RequestHeaders::Held,
        }
    }

    fn config(&self) -> &Config {
        &self.worker.config
    }

    /// Checks the request, or waits for its body.
    pub fn request_headers(&mut self, end: bool) -> Flow {
        if !matches!(self.phase, Phase::New) {
            return self.phase.flow();
        }
        let request = match StreamRequest::read(end) {
            Ok(request) => request,
            Err(error) => {
                let fault = error.into();
                let result = self.worker.with_limiter(|limiter| limiter.fault(fault));
                return self.follow(
                    result,
                    Client::unknown(&self.config().replies),
                    ResponsePlan::default(),
                );
            }
        };
        match own_path::find(self.config(), &request, end) {
            Some(OwnPath::Admin(asked)) => return self.administer(asked),
            Some(OwnPath::Usage) => return self.report_usage(&request),
            None => {}
        }
        let applies = self.config().routes.find(&request);
        match self.config().tokens.read_body {
            Some(limit) if !end && self.awaits_body(&request, applies, limit) => {
                self.await_body(request, applies, limit)
            }
            _ => {
                let flow = self.check(&request, applies, &ReadBody::default(), false);
                self.strip(&request);
                flow
            }
        }
    }

    /// Takes a piece of the request's body; `size` is the number of bytes that Envoy has buffered.
    pub fn request_body(&mut self, size: usize, end: bool) -> Flow {
        if let RequestHeaders::WithoutBody(round) = self.headers {
            self.headers = RequestHeaders::Upstream;
            self.worker.body_wait.body_followed(round, Envoy.mono());
        }
        match self.phase.take() {
            Phase::AwaitingCall(call) => self.call_body(call, size, end),
            Phase::AwaitingBody(awaiting) => {
                if awaiting.headers_held {
                    self.worker.body_wait.body_came();
                }
                let limit = usize::try_from(awaiting.limit).unwrap_or(usize::MAX);
                match size <= limit {
                    true if !end => self.stay(Phase::AwaitingBody(awaiting)),
                    true => self.check_awaited(&awaiting, BodyPart::Whole(size)),
                    false => self.check_awaited(&awaiting, BodyPart::Start(size)),
                }
            }
            other => self.stay(other),
        }
    }

    /// Ends the request's body.
    pub fn request_trailers(&mut self) -> Flow {
        match self.phase.take() {
            Phase::AwaitingCall(call) => {
                let size = call.call.longest_body();
                self.call_body(call, size, true)
            }
            Phase::AwaitingBody(awaiting) => {
                let size = usize::try_from(awaiting.limit).unwrap_or(usize::MAX);
                self.check_awaited(&awaiting, BodyPart::Whole(size))
            }
            other => self.stay(other),
        }
    }

    /// Continues without a body that the host does not deliver.
    pub fn give_up_body(&mut self) -> Flow {
        match self.phase.take() {
            Phase::AwaitingCall(_) => self.answer(&Problem::NoBody.response()),
            Phase::AwaitingBody(awaiting) => {
                let flow = self.check_awaited(&awaiting, BodyPart::Nothing);
                if flow == Flow::Continue {
                    self.headers = RequestHeaders::WithoutBody(self.worker.body_wait.round());
                }
                flow
            }
            other => self.hold(other),
        }
    }

    /// Retries for a lease.
    pub fn retry(&mut self) -> Flow {
        self.retry_by(|limiter, ticket| limiter.retry(&Envoy, ticket))
    }

    fn retry_by(&mut self, check: impl FnOnce(&mut Limiter, Ticket) -> CheckResult) -> Flow {
        match self.phase.take() {
            Phase::Queued(queued) => {
                let ticket = *queued.ticket;
                let result = self.worker.with_limiter(|limiter| check(limiter, ticket));
                let flow = self.follow(result, queued.client, queued.plan);
                self.tell_neighbours();
                flow
            }
            other => self.hold(other),
        }
    }

    /// True when another try for a lease may succeed.
    pub fn is_due(&self, now: Mono) -> bool {
        let Phase::Queued(queued) = &self.phase else {
            return false;
        };
        let due = self
            .worker
            .with_limiter(|limiter| limiter.is_due(&queued.ticket, now));
        due == Some(true)
    }

    /// True for a forwarded request that has had a lease since `since` or before.
    pub fn is_leased_before(&self, since: Mono) -> bool {
        match &self.phase {
            Phase::Forwarded(forwarded) => forwarded.is_leased_before(since),
            _ => false,
        }
    }

    /// Returns the wait that the registry of paused requests can end.
    pub const fn paused_for(&self) -> Option<PausedFor> {
        self.phase.paused_for()
    }

    /// Sets the rate-limit headers and starts to read the response.
    pub fn response_headers(&mut self, end: bool) -> Flow {
        let mut flow = Flow::Continue;
        if self.headers == RequestHeaders::Upstream {
            flow = self.decide_at_response();
        }
        match &mut self.phase {
            Phase::Forwarded(forwarded) => forwarded.response_headers(&self.worker, end),
            // Another filter answers the request.
            Phase::AwaitingBody(_) | Phase::Queued(_) => overload_signal::hide(&self.worker),
            Phase::New | Phase::AwaitingCall(_) | Phase::Answered | Phase::Done => {}
        }
        flow
    }

    /// Decides a request whose headers are upstream and whose response comes first: it waits neither
    /// for its body nor for a lease.
    fn decide_at_response(&mut self) -> Flow {
        let was_queued = matches!(self.phase, Phase::Queued(_));
        let mut flow = match self.phase.take() {
            Phase::AwaitingBody(awaiting) => self.check_awaited(&awaiting, BodyPart::Nothing),
            other => self.stay(other),
        };
        if matches!(self.phase, Phase::Queued(_)) {
            flow = self.retry_by(|limiter, ticket| limiter.retry_at_once(&Envoy, ticket));
        }
        // The body of a queued request is here whole, so no piece of it takes it along.
        if was_queued
            && flow == Flow::Continue
            && let Err(error) = hostcalls::resume_request()
        {
            warn!("a held request could not be resumed: {error}");
        }
        flow
    }

    /// Reads a piece of the response's body; `size` is in bytes.
    pub fn response_body(&mut self, size: usize, end: bool) {
        if let Phase::Forwarded(forwarded) = &mut self.phase {
            forwarded.response_body(&self.worker, size, end);
        }
    }

    /// Reads the trailers, which end the response.
    pub fn response_trailers(&mut self) {
        if let Phase::Forwarded(forwarded) = &mut self.phase {
            forwarded.response_trailers(&self.worker);
        }
    }

    /// Ends the exchange, for every end of its stream.
    pub fn end(&mut self) {
        match self.phase.take() {
            Phase::Queued(queued) => {
                self.worker
                    .with_limiter(|limiter| limiter.leave(&queued.ticket));
            }
            Phase::Forwarded(forwarded) => forwarded.settle(&self.worker),
            Phase::New | Phase::AwaitingBody(_) | Phase::AwaitingCall(_) => {}
            Phase::Answered | Phase::Done => {}
        }
    }

    /// Restores a phase that a callback did not change.
    pub(super) fn stay(&mut self, phase: Phase) -> Flow {
        self.phase = phase;
        self.phase.flow()
    }

    /// Restores a phase that has nothing to resume.
    fn hold(&mut self, phase: Phase) -> Flow {
        self.phase = phase;
        Flow::Hold
    }

    fn report_usage(&mut self, request: &StreamRequest) -> Flow {
        let result = self
            .worker
            .with_limiter(|limiter| limiter.report_usage(&Envoy, request));
        let client = self.client(request).over_http();
        let flow = self.follow(result, client, ResponsePlan::default());
        self.strip(request);
        flow
    }

    pub(super) fn answered(&mut self) -> Flow {
        self.phase = Phase::Answered;
        Flow::Hold
    }

    /// True when a body can be read whole for its tokens, or its start has to be read for the model.
    fn awaits_body(&self, request: &StreamRequest, applies: Applies, limit: u64) -> bool {
        let Applies::As(charge) = applies else {
            return false;
        };
        let reads_model = self.config().tokens.options.dialects.models > 0;
        let reads_tokens = charge.tokens != TokenCharge::None && request::fits(request, limit);
        request::is_readable(request) && (reads_model || reads_tokens)
    }

    /// Waits for the body. Where the host keeps bodies back from paused headers, the headers go on
    /// first.
    fn await_body(&mut self, request: StreamRequest, applies: Applies, limit: u64) -> Flow {
        let headers_held = self.worker.body_wait.holds_headers();
        if !headers_held {
            self.headers = RequestHeaders::Upstream;
            request.strip(self.config());
            if self.config().scheduler.is_some() {
                let neighbours = self
                    .worker
                    .with_limiter(|limiter| limiter.identify(&Envoy, &request));
                set_request_headers(&neighbours.unwrap_or_default());
            }
            if request::fits(&request, limit) {
                request.unset_length(&self.config().tokens);
            }
        }
        self.phase = Phase::AwaitingBody(AwaitingBody {
            request,
            applies,
            limit,
            headers_held,
        });
        match headers_held {
            true => Flow::Pause(PausedFor::Body),
            false => Flow::Continue,
        }
    }

    /// Checks a request with a part of its body.
    fn check_awaited(&mut self, awaiting: &AwaitingBody, part: BodyPart) -> Flow {
        let (read, hides_usage) = awaiting.read(&self.config().tokens, part);
        let flow = self.check(&awaiting.request, awaiting.applies, &read, hides_usage);
        if awaiting.headers_held {
            self.strip(&awaiting.request);
        }
        flow
    }

    /// Checks the request and follows the limiter's result.
    fn check(
        &mut self,
        request: &StreamRequest,
        applies: Applies,
        body: &ReadBody,
        hides_usage: bool,
    ) -> Flow {
        let id = self.id;
        let result = self
            .worker
            .with_limiter(|limiter| limiter.check(&Envoy, request, body, applies, id));
        let client = match result.as_ref().map(|result| &result.next) {
            Some(limiter::Next::Queue(_) | limiter::Next::Reply(_)) => self.client(request),
            // The filter does not reply to it, so its client is not looked at.
            Some(limiter::Next::Forward(_)) | None => Client::default(),
        };
        let plan = ResponsePlan {
            hides_usage,
            may_tunnel: request.asks_for_upgrade(),
        };
        self.follow(result, client, plan)
    }

    /// Follows the limiter's result. `None`: the limiter was in use; the request goes on
    /// unrecorded.
    fn follow(&mut self, result: Option<CheckResult>, client: Client, plan: ResponsePlan) -> Flow {
        let Some(result) = result else {
            let unrecorded = ForwardedRequest::new(limiter::Forwarded::default(), plan);
            return self.stay(Phase::Forwarded(unrecorded.into()));
        };
        match result.next {
            limiter::Next::Queue(ticket) => {
                self.phase = Phase::Queued(Queued {
                    ticket,
                    client,
                    plan,
                });
                Flow::Pause(PausedFor::Lease)
            }
            limiter::Next::Forward(forwarded) => {
                set_log(result.log.as_ref());
                let forwarded = ForwardedRequest::new(forwarded, plan);
                // A response may never come here: Envoy follows a redirect, or the client hangs up.
                forwarded.log_usage(&self.worker);
                self.phase = Phase::Forwarded(forwarded.into());
                Flow::Continue
            }
            limiter::Next::Reply(answer) => {
                set_log(result.log.as_ref());
                let config = self.config();
                let reply = answer.reply(&client, &config.replies, config.windows.minute);
                http_reply::send(&reply);
                self.answered()
            }
        }
    }

    fn client(&self, request: &StreamRequest) -> Client {
        Client::of(request, &self.config().replies, http_reply::random)
    }

    /// Removes the headers that the upstream must not see, unless the filter has replied, and sets
    /// those for its neighbours.
    fn strip(&mut self, request: &StreamRequest) {
        if !matches!(self.phase, Phase::Answered) {
            request.strip(self.config());
        }
        self.tell_neighbours();
    }

    /// Sets the headers for the neighbours of a request that goes on.
    fn tell_neighbours(&mut self) {
        if self.headers == RequestHeaders::Held
            && let Phase::Forwarded(forwarded) = &mut self.phase
        {
            set_request_headers(&forwarded.take_neighbours());
        }
    }
}

fn set_log(log: Option<&LogLine>) {
    match log {
        None => {}
        Some(LogLine::Admitted(line)) => set_filter_state(LogState::Decision, line.as_bytes()),
        Some(LogLine::Own(log)) => {
            set_filter_state(LogState::Decision, log.to_string().as_bytes());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Every known end comes by `on_done`; this covers an unknown one.
        self.end();
    }
}
