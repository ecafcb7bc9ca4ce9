//! `tiergate fleet` as a process, and requests of edges to it.

use crate::ports::free_port;
use crate::redis_server::RedisServer;
use serde_json::{Value, json};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tiergate::fleet::hex::{AccountId, EdgeId, Incarnation};
use tiergate::fleet::message::{ItemAnswer, MeterAsk, StepAnswer, StepItem, StepRequest};

pub struct Service {
    pub url: String,
    child: Child,
    pub token: Option<String>,
}

impl Service {
    pub fn start(redis: &RedisServer) -> Self {
        Self::start_with(&redis.url(), &[])
    }

    /// Starts the service and waits until it listens.
    pub fn start_with(redis: &str, args: &[&str]) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_tiergate"))
            .args(["fleet", "--redis", redis, "--listen", &listen])
            // The machine of a test may be slow; what a test says of time, it says itself.
            .args(match args.contains(&"--redis-timeout") {
                true => &[][..],
                false => &["--redis-timeout", "500ms"],
            })
            .args(args)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self {
            url: format!("http://{listen}"),
            child,
            token: None,
        };
        wait("the service listens", || service.get("/healthz").is_some());
        service
    }

    pub fn ready(self) -> Self {
        wait("the service is ready", || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
        self
    }

    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = agent().get(format!("{}{path}", self.url)).call().ok()?;
        Some((
            answer.status().as_u16(),
            answer.body_mut().read_to_string().unwrap(),
        ))
    }

    pub fn problems(&self) -> String {
        let (_, text) = self.get("/readyz").unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        body["problems"].to_string()
    }

    pub fn post(&self, body: impl ureq::AsSendBody) -> (u16, Value) {
        let mut post = agent().post(format!("{}/v1/step", self.url));
        if let Some(token) = &self.token {
            post = post.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = post.send(body).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(json!(text)),
        )
    }

    /// Asks for a page of the feed, as an edge: the status, the entity tag and the page.
    pub fn feed(&self, path: &str, tag: Option<&str>) -> (u16, Option<String>, Value) {
        let mut get = agent().get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            get = get.header("authorization", format!("Bearer {token}"));
        }
        if let Some(tag) = tag {
            get = get.header("if-none-match", tag);
        }
        let mut answer = get.call().unwrap();
        let etag = answer.headers().get("etag");
        let etag = etag.map(|tag| tag.to_str().unwrap().to_owned());
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(text.len() <= 1 << 20, "a page of {} bytes", text.len());
        let page = serde_json::from_str(&text).unwrap_or_default();
        (answer.status().as_u16(), etag, page)
    }

    /// Makes an operator's call with a token.
    pub fn operate(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> (u16, Value) {
        let call = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {token}"));
        let mut answer = match body {
            Some(body) => agent().run(call.body(body.to_owned()).unwrap()),
            None => agent().run(call.body(()).unwrap()),
        }
        .unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(json!(text)),
        )
    }

    /// Posts a request that must be answered.
    pub fn step(&self, request: &StepRequest) -> StepAnswer {
        let (status, body) = self.post(serde_json::to_string(request).unwrap());
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).unwrap()
    }

    /// Asks for some of the account's 10 requests in a minute.
    pub fn ask(&self, edge: u64, account: u8, n: u32, need: u64) -> ItemAnswer {
        self.step(&request(edge, vec![item(account, n, need)]))
            .items
            .remove(0)
    }

    pub fn signal(&self, signal: i32) {
        kill(self.child.id().try_into().unwrap(), signal);
    }

    pub fn wait(&mut self) -> i32 {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "the service does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: a plain system call, on a process that the test started and has not waited for.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10)));
    config.http_status_as_error(false).build().into()
}

/// Waits until something is so.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn request(edge: u64, items: Vec<StepItem>) -> StepRequest {
    StepRequest {
        v: 1,
        ns: "tiergate".into(),
        edge: EdgeId::from(edge),
        orders: 0,
        name: format!("gw-{edge}"),
        meters: vec!["requests/60000/-".into(), "tokens/day@+08:00/-".into()],
        store: String::new(),
        after_loss: None,
        items,
    }
}

pub fn item(account: u8, n: u32, need: u64) -> StepItem {
    StepItem {
        account: AccountId::parse(&format!("{account:032x}")).unwrap(),
        incarnation: Incarnation::from(1),
        seq: n,
        generation: 0,
        meters: vec![MeterAsk {
            limit: 10,
            need,
            ..MeterAsk::default()
        }],
        leases: vec![],
    }
}

pub fn check(url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiergate"));
    command
        .args(["fleet", "check", "--url", url])
        .args(args)
        .output()
        .unwrap()
}
