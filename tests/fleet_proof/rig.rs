//! What a scenario runs on: Redis, services, edges, the links between them, and clients.

use crate::bootstrap::Setup;
use crate::client::{self, Call, Connection, Reply};
use crate::config::Config;
use crate::ledger::{Entry, Ledger};
use crate::proxy::TcpProxy;
use crate::redis_server::RedisServer;
use crate::service::Service;
use crate::stack::Stack;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The number of edges.
pub const EDGES: usize = 3;
/// The account of most scenarios.
pub const ACME: &str = "acme";
/// The requests that one edge's clients have in flight at most.
const MOST_IN_FLIGHT: usize = 200;
/// The time after which a client gives up.
const GIVES_UP: Duration = Duration::from_secs(25);

/// What a scenario needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Requests in a window.
    pub limit: usize,
    /// The window, in seconds.
    pub window: u64,
    pub on_failure: &'static str,
    pub after_loss: &'static str,
    pub redis: &'static [&'static str],
    pub services: usize,
    /// More fields of the tier, in place of the limit of requests.
    pub tier: Option<Value>,
    /// The accounts that an edge is laid out for.
    pub accounts: u32,
}

impl Plan {
    /// A limit of requests in a window of so many seconds; a cut-off edge has its share.
    pub const fn of(limit: usize, window: u64) -> Self {
        Self {
            limit,
            window,
            on_failure: "share",
            after_loss: "close",
            redis: &[],
            services: 2,
            tier: None,
            accounts: 65_536,
        }
    }

    pub const fn on_failure(mut self, rule: &'static str) -> Self {
        self.on_failure = rule;
        self
    }

    pub const fn after_loss(mut self, rule: &'static str) -> Self {
        self.after_loss = rule;
        self
    }

    pub const fn redis(mut self, args: &'static [&'static str]) -> Self {
        self.redis = args;
        self
    }

    pub const fn accounts(mut self, number: u32) -> Self {
        self.accounts = number;
        self
    }

    pub fn tier(mut self, fields: Value) -> Self {
        self.tier = Some(fields);
        self
    }

    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window)
    }

    fn config(&self, timeout: Duration) -> Config {
        let tier = Config::tier("t");
        let tier = match &self.tier {
            Some(fields) => tier.with_tier(fields.clone()),
            None => tier.rpm(self.limit as u64),
        };
        tier.with(json!({
            "windows": {"minute": format!("{}s", self.window)},
            "tokens": {"completion": 0, "prompt": 0, "bytes_per_token": 1_000_000},
            "capacity": {"accounts": self.accounts},
            "fleet": {"cluster": "fleet", "authority": "fleet", "edges": EDGES,
                "on_failure": self.on_failure, "after_loss": self.after_loss,
                "timeout": format!("{}ms", timeout.as_millis())}
        }))
    }
}

/// The processes of one scenario.
pub struct Rig {
    pub plan: Plan,
    pub edges: Vec<Option<Stack>>,
    /// Between each edge and the services.
    pub links: Vec<TcpProxy>,
    pub services: Vec<Service>,
    /// Between the services and Redis.
    pub store_link: TcpProxy,
    pub redis: RedisServer,
    pub ledger: Arc<Ledger>,
    pub runtime: Runtime,
    pub began: Instant,
    pub loses_for: Duration,
    timeout: Duration,
    doors: Arc<Mutex<Vec<SocketAddr>>>,
    /// Asks and failures of edges that have ended.
    past: [u64; 2],
}

impl Rig {
    pub fn start(plan: Plan, options: &crate::options::Options) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let redis = RedisServer::start_with(plan.redis);
        let to = SocketAddr::from(([127, 0, 0, 1], redis.port));
        let store_link = TcpProxy::start(runtime.handle(), vec![to]);
        let links = (0..EDGES).map(|_| TcpProxy::start(runtime.handle(), vec![]));
        let links = links.collect();
        let mut rig = Self {
            edges: (0..EDGES).map(|_| None).collect(),
            links,
            services: Vec::new(),
            store_link,
            redis,
            ledger: Arc::default(),
            runtime,
            began: Instant::now(),
            loses_for: options.loses_for,
            timeout: options.timeout,
            doors: Arc::new(Mutex::new(vec![
                SocketAddr::from(([127, 0, 0, 1], 1));
                EDGES
            ])),
            past: [0; 2],
            plan,
        };
        rig.start_services();
        for edge in 0..EDGES {
            rig.start_edge(edge);
        }
        rig.began = Instant::now();
        rig
    }

    /// Starts the services, and leads the edges to them.
    pub fn start_services(&mut self) {
        let redis = format!("redis://{}", self.store_link.address);
        // The service gives up before the edge does.
        let within = format!("{}ms", self.timeout.as_millis() * 3 / 5);
        let args = ["--redis-timeout", within.as_str()];
        let start = |_| Service::start_with(&redis, &args).ready();
        self.services = (0..self.plan.services).map(start).collect();
        self.lead_to_services();
    }

    /// Leads the edges to the services that there are.
    pub fn lead_to_services(&self) {
        let address = |service: &Service| service.url["http://".len()..].parse().unwrap();
        let to: Vec<SocketAddr> = self.services.iter().map(address).collect();
        for link in &self.links {
            link.lead_to(to.clone());
        }
    }

    pub fn start_edge(&mut self, edge: usize) {
        let config = self.plan.config(self.timeout);
        let setup = Setup::new(config).cluster("fleet", self.links[edge].address);
        let stack = Stack::with(&setup);
        self.doors.lock().unwrap()[edge] = stack.proxy;
        self.edges[edge] = Some(stack);
    }

    pub fn stop_edge(&mut self, edge: usize) {
        let counts = self.counts_of(edge);
        self.past = [self.past[0] + counts[0], self.past[1] + counts[1]];
        self.edges[edge] = None;
    }

    /// The sum of a counter over the edges that run.
    pub fn stat(&self, words: &[&str]) -> u64 {
        self.edges
            .iter()
            .flatten()
            .map(|edge| edge.stat(words))
            .sum()
    }

    fn counts_of(&self, edge: usize) -> [u64; 2] {
        let stack = self.edges[edge].as_ref();
        let names = ["tiergate_fleet_asks", "tiergate_fleet_failures"];
        names.map(|name| stack.map_or(0, |stack| stack.stat(&[name])))
    }

    /// The requests that waited for an answer of the service, and the messages without one.
    pub fn asks_and_failures(&self) -> [u64; 2] {
        let all = (0..EDGES).map(|edge| self.counts_of(edge));
        all.fold(self.past, |sum, one| [sum[0] + one[0], sum[1] + one[1]])
    }

    /// Sends requests of an account to the edges, so many a second to each, until it ends.
    pub fn traffic(&self, per_second: [f64; EDGES], call: Call) -> Traffic {
        let goes = Arc::new(AtomicBool::new(true));
        let rates = per_second
            .iter()
            .enumerate()
            .filter(|(_, rate)| **rate > 0.0);
        let senders = rates.map(|(edge, rate)| {
            let client = self.client(edge);
            let period = Duration::from_secs_f64(1.0 / rate);
            let sends = send_often(client, call.clone(), period, Arc::clone(&goes));
            self.runtime.spawn(sends)
        });
        Traffic {
            senders: senders.collect(),
            goes,
        }
    }

    /// So many times an account's limit, evenly over the edges.
    pub fn offer(&self, times: f64) -> Traffic {
        let rate = self.plan.limit as f64 * times / self.plan.window as f64 / EDGES as f64;
        self.traffic([rate; EDGES], Call::of(ACME, "t"))
    }

    pub fn client(&self, edge: usize) -> EdgeClient {
        EdgeClient {
            edge,
            account: ACME,
            doors: Arc::clone(&self.doors),
            ledger: Arc::clone(&self.ledger),
            connection: client::connection(false),
        }
    }

    pub fn signal(&self, edge: usize, signal: i32) {
        let pid = self.edges[edge].as_ref().unwrap().pid();
        crate::service::kill(pid.try_into().unwrap(), signal);
    }
}

/// Sleeps for so many windows of a plan.
pub fn windows(plan: &Plan, number: f64) {
    std::thread::sleep(plan.window().mul_f64(number));
}

pub fn seconds(number: f64) {
    std::thread::sleep(Duration::from_secs_f64(number));
}

/// Clients of one edge.
#[derive(Clone)]
pub struct EdgeClient {
    pub edge: usize,
    pub account: &'static str,
    doors: Arc<Mutex<Vec<SocketAddr>>>,
    ledger: Arc<Ledger>,
    connection: Connection,
}

impl EdgeClient {
    /// Sends a request, and writes it into the ledger; returns the answer's kind.
    pub async fn send(&self, call: Call) -> String {
        let to = self.doors.lock().unwrap()[self.edge];
        let sent = Instant::now();
        let reply = tokio::time::timeout(GIVES_UP, call.send_on(&self.connection, to)).await;
        let answered = Instant::now();
        let answer = match reply {
            Ok(Ok(reply)) if reply.status == 429 => refusal(&reply),
            Ok(Ok(reply)) => reply.status.to_string(),
            Ok(Err(_)) => "broken".to_owned(),
            Err(_) => "silent".to_owned(),
        };
        self.ledger.add(Entry {
            account: self.account,
            edge: self.edge,
            sent,
            answered,
            answer: answer.clone(),
        });
        answer
    }
}

/// A refusal for the fleet's failure, or by the code of the limit.
fn refusal(reply: &Reply) -> String {
    match reply.json()["error"]["type"] == "engine_overloaded_error" {
        true => "429 overloaded".to_owned(),
        false => format!("429 {}", reply.code()),
    }
}

/// Requests that are being sent.
pub struct Traffic {
    senders: Vec<JoinHandle<()>>,
    goes: Arc<AtomicBool>,
}

impl Traffic {
    /// Ends the requests and waits for the last answers.
    pub fn end(self, rig: &Rig) {
        self.goes.store(false, Ordering::Relaxed);
        for sender in self.senders {
            rig.runtime.block_on(sender).unwrap();
        }
    }
}

async fn send_often(client: EdgeClient, call: Call, period: Duration, goes: Arc<AtomicBool>) {
    let places = Arc::new(tokio::sync::Semaphore::new(MOST_IN_FLIGHT));
    let mut ticks = tokio::time::interval(period);
    while goes.load(Ordering::Relaxed) {
        ticks.tick().await;
        // An edge that stands still is not sent more than fits.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (client, call) = (client.clone(), call.clone());
        tokio::spawn(async move {
            client.send(call).await;
            drop(place);
        });
    }
    let all = u32::try_from(MOST_IN_FLIGHT).unwrap();
    let _all_ended = places.acquire_many(all).await;
}
