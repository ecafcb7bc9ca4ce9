//! Requests that cost nothing of a limit: what others used of it does not refuse them.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World};
use serde_json::{Value, json};
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::rates::TokenCounts;

fn worker(limits: &Value, routes: &Value) -> Worker {
    let config = Config::tier("t").with_tier(json!({"limits": limits}));
    let price = json!({"input": "1000", "output": "1000"});
    Worker::new(
        &World::new(),
        config.with(json!({
            "tokens": {"completion": 0, "prompt": 0},
            "models": [{"name": "k2", "match": ["*"], "price": price}],
            "model": [{"header": "x-model"}], "unknown_model": "k2",
            "routes": routes,
        })),
    )
}

fn call(method: &str, path: &str, ends: bool) -> FakeRequest {
    let mut request = FakeRequest::acme(0);
    for (name, value) in [(":method", method), (":path", path), ("x-model", "k2")] {
        request.headers.push((name.into(), value.into()));
    }
    request.ends = ends;
    request
}

fn limits(name: &str, limit: Value) -> Value {
    let mut limits = json!({"concurrency": "unlimited", "rpm": "unlimited", "tpm": "unlimited",
        "tpd": "unlimited"});
    limits[name] = limit;
    limits
}

/// Regression: they were refused once a settlement was beyond the limit, and not at the limit.
#[test]
fn what_costs_nothing_of_a_limit_is_not_refused_by_it() {
    let routes = json!([{"match": {"path": "/free"}, "tokens": "none", "cost": 0}]);
    let usd = json!({"unit": "usd", "per": "month", "limit": "0.01"});
    for (name, limit) in [
        ("tpm", json!(1_000)),
        ("tpd", json!(1_000)),
        ("itpm", json!(100)),
        ("otpm", json!(100)),
        ("budget", usd),
    ] {
        let worker = worker(&limits(name, limit), &routes);
        let generates = worker.admission(&call("POST", "/v1/chat", false));
        let input = TokenCounts {
            input: 2_000,
            ..TokenCounts::default()
        };
        let used = Consumed {
            used: Used::Tokens(4_000),
            input: Some(input),
        };
        worker.settle(generates, used);
        let reply = worker.refuse(&call("POST", "/v1/chat", false));
        assert_eq!(reply.code, name);
        for free in [
            call("GET", "/v1/models", true),
            call("POST", "/free", false),
        ] {
            let next = worker.check(&free).next;
            assert!(matches!(next, Next::Forward(_)), "{name}: {next:?}");
        }
    }
}

/// A limit on requests can be lowered below what is used.
#[test]
fn a_cost_of_nothing_passes_a_lowered_limit_on_requests() {
    let routes = json!([{"match": {"path": "/free"}, "cost": 0}]);
    let first = worker(&limits("rpm", json!(3)), &routes);
    for _ in 0..3 {
        first.admission(&call("POST", "/v1/chat", false));
    }
    let config = Config::tier("t").with_tier(json!({"limits": limits("rpm", json!(2))}));
    let lowered = first.beside(config.with(json!({"routes": routes})));
    assert_eq!(lowered.refuse(&call("POST", "/v1/chat", false)).code, "rpm");
    lowered.admission(&call("POST", "/free", false));
}
