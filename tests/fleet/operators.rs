//! The calls of operators at the service: who may make them, and what edges are told.

use crate::redis_server::RedisServer;
use crate::service::{Service, item, request};
use serde_json::{Value, json};
use std::path::PathBuf;
use tiergate::fleet::hex::{AccountId, Hex};
use tiergate::fleet::message::{MeterAsk, StepAnswer, StepItem};

const CONFIG: &str = r#"{
    "tiers": [{"name": "free", "limits": {"concurrency": 1, "rpm": 10, "tpm": "unlimited", "tpd": "unlimited"}},
              {"name": "paid", "limits": {"concurrency": 9, "rpm": 99, "tpm": "unlimited", "tpd": "unlimited"}}],
    "tier": [{"header": "x-account-tier"}],
    "fleet": {"cluster": "f", "authority": "f", "key": "a secret of the operator"}
}"#;

/// Files that go with the test.
pub struct Files(PathBuf);

impl Files {
    pub fn new(name: &str) -> Self {
        Self::with(name, CONFIG)
    }

    /// Files with another plugin config.
    pub fn with(name: &str, config: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tiergate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.json"), config).unwrap();
        std::fs::write(dir.join("token"), "edge\n").unwrap();
        std::fs::write(dir.join("admin"), "operator\n").unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn start(&self, redis: &RedisServer) -> Service {
        let [config, token, admin] = ["config.json", "token", "admin"].map(|name| self.path(name));
        let args = [
            "--config",
            &config,
            "--token-file",
            &token,
            "--admin-token-file",
            &admin,
        ];
        let mut service = Service::start_with(&redis.url(), &args).ready();
        service.token = Some("edge".to_owned());
        service
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn account() -> AccountId {
    let config = tiergate::config::parse(CONFIG.as_bytes()).unwrap();
    Hex(config.fleet.unwrap().account(b"acme").0)
}

/// What an edge says of the account acme, and the answer; it follows orders up to a number.
fn says(service: &Service, n: u32, orders: u64, meter: MeterAsk) -> StepAnswer {
    let one = StepItem {
        account: account(),
        ..item(0, n, 0)
    };
    let limit = one.meters[0].limit;
    let meters = vec![MeterAsk { limit, ..meter }];
    let mut request = request(1, vec![StepItem { meters, ..one }]);
    request.orders = orders;
    service.step(&request)
}

fn needs(need: u64) -> MeterAsk {
    MeterAsk {
        need,
        ..MeterAsk::default()
    }
}

#[test]
fn operators_calls_need_their_own_token_and_are_off_without_it() {
    let redis = RedisServer::start();
    let plain = Service::start(&redis).ready();
    let (status, said) = plain.operate("operator", "GET", "/v1/load", None);
    assert_eq!((status, &said["error"]["code"]), (404, &json!("not_found")));
    assert!(said.to_string().contains("--admin-token-file"), "{said}");
    let files = Files::new("operators-token");
    let service = files.start(&redis);
    for wrong in ["edge", "", "Operator"] {
        for (method, path) in [
            ("GET", "/v1/load"),
            ("DELETE", "/v1/load"),
            ("POST", "/v1/accounts/acme/reset"),
        ] {
            let (status, said) = service.operate(wrong, method, path, None);
            assert_eq!(
                (status, &said["error"]["code"]),
                (401, &json!("token_invalid"))
            );
        }
    }
    assert_eq!(service.operate("operator", "GET", "/v1/load", None).0, 200);
    // The operators' token is none of an edge.
    let mut service = service;
    service.token = Some("operator".to_owned());
    assert_eq!(service.post("{}").0, 401);
}

#[test]
fn a_scale_is_told_to_edges_until_it_ends_by_each_service() {
    let redis = RedisServer::start();
    let files = Files::new("operators-load");
    let services = [files.start(&redis), files.start(&redis)];
    assert_eq!(says(&services[1], 1, 0, needs(0)).orders, None);
    let body = r#"{"scale": 0.5, "tiers": {"paid": 0.25}, "ttl": "1m"}"#;
    let (status, said) = services[0].operate("operator", "PUT", "/v1/load", Some(body));
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["in_force"], json!({"free": 0.5, "paid": 0.25}));
    let told = |n: u32, after: u64| {
        std::thread::sleep(std::time::Duration::from_millis(250));
        says(&services[1], n, after, needs(0)).orders
    };
    let orders = told(2, 0).unwrap();
    let load = orders.load.unwrap();
    assert_eq!(
        (load.scale, load.tiers),
        (500_000, vec![("paid".to_owned(), 250_000)])
    );
    assert!((50_000..=60_000).contains(&load.ttl_ms));
    assert_eq!(told(3, orders.last), None, "it is followed");
    let (_, said) = services[1].operate("operator", "DELETE", "/v1/load", None);
    assert_eq!(
        (&said["ttl_ms"], &said["scale"]),
        (&Value::Null, &json!(1.0))
    );
    let ended = told(4, orders.last).unwrap();
    assert_eq!(ended.load.map(|load| load.ttl_ms), Some(0));
    assert!(ended.last > orders.last);
    for (body, path) in [
        (r#"{"scale": 2}"#, "scale"),
        (r#"{"tiers": {"gold": 0.5}}"#, "tiers.gold"),
        ("{", "$"),
    ] {
        let (status, said) = services[0].operate("operator", "PUT", "/v1/load", Some(body));
        assert_eq!(
            (status, &said["error"]["code"]),
            (400, &json!("body_invalid"))
        );
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("body at {path}")), "{message}");
    }
}

#[test]
fn an_account_is_shown_over_all_edges_and_a_reset_begins_it_anew() {
    let redis = RedisServer::start();
    let files = Files::new("operators-reset");
    let service = files.start(&redis);
    let (status, said) = service.operate("operator", "GET", "/v1/accounts/acme", None);
    assert_eq!(
        (status, &said["error"]["code"]),
        (404, &json!("account_unknown"))
    );
    assert!(says(&service, 1, 0, needs(10)).items[0].ok);
    let spent = MeterAsk {
        spent: vec![0, 0, 6],
        held: 4,
        ..MeterAsk::default()
    };
    assert_eq!(says(&service, 2, 0, spent).items[0].meters[0].used, 6);
    let shown = || {
        service
            .operate("operator", "GET", "/v1/accounts/acme", None)
            .1["fleet"]
            .clone()
    };
    let seen = shown();
    let meter = &seen["meters"]["requests/60000/-"];
    assert_eq!(meter, &json!({"used": 6, "held": 4}), "{seen}");
    assert_eq!(
        seen["edges"]["0000000000000001"]["held"]["requests/60000/-"], 4,
        "{seen}"
    );
    let (status, said) = service.operate("operator", "POST", "/v1/accounts/acme/reset", None);
    assert_eq!((status, &said["reset"]), (200, &json!(true)), "{said}");
    assert_eq!(shown()["meters"]["requests/60000/-"]["used"], 0);
    let answer = says(&service, 3, 0, needs(0));
    let orders = answer.orders.unwrap();
    assert_eq!(orders.resets[0].id, "acme");
    assert_eq!(orders.resets[0].generation, answer.items[0].generation);
    assert_eq!(said["generation"], answer.items[0].generation);
    // An id with a slash, of an account that nobody knows.
    let (status, said) = service.operate("operator", "POST", "/v1/accounts/a%2Fb/reset", None);
    assert_eq!((status, &said["id"]), (200, &json!("a/b")));
}

#[test]
fn a_foreign_key_in_place_of_the_orders_stops_no_ask() {
    let redis = RedisServer::start();
    let files = Files::new("operators-foreign");
    let service = files.start(&redis);
    let mut link = redis.connect();
    redis::cmd("SET")
        .arg("{tiergate}:tg1:orders")
        .arg("x")
        .exec(&mut link)
        .unwrap();
    let answer = says(&service, 1, 0, needs(1));
    assert!(answer.items[0].ok && answer.orders.is_none());
    let (status, said) = service.operate("operator", "DELETE", "/v1/load", None);
    assert_eq!(
        (status, &said["error"]["code"]),
        (503, &json!("limiter_unavailable"))
    );
    let kept: String = redis::cmd("GET")
        .arg("{tiergate}:tg1:orders")
        .query(&mut link)
        .unwrap();
    assert_eq!(kept, "x");
}
