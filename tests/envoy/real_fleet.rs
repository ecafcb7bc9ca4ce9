//! Real Envoys, two services and a real Redis: one limit, which outlives them.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply, count};
use crate::harness::stack::{Stack, eventually};
use crate::redis_server::RedisServer;
use crate::service::Service;
use serde_json::json;
use std::net::SocketAddr;

fn edge(service: &Service, config: &Config) -> Stack {
    let address: SocketAddr = service.url["http://".len()..].parse().unwrap();
    // The machine of a test may be slow.
    let fleet =
        json!({"cluster": "fleet", "authority": "fleet", "on_failure": "deny", "timeout": "1s"});
    let config = config.clone().with(json!({
        "fleet": fleet, "tokens": {"completion": 0, "prompt": 0, "bytes_per_token": 1_000_000}
    }));
    Stack::with(&Setup::new(config).cluster("fleet", address))
}

fn spend(stack: &Stack, tokens: u64) -> Reply {
    let usage = format!(r#"{{"usage":{{"total_tokens":{tokens}}}}}"#);
    stack.send(Call::of("acme", "t").header("x-demo-body", usage))
}

/// A request that reserves a token.
fn ask(stack: &Stack) -> Reply {
    stack.send(Call::of("acme", "t").body(vec![b'x'; 1_000_000]))
}

#[test]
fn a_burst_through_two_services_stays_within_one_limit() {
    let redis = RedisServer::start();
    let services = [(); 2].map(|()| Service::start(&redis).ready());
    let config = Config::tier("t").rpm(60);
    let stacks = services.each_ref().map(|service| edge(service, &config));
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let all = stacks.each_ref().map(|stack| {
            let calls = (0..90).map(|_| Call::of("acme", "t")).collect();
            scope.spawn(move || stack.flood(4, calls))
        });
        all.into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    assert_eq!(count(&replies, 200), 60);
    assert_eq!(count(&replies, 429), 120);
}

#[test]
fn a_day_outlives_envoys_and_services() {
    let redis = RedisServer::start();
    let config = Config::tier("t").tpd(1_000);
    let service = Service::start(&redis).ready();
    let stack = edge(&service, &config);
    assert_eq!(spend(&stack, 1_000).status, 200);
    eventually("the report", || {
        stack.stat(&["tiergate_fleet_outstanding"]) == 0
            && stack.stat(&["tiergate_fleet_grants"]) > 0
    });
    drop((stack, service));
    let service = Service::start(&redis).ready();
    let stack = edge(&service, &config);
    let refused = ask(&stack);
    assert_eq!((refused.status, refused.code().as_str()), (429, "tpd"));
}

#[test]
fn a_redis_that_is_away_and_back_loses_nobody() {
    let mut redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let stack = edge(&service, &Config::tier("t").rpm(10));
    assert_eq!(spend(&stack, 0).status, 200);
    redis.kill();
    eventually("nobody is let through", || ask(&stack).status == 429);
    redis.run();
    // It is empty: the account is closed for the life of an allowance.
    eventually("the account is served", || ask(&stack).status == 200);
}

/// A service that takes operators' calls for a config, with the token `operator`.
fn operated(redis: &RedisServer, config: &Config, name: &str) -> Service {
    let dir = std::env::temp_dir().join(format!("tiergate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let fleet = json!({"fleet": {"cluster": "fleet", "authority": "fleet"}});
    let config = config.clone().with(fleet);
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    std::fs::write(dir.join("token"), "operator").unwrap();
    let [config, token] = ["config.json", "token"].map(|name| dir.join(name));
    let (config, token) = (config.to_str().unwrap(), token.to_str().unwrap());
    let args = ["--config", config, "--admin-token-file", token];
    let service = Service::start_with(&redis.url(), &args).ready();
    std::fs::remove_dir_all(dir).unwrap();
    service
}

#[test]
fn a_scale_and_a_reset_at_the_service_hold_on_each_envoy() {
    let redis = RedisServer::start();
    let config = Config::tier("t").rpm(6);
    let service = operated(&redis, &config, "orders");
    let stacks = [(); 2].map(|()| edge(&service, &config));
    let serve = |n: usize| spend(&stacks[n % 2], 0).status;
    let all: Vec<u16> = (0..8).map(serve).collect();
    assert_eq!(
        all.iter().filter(|status| **status == 200).count(),
        6,
        "{all:?}"
    );
    // Both the fleet's count and those of the edges begin anew.
    let (status, said) = service.operate("operator", "POST", "/v1/accounts/acme/reset", None);
    assert_eq!(status, 200, "{said}");
    for stack in &stacks {
        eventually("the edge serves it again", || spend(stack, 0).status == 200);
    }
    let body = r#"{"scale": 0.1}"#;
    let (status, said) = service.operate("operator", "PUT", "/v1/load", Some(body));
    assert_eq!(status, 200, "{said}");
    eventually("one request a minute is left on each edge", || {
        stacks.iter().all(|stack| {
            let reply = ask(stack);
            reply.status == 429 && reply.json()["error"]["type"] == "engine_overloaded_error"
        })
    });
}

/// An edge that follows the directory of the fleet.
fn follower(service: &Service, config: &Config) -> Stack {
    let address: SocketAddr = service.url["http://".len()..].parse().unwrap();
    let config = config.clone().with(json!({
        "fleet": {"cluster": "fleet", "authority": "fleet", "timeout": "1s"},
        "directory": {
            "cluster": "fleet", "authority": "fleet", "path": "/v1/directory/changes", "interval": "1s"
        },
        "tier": ["directory"],
        "tokens": {"completion": 0, "prompt": 0}
    }));
    Stack::with(&Setup::new(config).cluster("fleet", address))
}

#[test]
fn accounts_written_at_the_service_are_in_force_on_each_envoy() {
    let redis = RedisServer::start();
    let config = Config::new();
    let service = operated(&redis, &config, "accounts");
    let write = |method: &str, path: &str, body: &str| {
        let body = (!body.is_empty()).then_some(body);
        let path = format!("/v1/accounts/{path}");
        let (status, said) = service.operate("operator", method, &path, body);
        assert_eq!(status, 200, "{said}");
        said
    };
    assert_eq!(
        write("PUT", "acme", r#"{"recharge": "20"}"#)["ready"],
        false
    );
    let said = service.operate("operator", "POST", "/v1/ready", None);
    assert_eq!(said.0, 200);
    let stacks = [(); 2].map(|()| follower(&service, &config));
    let call = |account: &str| Call::new().header("x-account-id", account);
    let all = |account: &str, status: u16, code: &str| {
        for stack in &stacks {
            eventually(&format!("{account}: {status} {code}"), || {
                let reply = stack.send(call(account));
                reply.status == status && (status == 200 || reply.code() == code)
            });
        }
    };
    all("acme", 200, "");
    all("nobody", 403, "tier_unknown");
    write("PUT", "key", r#"{"account": "acme"}"#);
    all("key", 200, "");
    write("PUT", "acme", r#"{"tier": "tier5", "disabled": true}"#);
    all("key", 403, "account_disabled");
    write(
        "PUT",
        "acme",
        r#"{"tier": "tier5", "limits": {"rpm": 1}, "disabled": false}"#,
    );
    all("acme", 429, "rpm");
    write("PUT", "acme", r#"{"tier": "tier5", "exempt": true}"#);
    all("acme", 200, "");
    write("DELETE", "acme", "");
    all("acme", 403, "tier_unknown");
    let event = r#"{"id": "e-1", "amount": "20", "kind": "cash"}"#;
    for new in [true, false] {
        assert_eq!(write("POST", "acme/recharges", event)["new"], new);
    }
    all("acme", 200, "");
}
