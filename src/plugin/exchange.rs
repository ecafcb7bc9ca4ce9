//! One request and its response: judged on the request, settled exactly once, at the end.
//!
//! Envoy ends every stream with `on_log`, `on_done` and the context's removal, in that order,
//! however it ended; after a trap it calls none of them. What is held is taken out before it is
//! settled, so no order of ends can settle twice.

use super::envoy::{Envoy, body_bytes, remove_header, set_filter_state};
use super::hostcalls;
use super::http_reply::{ReplyForm, send, send_admin};
use super::log::warn;
use super::overload_signal;
use super::own_path::{self, LONGEST_BODY, OwnPath};
use super::paused::{self, PausedRequest};
use super::request::StreamRequest;
use super::response::ResponseReader;
use super::worker::Worker;
use crate::admin::route::Call;
use crate::admin::{Api, Problem};
use crate::config::Config;
use crate::limiter::{Admission, CheckResult, Next, Ticket};
use crate::reply::headers::HeaderLine;
use crate::time::Mono;
use crate::tokens::Used;
use crate::tokens::request;
use crate::tokens::request::Asked;
use proxy_wasm::types::{Action, BufferType, MapType};
use std::cell::RefCell;
use std::rc::Rc;

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    worker: Rc<Worker>,
    id: u32,
    /// The request, while its body is awaited before it is judged.
    awaiting: Option<Awaiting>,
    /// The request, while it is held for a lease.
    waiting: Option<Waiting>,
    /// The admin call, while its body is awaited.
    call: Option<Call>,
    /// The reason of the pause, until the root registers the request.
    unattended: Option<Hold>,
    admission: Option<Admission>,
    headers: Vec<HeaderLine>,
    /// Whether the usage event that was asked for in the client's name is to be hidden.
    hides_usage: bool,
    response: Option<ResponseReader>,
}

#[derive(Debug)]
struct Awaiting {
    request: StreamRequest,
    limit: u64,
    /// Whether Envoy holds the headers; else they have gone on and can't be changed.
    headers_paused: bool,
}

/// What a request is held for.
#[derive(Clone, Copy, Debug)]
enum Hold {
    Body,
    Lease,
}

#[derive(Debug)]
struct Waiting {
    ticket: Box<Ticket>,
    form: ReplyForm,
}

impl Exchange {
    /// The exchange of the stream `id`, on which nothing has happened.
    pub fn new(worker: Rc<Worker>, id: u32) -> Self {
        Self {
            worker,
            id,
            awaiting: None,
            waiting: None,
            call: None,
            unattended: None,
            admission: None,
            headers: Vec::new(),
            hides_usage: false,
            response: None,
        }
    }

    fn config(&self) -> &Config {
        &self.worker.config
    }

    /// Judges the request, or waits for its body.
    pub fn request_headers(&mut self, end: bool) -> Action {
        let request = match StreamRequest::read() {
            Ok(request) => request,
            Err(error) => {
                let result = self
                    .worker
                    .with_limiter(|limiter| limiter.fault(error.into()));
                return result.map_or(Action::Continue, |v| self.follow(v, ReplyForm::Http));
            }
        };
        match own_path::find(self.config(), &request, end) {
            Some(OwnPath::Admin(asked)) => return self.administer(asked),
            Some(OwnPath::Usage) => return self.report_usage(&request),
            None => {}
        }
        if let Some(limit) = self.config().tokens.read_body
            && !end
            && request::is_readable(&request, limit)
        {
            let headers_paused = self.worker.body_wait.holds_headers();
            if !headers_paused {
                request.strip(self.config());
                request.unset_length(&self.config().tokens);
            }
            self.awaiting = Some(Awaiting {
                request,
                limit,
                headers_paused,
            });
            if headers_paused {
                self.unattended = Some(Hold::Body);
                return Action::Pause;
            }
            return Action::Continue;
        }
        self.check(&request, None, true)
    }

    fn report_usage(&mut self, request: &StreamRequest) -> Action {
        let result = self
            .worker
            .with_limiter(|limiter| limiter.report_usage(&Envoy, request));
        let action = result.map_or(Action::Continue, |v| self.follow(v, ReplyForm::Http));
        if action == Action::Continue {
            request.strip(self.config());
        }
        action
    }

    /// Answers an admin call, or waits for its body.
    fn administer(&mut self, asked: Result<Call, Problem>) -> Action {
        match asked {
            Ok(call) if call.has_body() => {
                self.call = Some(call);
                self.unattended = Some(Hold::Body);
            }
            Ok(call) => self.answer_call(&call, &[]),
            Err(problem) => send_admin(&problem.response()),
        }
        Action::Pause
    }

    fn answer_call(&self, call: &Call, body: &[u8]) {
        let response = self
            .worker
            .with_limiter(|limiter| Api::new(limiter, &Envoy).call(call, body));
        if let Some(response) = response {
            send_admin(&response);
        }
    }

    /// Takes a piece of an admin call's body.
    fn call_body(&mut self, size: usize, end: bool) -> Action {
        self.worker.body_wait.body_came();
        let long = size > LONGEST_BODY;
        if (end || long)
            && let Some(call) = self.call.take()
        {
            match long {
                true => send_admin(&Problem::TooLong(LONGEST_BODY).response()),
                false => {
                    let body = body_bytes(BufferType::HttpRequestBody, 0, size);
                    self.answer_call(&call, &body);
                }
            }
        }
        Action::Pause
    }

    /// Has the root look after the exchange while its request is paused.
    pub fn look_after(exchange: &Rc<RefCell<Self>>) {
        let paused: paused::Shared = Rc::clone(exchange) as paused::Shared;
        let Ok(mut this) = exchange.try_borrow_mut() else {
            return;
        };
        match this.unattended.take() {
            None => {}
            Some(Hold::Body) => this.worker.body_wait.add(this.id, &paused),
            Some(Hold::Lease) => this.worker.waiting_line.add(this.id, &paused),
        }
    }

    /// Takes a piece of the request's body; `size` is all that Envoy holds of it.
    pub fn request_body(&mut self, size: usize, end: bool) -> Action {
        if self.call.is_some() {
            return self.call_body(size, end);
        }
        let Some(awaiting) = &self.awaiting else {
            return self.goes_on();
        };
        if awaiting.headers_paused {
            self.worker.body_wait.body_came();
        }
        let fits = u64::try_from(size).is_ok_and(|size| size <= awaiting.limit);
        if fits && !end {
            return Action::Pause;
        }
        self.check_awaited(if fits { size } else { 0 })
    }

    /// Trailers end the body.
    pub fn request_trailers(&mut self) -> Action {
        if self.call.is_some() {
            return self.call_body(LONGEST_BODY, true);
        }
        let limit = self.awaiting.as_ref().map_or(0, |a| a.limit);
        self.check_awaited(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Judges a request that waited, by at most `size` bytes of its body; 0: without it.
    fn check_awaited(&mut self, size: usize) -> Action {
        let Some(awaiting) = self.awaiting.take() else {
            return self.goes_on();
        };
        let body = match size {
            0 => Vec::new(),
            _ => body_bytes(BufferType::HttpRequestBody, 0, size),
        };
        let asked = request::read(&body);
        if self.config().tokens.include_usage
            && let Some(splice) = asked.as_ref().and_then(|asked| asked.splice.as_ref())
        {
            if awaiting.headers_paused {
                awaiting.request.unset_length(&self.config().tokens);
            }
            let body = splice.apply(&body);
            match hostcalls::set_buffer(BufferType::HttpRequestBody, size, &body) {
                Ok(()) => self.hides_usage = true,
                Err(error) => warn!("request body: {error}"),
            }
        }
        self.check(&awaiting.request, asked.as_ref(), awaiting.headers_paused)
    }

    /// What becomes of further parts of a request.
    fn goes_on(&self) -> Action {
        if self.is_waiting() {
            Action::Pause
        } else {
            Action::Continue
        }
    }

    fn check(&mut self, request: &StreamRequest, asked: Option<&Asked>, strip: bool) -> Action {
        let id = self.id;
        let result = self
            .worker
            .with_limiter(|limiter| limiter.check(&Envoy, request, asked, id));
        let Some(result) = result else {
            return Action::Continue;
        };
        let answered = matches!(result.next, Next::Reply(_));
        let action = self.follow(result, request.reply_form());
        if strip && !answered {
            request.strip(self.config());
        }
        action
    }

    fn follow(&mut self, result: CheckResult, form: ReplyForm) -> Action {
        let log = result.log_line();
        match result.next {
            Next::Queue(ticket) => {
                self.waiting = Some(Waiting { ticket, form });
                self.unattended = Some(Hold::Lease);
                Action::Pause
            }
            Next::Forward(forwarded) => {
                set_filter_state(log.as_bytes());
                self.admission = forwarded.admission;
                self.headers = forwarded.headers;
                Action::Continue
            }
            Next::Reply(reply) => {
                set_filter_state(log.as_bytes());
                send(&reply, form);
                Action::Pause
            }
        }
    }

    /// Sets the rate-limit headers, and looks at what the response says.
    pub fn response_headers(&mut self, end: bool) {
        let map = MapType::HttpResponseHeaders;
        for (name, value) in std::mem::take(&mut self.headers) {
            match value {
                Some(value) => {
                    if let Err(error) = hostcalls::replace_header(map, name, &value) {
                        warn!("response header {name}: {error}");
                    }
                }
                None => remove_header(map, name),
            }
        }
        let reads_usage = self.admission.is_some() || self.hides_usage;
        let answers = reads_usage && ResponseReader::wants(&self.config().tokens, self.hides_usage);
        if !answers && self.config().overload.is_none() {
            return;
        }
        let Ok(headers) = hostcalls::header_map(map) else {
            return;
        };
        overload_signal::note(&self.worker, &headers, self.admission.is_some());
        if answers {
            let tokens = &self.worker.config.tokens;
            self.response = Some(ResponseReader::begin(
                tokens,
                &headers,
                end,
                self.hides_usage,
            ));
        }
    }

    /// Takes a piece of the response's body as it passes.
    pub fn response_body(&mut self, size: usize, end: bool) {
        if let Some(response) = &mut self.response {
            response.body(size, end);
        }
    }

    /// Trailers end the response.
    pub fn response_trailers(&mut self) {
        if let Some(response) = &mut self.response {
            response.trailers(&self.worker.config.tokens.options);
        }
    }

    /// The exchange is over, however it ended.
    pub fn ends(&mut self) {
        self.awaiting = None;
        if let Some(waiting) = self.waiting.take() {
            self.worker
                .with_limiter(|limiter| limiter.leave(&waiting.ticket));
        }
        let Some(admission) = self.admission.take() else {
            return;
        };
        let used = self
            .response
            .take()
            .map_or(Used::Unknown, ResponseReader::used);
        self.worker
            .with_limiter(|limiter| limiter.settle(&Envoy, admission, used));
    }
}

impl PausedRequest for Exchange {
    fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    fn is_due(&self, now: Mono) -> bool {
        let Some(waiting) = &self.waiting else {
            return false;
        };
        let due = self
            .worker
            .with_limiter(|limiter| limiter.is_due(&waiting.ticket, now));
        due == Some(true)
    }

    fn try_again(&mut self) -> bool {
        let Some(Waiting { ticket, form }) = self.waiting.take() else {
            return false;
        };
        let result = self
            .worker
            .with_limiter(|limiter| limiter.retry(&Envoy, *ticket));
        let goes_on = result.is_some_and(|v| self.follow(v, form) == Action::Continue);
        // Whoever tries again looks after it already.
        self.unattended = None;
        goes_on
    }

    fn give_up_waiting(&mut self) -> bool {
        if self.call.take().is_some() {
            send_admin(&Problem::NoBody.response());
            return false;
        }
        let goes_on = self.awaiting.is_some() && self.check_awaited(0) == Action::Continue;
        // Whoever lets it go looks after it, should it be held for a lease now.
        self.unattended = None;
        goes_on
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Every end that is known comes by on_done; this is for one that is not.
        self.ends();
    }
}
