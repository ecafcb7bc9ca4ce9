//! One worker of the fake host. Tests reach the core through it.

use super::fake_host::{FakeHost, FakeRequest, Metrics, World};
use super::fleet::FleetStore;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use tiergate::admin::{AdminResponse, Api};
use tiergate::config;
use tiergate::ledger::OpenError;
use tiergate::limiter::{self, FleetCall, Forwarded, Limiter, LogLine, Vm};
use tiergate::notices::Letter;
use tiergate::reply::{Client, Reply};

pub use tiergate::admin::route::Call;
pub use tiergate::limiter::{Admission, Ticket};
pub use tiergate::overload::OverloadEvent;
use tiergate::reply::headers::HeaderLine;
pub use tiergate::tokens::Used;
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::request;

/// The result of a check, with the reply that the client of the request gets.
#[derive(Debug)]
pub struct CheckResult {
    pub log: Option<LogLine>,
    pub next: Next,
}

/// The next step of a request that was checked.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Next {
    Forward(Forwarded),
    Reply(Reply),
    Queue(Box<Ticket>),
}

impl CheckResult {
    pub fn log_line(&self) -> String {
        self.log
            .as_ref()
            .map(LogLine::to_string)
            .unwrap_or_default()
    }
}

/// One config in one worker: its host, its VM and its limiter.
pub struct Worker {
    pub host: FakeHost,
    vm: Rc<Vm>,
    limiter: RefCell<Limiter>,
}

impl Worker {
    pub fn new(world: &Arc<World>, config: impl Display) -> Self {
        Self::open(world, config).unwrap()
    }

    /// A worker, unless shared data does not fit its config.
    pub fn open(world: &Arc<World>, config: impl Display) -> Result<Self, OpenError> {
        Self::open_in(Rc::default(), world, config)
    }

    /// Another config in the same VM.
    pub fn beside(&self, config: impl Display) -> Self {
        Self::open_in(Rc::clone(&self.vm), &self.host.world, config).unwrap()
    }

    fn open_in(vm: Rc<Vm>, world: &Arc<World>, config: impl Display) -> Result<Self, OpenError> {
        let host = FakeHost::new(world);
        let config = config::parse(config.to_string().as_bytes()).unwrap();
        let limiter = RefCell::new(Limiter::open(&host, config, &vm, || [7; 16])?);
        Ok(Self { host, vm, limiter })
    }

    pub fn check(&self, request: &FakeRequest) -> CheckResult {
        self.check_stream(request, 1)
    }

    /// The same, of the stream of that id.
    pub fn check_stream(&self, request: &FakeRequest, id: u32) -> CheckResult {
        let mut limiter = self.limiter.borrow_mut();
        let dialects = &limiter.config().tokens.options.dialects;
        let read = |body: &Vec<u8>| request::read(body, dialects);
        let body = request.body.as_ref().map(read).unwrap_or_default();
        let applies = limiter.config().routes.find(request);
        let result = limiter.check(&self.host, request, &body, applies, id);
        let rules = &limiter.config().replies;
        let client = Client::of(request, rules, || self.host.world.random());
        rendered(&limiter, &client, result)
    }

    /// Judges a queued request again.
    pub fn retry(&self, ticket: &Ticket) -> Next {
        let mut limiter = self.limiter.borrow_mut();
        let result = limiter.retry(&self.host, ticket.clone());
        rendered(&limiter, &Client::default(), result).next
    }

    /// Judges a queued request for the last time.
    pub fn retry_at_once(&self, ticket: &Ticket) -> Next {
        let mut limiter = self.limiter.borrow_mut();
        let result = limiter.retry_at_once(&self.host, ticket.clone());
        rendered(&limiter, &Client::default(), result).next
    }

    /// Whether a queued request must be judged again now.
    pub fn is_due(&self, ticket: &Ticket) -> bool {
        let now = self.host.world.mono();
        self.limiter.borrow_mut().is_due(ticket, now)
    }

    /// A queued request ends before it gets a lease.
    pub fn leave(&self, ticket: &Ticket) {
        self.limiter.borrow_mut().leave(ticket);
    }

    /// What a request that must be let through carries.
    pub fn admit(&self, request: &FakeRequest) -> Forwarded {
        match self.check(request).next {
            Next::Forward(pass) => pass,
            other => panic!("not let through: {other:?}"),
        }
    }

    /// The admission of a request that must be let through.
    pub fn admission(&self, request: &FakeRequest) -> Admission {
        self.admit(request).admission.unwrap()
    }

    /// The reply to a request that must be refused.
    pub fn refuse(&self, request: &FakeRequest) -> Reply {
        match self.check(request).next {
            Next::Reply(reply) => reply,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Whether a request is let through; if so, it used that and ends at once.
    pub fn serves(&self, request: &FakeRequest, used: Used) -> bool {
        let Next::Forward(pass) = self.check(request).next else {
            return false;
        };
        self.settle(pass.admission.unwrap(), used);
        true
    }

    /// The rate-limit headers of a response.
    pub fn told(&self, pass: &Forwarded) -> Vec<HeaderLine> {
        let limiter = self.limiter.borrow();
        let styles = limiter.config().replies.styles.of(pass.called);
        let lines = |snapshot| Some(styles?.lines(snapshot));
        pass.snapshot.as_ref().and_then(lines).unwrap_or_default()
    }

    /// The request ends, and used that.
    pub fn settle(&self, admission: Admission, used: impl Into<Consumed>) {
        let mut limiter = self.limiter.borrow_mut();
        limiter.settle(&self.host, admission, used);
    }

    /// The tick that comes 100 ms after a settlement that waits.
    pub fn write_joined(&self) {
        self.limiter.borrow_mut().write_joined(&self.host);
    }

    /// What access logs show of a request's usage, before or after its response was read.
    pub fn usage_line(&self, admission: &Admission, consumed: Option<Consumed>) -> String {
        let limiter = self.limiter.borrow();
        let line = limiter.usage_line(&self.host, admission, consumed.as_ref());
        line.to_string()
    }

    /// Makes the VM a part of the fleet, with this nonce.
    pub fn joins_fleet(self, nonce: u64) -> Self {
        self.limiter
            .borrow_mut()
            .join_fleet(&self.host, nonce)
            .unwrap();
        self
    }

    /// Takes the next call to the fleet's service; it must be ended.
    pub fn fleet_call(&self) -> Option<FleetCall> {
        let now = self.host.world.mono();
        let mut limiter = self.limiter.borrow_mut();
        limiter.take_fleet_call(&self.host, now)
    }

    /// Ends a call with the body of its answer; without one, it failed.
    pub fn end_fleet_call(&self, call: FleetCall, answer: Option<&[u8]>) -> Option<String> {
        let mut limiter = self.limiter.borrow_mut();
        limiter.end_fleet_call(&self.host, call, answer)
    }

    /// True when the next tick must come soon.
    pub fn has_asks(&self) -> bool {
        self.limiter.borrow().has_asks()
    }

    /// The requests that wait have looked at the answers.
    pub fn end_answers(&self) {
        self.limiter.borrow().end_answers();
    }

    /// Says to the store what is to be said, and takes its answers; returns the number of calls.
    pub fn talks_to(&self, store: &mut FleetStore) -> usize {
        let mut calls = 0;
        while let Some(call) = self.fleet_call() {
            let request = serde_json::from_slice(&call.body).unwrap();
            let answer = store.answer(&request, self.host.world.wall_us() / 1_000);
            let problem = self.end_fleet_call(call, Some(&serde_json::to_vec(&answer).unwrap()));
            assert_eq!(problem, None, "{answer:?}");
            calls += 1;
            assert!(calls < 100, "an edge that does not stop talking");
        }
        calls
    }

    /// Takes a notice that is due; it must be ended.
    pub fn take_letter(&self) -> Option<Letter> {
        let now = self.host.world.mono();
        self.limiter.borrow().take_letter(now)
    }

    /// Ends the way of a notice.
    pub fn end_letter(&self, letter: Letter, delivered: bool) {
        let now = self.host.world.mono();
        self.limiter.borrow().end_letter(letter, delivered, now);
    }

    /// What the receiver gets now, with all calls answered.
    pub fn notices(&self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(letter) = self.take_letter() {
            all.push(serde_json::from_slice(&letter.body).unwrap());
            self.end_letter(letter, true);
        }
        all
    }

    /// A stream goes on, and used that so far.
    pub fn charge(&self, admission: &mut Admission, used: Used) {
        let mut limiter = self.limiter.borrow_mut();
        limiter.charge_stream(&self.host, admission, &used.into());
    }

    /// The request ends, and its response said nothing of usage.
    pub fn release(&self, admission: Admission) {
        self.settle(admission, Used::Unknown);
    }

    /// What the admin API answers.
    pub fn administer(&self, call: &Call, body: &str) -> AdminResponse {
        let mut limiter = self.limiter.borrow_mut();
        limiter.in_force(&self.host, |limiter| {
            Api::new(limiter, &self.host).call(call, body.as_bytes())
        })
    }

    /// Status and JSON of what the admin API answers.
    pub fn call(&self, call: &Call, body: &str) -> (u32, Value) {
        let answer = self.administer(call, body);
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    /// Writes an account into the directory.
    pub fn put(&self, account: &str, body: &str) -> (u32, Value) {
        self.call(&Call::Put(account.as_bytes().to_vec()), body)
    }

    /// Says that the directory is complete.
    pub fn ready(&self) {
        let (status, said) = self.call(&Call::Ready, "");
        assert_eq!((status, &said["ready"]), (200, &true.into()));
    }

    /// What a client reads at `usage_path`.
    pub fn usage(&self, request: &FakeRequest) -> Value {
        let reply = self.usage_reply(request);
        assert_eq!(reply.status, 200, "{reply:?}");
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// The reply at `usage_path`.
    pub fn usage_reply(&self, request: &FakeRequest) -> Reply {
        let mut limiter = self.limiter.borrow_mut();
        let result = limiter.report_usage(&self.host, request);
        let client = Client::of(request, &limiter.config().replies, || 0);
        match rendered(&limiter, &client, result).next {
            Next::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// The upstream answered with that status, and may have reported its load.
    pub fn observe(&self, status: &str, load: Option<&str>) {
        let mut limiter = self.limiter.borrow_mut();
        limiter
            .overload_mut()
            .observe(Some(status.as_bytes()), load.map(str::as_bytes));
    }

    /// What there is to log of lowered limits.
    pub fn news(&self) -> Vec<OverloadEvent> {
        self.limiter.borrow_mut().overload_mut().drain_events()
    }

    /// The lines to log since the last call.
    pub fn log_lines(&self) -> Vec<String> {
        self.limiter.borrow_mut().drain_events().0
    }

    /// The digest to log, when this worker has brought its config into force.
    pub fn came_into_force(&self) -> Option<String> {
        let news = self.log_lines();
        let digest = |line: &String| Some(line.strip_prefix("the config in force is ")?.to_owned());
        news.iter().find_map(digest)
    }

    /// The config goes, as Envoy ends a root context; what is left of metrics.
    pub fn close(&self) -> Metrics {
        self.closed().0
    }

    /// The same, with the line that it logs.
    pub fn closed(&self) -> (Metrics, Option<String>) {
        let mut metrics = Metrics::default();
        let fault = self.limiter.borrow_mut().close(&self.host, &mut metrics);
        (metrics, fault.map(|fault| fault.to_string()))
    }

    /// The line that a tick logs.
    pub fn tick_log(&self) -> Option<String> {
        let mut metrics = Metrics::default();
        let fault = self.limiter.borrow_mut().tick(&self.host, &mut metrics);
        fault.map(|fault| fault.to_string())
    }

    pub fn tick(&self) -> Metrics {
        let mut metrics = Metrics::default();
        self.limiter.borrow_mut().tick(&self.host, &mut metrics);
        metrics
    }
}

/// A result of the limiter, with the reply that a client gets of its answer.
fn rendered(limiter: &Limiter, client: &Client, result: limiter::CheckResult) -> CheckResult {
    let config = limiter.config();
    let next = match result.next {
        limiter::Next::Forward(forwarded) => Next::Forward(forwarded),
        limiter::Next::Queue(ticket) => Next::Queue(ticket),
        limiter::Next::Reply(answer) => {
            Next::Reply(answer.reply(client, &config.replies, config.windows.minute))
        }
    };
    CheckResult {
        log: result.log,
        next,
    }
}

/// A header of a reply.
pub fn line<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let found = reply.headers.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| value.as_str())
}

/// `retry-after-ms` of a reply.
pub fn retry_after_ms(reply: &Reply) -> u64 {
    line(reply, "retry-after-ms").unwrap().parse().unwrap()
}

/// `error` of a reply's body.
pub fn error(reply: &Reply) -> Value {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["error"].clone()
}
