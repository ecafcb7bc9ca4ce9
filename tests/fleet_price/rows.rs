//! The rows: each an Envoy with one worker, and what it asks.

use crate::bootstrap::{Setup, wasm_filter};
use crate::ports::free_port;
use crate::redis_server::RedisServer;
use crate::stack::Stack;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A limit that nothing here reaches.
const PLENTY: u64 = 1_000_000_000;

/// One row of the table.
pub struct Row {
    pub name: &'static str,
    /// The accounts of its requests.
    pub accounts: u32,
    /// The part of its requests that ask the fleet's service.
    pub asks: RangeInclusive<f64>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    NoFilter,
    /// tiergate with that limit in a second, and with a fleet.
    Tiergate {
        limit: u64,
        in_fleet: bool,
    },
    RateLimit,
}

/// A row that runs.
pub struct Running {
    pub stack: Stack,
    /// The processes of the service and of its store.
    pub services: Vec<u32>,
    _redis: Option<RedisServer>,
    _service: Option<Service>,
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn all() -> Vec<Row> {
    let row = |name, accounts, asks, kind| Row {
        name,
        accounts,
        asks,
        kind,
    };
    let tiergate = |limit, in_fleet| Kind::Tiergate { limit, in_fleet };
    vec![
        row("no filter", 20, 0.0..=0.0, Kind::NoFilter),
        row("tiergate, no fleet", 20, 0.0..=0.0, tiergate(PLENTY, false)),
        row(
            "tiergate, allowance in hand",
            20,
            0.0..=0.02,
            tiergate(PLENTY, true),
        ),
        // Of so small a limit nothing is granted ahead, and no account reaches it.
        row(
            "tiergate, each request asks",
            20_000,
            0.95..=1.05,
            tiergate(3, true),
        ),
        row(
            "Envoy's ratelimit with limitador",
            20,
            0.0..=0.0,
            Kind::RateLimit,
        ),
    ]
}

impl Row {
    /// True for a row whose requests all wait for a service.
    pub fn asks_each_time(&self) -> bool {
        matches!(self.kind, Kind::RateLimit) || *self.asks.start() > 0.5
    }

    pub fn start(&self) -> Running {
        let needs_store = !matches!(
            self.kind,
            Kind::NoFilter
                | Kind::Tiergate {
                    in_fleet: false,
                    ..
                }
        );
        let redis = needs_store.then(RedisServer::start);
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let service = redis.as_ref().map(|redis| self.service(address, redis));
        let mut setup = Setup {
            workers: 1,
            access_log: false,
            filters: self.filters(),
            ..Setup::new("{}")
        };
        setup = match self.kind {
            Kind::Tiergate { in_fleet: true, .. } => setup.cluster("fleet", address),
            Kind::RateLimit => setup.http2_cluster("rls", address),
            _ => setup,
        };
        let pids = [
            redis
                .as_ref()
                .map(|redis| u32::try_from(redis.pid()).unwrap()),
            service.as_ref().map(|one| one.0.id()),
        ];
        Running {
            stack: Stack::with(&setup),
            services: pids.into_iter().flatten().collect(),
            _redis: redis,
            _service: service,
        }
    }

    fn service(&self, address: SocketAddr, redis: &RedisServer) -> Service {
        let mut command = match self.kind {
            Kind::RateLimit => {
                let package =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rate_limit_service");
                let mut command =
                    Command::new(package.join("target/release/tiergate-rate-limit-service"));
                command.args([&address.to_string(), &redis.url()]);
                command
            }
            _ => {
                let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/tiergate");
                let mut command = Command::new(program);
                command.args([
                    "fleet",
                    "--redis",
                    &redis.url(),
                    "--listen",
                    &address.to_string(),
                ]);
                command
            }
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let service = Service(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(
                Instant::now() < until,
                "{}: the service does not listen",
                self.name
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }

    fn filters(&self) -> Vec<Value> {
        match self.kind {
            Kind::NoFilter => Vec::new(),
            Kind::Tiergate { limit, in_fleet } => {
                let config = tiergate(limit, in_fleet);
                vec![wasm_filter("tiergate", "tiergate.wasm", config)]
            }
            Kind::RateLimit => vec![rate_limit()],
        }
    }
}

fn tiergate(limit: u64, in_fleet: bool) -> Value {
    let limits =
        json!({"concurrency": "unlimited", "rpm": limit, "tpm": "unlimited", "tpd": "unlimited"});
    let mut config = json!({
        "headers": [],
        // A second in place of a minute: the log of an account is full after a second.
        "windows": {"minute": "1s"},
        "tiers": [{"name": "t", "recharge": 1, "limits": limits}]
    });
    if in_fleet {
        config["fleet"] = json!({"cluster": "fleet", "authority": "fleet"});
    }
    config
}

/// Envoy's filter that asks a service about each request, by its account.
fn rate_limit() -> Value {
    json!({
        "name": "envoy.filters.http.ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
            "domain": "tiergate",
            "failure_mode_deny": true,
            "timeout": "1s",
            "rate_limits": [{"actions": [
                {"request_headers": {"header_name": "x-account-id", "descriptor_key": "account"}}
            ]}],
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": "rls"}}
            }
        }
    })
}
