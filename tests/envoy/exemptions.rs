//! Routes of the config on a real Envoy: what passes uncounted, and what can't be made to.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};

fn of_acme(call: Call) -> Call {
    call.header("x-account-id", "acme")
        .header("x-account-tier", "t")
}

/// What is used of rpm and tpm.
fn used(stack: &Stack) -> [u64; 2] {
    let usage = stack
        .send(of_acme(Call::new().get("/v1/rate_limits")))
        .json();
    ["rpm", "tpm"].map(|name| usage["limits"][name]["used"].as_u64().unwrap())
}

fn config(routes: &Value) -> Config {
    let rest = json!({"routes": routes, "usage_path": "/v1/rate_limits"});
    Config::tier("t").rpm(50).tpm(1_000_000).with(rest)
}

#[test]
fn the_example_exempts_health_checks_models_and_the_tokens_of_files() {
    let stack = Stack::of_file("envoy/routes/no_upstream.yaml");
    let of = |call: Call| {
        call.header("x-account-id", "acme")
            .header("x-account-tier", "tier0")
    };
    for _ in 0..5 {
        assert_eq!(stack.send(Call::new().get("/healthz")).status, 200);
        assert_eq!(stack.send(Call::new().get("/v1/models")).status, 200);
    }
    let upload = || of(Call::new().post("/v1/files").body(vec![b'x'; 2_000_000]));
    let replies: Vec<u16> = (0..4).map(|_| stack.send(upload()).status).collect();
    assert_eq!(replies, [200, 200, 200, 429], "rpm is 3");
    let usage = stack.send(of(Call::new().get("/v1/rate_limits"))).json();
    let limits = &usage["limits"];
    assert_eq!(
        (&limits["rpm"]["used"], &limits["tpm"]["used"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(stack.send(Call::new().get("/v1/other")).status, 401);
}

#[test]
fn no_spelling_of_a_path_and_no_query_makes_a_chat_exempt() {
    let stack = Stack::start(config(&json!([
        {"match": {"path_prefix": "/v1/files"}, "limits": "none"},
        {"match": {"path_suffix": "/embeddings"}, "tokens": "none"},
    ])));
    for path in [
        "/v1/files/../chat/completions",
        "/v1/files/..%2fchat/completions",
        "/v1/files/%2e%2e/chat/completions",
        "/v1/files/..;/chat/completions",
        "/v1/files//x",
        "/v1/chat/completions?/embeddings",
        "/v1/chat/completions;/embeddings",
    ] {
        let before = used(&stack);
        stack.send(of_acme(Call::new().post(path)));
        let after = used(&stack);
        assert_eq!(after[0] - before[0], 1, "{path}");
        assert!(after[1] > before[1], "{path}");
    }
    let before = used(&stack);
    assert_eq!(
        stack.send(Call::new().post("/v1/files?purpose=x")).status,
        200
    );
    assert_eq!(
        stack
            .send(of_acme(Call::new().post("/v1/embeddings?x")))
            .status,
        200
    );
    assert_eq!(used(&stack), [before[0] + 1, before[1]]);
}

#[test]
fn a_rule_by_the_name_of_envoys_route_and_the_upstream_sees_no_identity() {
    let mut setup = Setup::new(config(
        &json!([{"match": {"route_name": "files"}, "limits": "none"}]),
    ));
    let route = |name: &str, prefix: &str| json!({"name": name, "match": {"prefix": prefix}, "route": {"cluster": "llm"}});
    setup.manager = json!({"route_config": {"virtual_hosts": [{"name": "llm", "domains": ["*"],
        "routes": [route("files", "/v1/files"), route("usual", "/")]}]}});
    let stack = Stack::with(&setup);
    assert_eq!(stack.send(Call::new().post("/v1/files")).status, 200);
    assert_eq!(
        stack.send(of_acme(Call::new().post("/v1/files"))).status,
        200
    );
    assert_eq!(stack.seen()["x-account-id"], Value::Null);
    assert_eq!(used(&stack), [0, 0]);
    assert_eq!(stack.send(Call::new().post("/v1/other")).status, 401);
    let exempt = "tier=none outcome=exempt";
    eventually(exempt, || stack.access_log().contains(exempt));
}

#[test]
fn a_body_that_counts_no_tokens_is_not_held_and_a_preflight_needs_no_account() {
    let setup = Setup::new(
        config(&json!([{"match": {"path": "/v1/files"}, "tokens": "none"}]))
            .with(json!({"tokens": {"read_body": true}})),
    );
    let stack = Stack::with(&setup.bodies_while_headers_are_held());
    let json_call = |path: &str, body: &str| {
        let call = Call::new().post(path).body(body);
        call.header("content-type", "application/json")
    };
    let body = || json!({"max_tokens": 500_000, "messages": []}).to_string();
    assert_eq!(
        stack.send(of_acme(json_call("/v1/files", &body()))).status,
        200
    );
    assert_eq!(used(&stack), [1, 0]);
    let too_large = json!({"max_tokens": 2_000_000, "messages": []}).to_string();
    let refused = of_acme(json_call("/v1/chat/completions", &too_large));
    assert_eq!(stack.send(refused).status, 400);
    let passes = of_acme(json_call("/v1/files", &too_large));
    assert_eq!(stack.send(passes).status, 200);
    let preflight = Call::new()
        .method("OPTIONS", "/v1/chat/completions")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .body("");
    assert_eq!(stack.send(preflight).status, 200);
    assert_eq!(used(&stack), [2, 0]);
}
