//! Routes: what counts for a request, and what no path can talk its way out of.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World, error};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A request with a body of so many tokens.
fn call(method: &str, path: &str, tokens: u64) -> FakeRequest {
    let mut request = FakeRequest::acme(tokens);
    let lines = [(":method", method), (":path", path)];
    let lines = lines.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    request.headers.extend(lines);
    request
}

/// A request that its headers end.
fn fetch(method: &str, path: &str) -> FakeRequest {
    let request = call(method, path, 0);
    FakeRequest {
        ends: true,
        ..request
    }
}

fn with(mut request: FakeRequest, name: &str, value: &str) -> FakeRequest {
    request
        .headers
        .push((name.to_owned(), value.as_bytes().to_vec()));
    request
}

fn anonymous(mut request: FakeRequest) -> FakeRequest {
    request
        .headers
        .retain(|(name, _)| !name.starts_with("x-account"));
    request
}

pub fn config(routes: Value) -> Config {
    let tokens = json!({"completion": 0, "prompt": 0});
    Config::tier("t")
        .rpm(10)
        .tpm(1_000)
        .tpd(2_000)
        .with(json!({"routes": routes, "tokens": tokens, "usage_path": "/u"}))
}

fn worker(routes: Value) -> Worker {
    Worker::new(&World::new(), config(routes))
}

/// What is used of rpm, tpm and tpd.
fn used(worker: &Worker) -> [u64; 3] {
    let usage = worker.usage(&FakeRequest::acme(0));
    ["rpm", "tpm", "tpd"].map(|name| usage["limits"][name]["used"].as_u64().unwrap())
}

fn log(worker: &Worker, request: &FakeRequest) -> String {
    worker.check(request).log_line()
}

#[test]
fn an_exempt_request_needs_no_account_and_counts_nothing() {
    let worker = worker(json!([
        {"match": {"path": "/healthz"}, "limits": "none"},
        {"match": {"path_prefix": "/v1/files/"}, "limits": "none"},
    ]));
    for request in [
        anonymous(fetch("GET", "/healthz")),
        anonymous(fetch("GET", "/healthz?full=1")),
        call("POST", "/v1/files/upload", 500),
    ] {
        let result = worker.check(&request);
        assert_eq!(result.log_line(), "tier=none outcome=exempt");
        let Next::Forward(pass) = result.next else {
            panic!("not let through")
        };
        assert!(pass.admission.is_none() && pass.snapshot.is_none());
    }
    assert_eq!(used(&worker), [0, 0, 0]);
    let metrics = worker.tick();
    assert_eq!(metrics.get("requests", "tier.none.outcome.exempt"), 3);
    let reply = worker.refuse(&anonymous(fetch("GET", "/healthz/x")));
    assert_eq!(reply.code, "account_missing");
}

#[test]
fn the_first_rule_that_matches_decides_and_all_its_fields_must_hold() {
    let worker = worker(json!([
        {"match": {"path": "/a", "method": "POST"}, "cost": 2},
        {"match": {"path_suffix": ":count", "header": {"name": "X-Kind", "value": "b"}}, "cost": 3},
        {"match": {"header": {"name": "x-kind"}}, "cost": 0},
        {"match": {"path_prefix": "/"}, "limits": ["tpm", "tpd"]},
    ]));
    let mut before = 0;
    for (request, cost) in [
        (call("POST", "/a", 1), 2),
        (call("PUT", "/a", 1), 0),
        (with(call("POST", "/m:count?x=1", 1), "x-kind", "b"), 3),
        (with(call("POST", "/m:count", 1), "x-kind", "c"), 0),
        (
            with(
                with(call("POST", "/m:count", 1), "x-kind", "b"),
                "x-kind",
                "b",
            ),
            0,
        ),
    ] {
        worker.settle(worker.admission(&request), Used::Tokens(1));
        let now = used(&worker)[0];
        assert_eq!(now - before, cost);
        before = now;
    }
    assert_eq!(used(&worker)[1], 5, "each counted its token");
}

#[test]
fn a_rule_matches_the_name_of_envoys_route() {
    let worker = worker(json!([{"match": {"route_name": "files"}, "limits": "none"}]));
    let mut request = call("POST", "/v1/anything", 1);
    assert!(log(&worker, &request).contains("outcome=admitted"));
    let path = vec!["xds".to_owned(), "route_name".to_owned()];
    request.properties.push((path, b"files".to_vec()));
    assert_eq!(log(&worker, &request), "tier=none outcome=exempt");
}

#[test]
fn limits_that_a_rule_does_not_name_neither_refuse_nor_count() {
    let worker = worker(json!([
        {"match": {"path": "/rpm"}, "limits": ["rpm"]},
        {"match": {"path": "/day"}, "limits": ["tpd"]},
    ]));
    let day = worker.admission(&call("POST", "/day", 900));
    assert_eq!(used(&worker), [0, 0, 900]);
    worker.settle(day, Used::Tokens(950));
    assert_eq!(used(&worker), [0, 0, 950]);
    let full = worker.admission(&call("POST", "/x", 1_000));
    worker.settle(full, Used::Tokens(1_000));
    assert_eq!(used(&worker), [1, 1_000, 1_950]);
    assert_eq!(worker.refuse(&call("POST", "/x", 1)).code, "tpm");
    assert_eq!(worker.refuse(&call("POST", "/day", 51)).code, "tpd");
    let refund = worker.admission(&call("POST", "/day", 50));
    worker.settle(refund, Used::Tokens(10));
    assert_eq!(used(&worker), [1, 1_000, 1_960], "the minute is as it was");
    for n in 2..=10 {
        worker.settle(
            worker.admission(&call("POST", "/rpm", 5_000)),
            Used::Tokens(7),
        );
        assert_eq!(used(&worker), [n, 1_000, 1_960]);
    }
    assert_eq!(worker.refuse(&call("POST", "/rpm", 1)).code, "rpm");
}

#[test]
fn a_list_names_the_limits_of_the_family_too() {
    let models = json!([{"name": "k2", "match": ["k2*"]}]);
    let own = json!({"rpm": 1, "tpm": 10});
    let tier = json!({"name": "t", "recharge": 1, "models": {"k2": own},
        "limits": {"concurrency": 1, "rpm": 5, "tpm": 100, "tpd": "unlimited"}});
    let config = Config::new().with(json!({"capacity": {"accounts": 64}, "tiers": [tier],
        "models": models, "model": [{"header": "x-model"}], "usage_path": "/u",
        "routes": [{"match": {"path_prefix": "/e/"}, "limits": ["rpm"]}],
        "tokens": {"completion": 0, "prompt": 0}}));
    let worker = Worker::new(&World::new(), config);
    let busy = worker.admission(&call("POST", "/x", 0));
    let embed = with(call("POST", "/e/x", 5_000), "x-model", "k2");
    worker.admit(&embed);
    let reply = worker.refuse(&embed);
    assert_eq!(
        (reply.code, &error(&reply)["limit"]["model"]),
        ("rpm", &json!("k2"))
    );
    let usage = worker.usage(&FakeRequest::acme(0));
    assert_eq!(usage["models"]["k2"]["tpm"]["used"], 0);
    assert_eq!(usage["limits"]["rpm"]["used"], 2);
    assert_eq!(
        usage["limits"]["concurrency"]["used"], 1,
        "no lease for the list"
    );
    worker.settle(busy, Used::Tokens(0));
}

#[test]
fn a_request_without_a_lease_does_not_stand_in_line_for_one() {
    let routes = json!([{"match": {"path": "/list"}, "limits": ["rpm"]}]);
    let config = config(routes).concurrency(1).wait("10s");
    let worker = Worker::new(&World::new(), config);
    let _busy = worker.admission(&call("POST", "/x", 1));
    let queued = worker.check_stream(&call("POST", "/x", 1), 2);
    assert!(matches!(queued.next, Next::Queue(_)));
    let list = worker.check_stream(&call("POST", "/list", 1), 3);
    assert!(matches!(list.next, Next::Forward(_)));
}

#[test]
fn a_request_without_tokens_reserves_none_and_settles_none() {
    let worker = worker(json!([
        {"match": {"path_prefix": "/v1/files"}, "tokens": "none", "cost": 3},
        {"match": {"path": "/free"}, "cost": 0},
    ]));
    let upload = worker.admission(&call("POST", "/v1/files", 900_000));
    assert_eq!(used(&worker), [3, 0, 0]);
    worker.settle(upload, Used::Tokens(700));
    assert_eq!(used(&worker), [3, 0, 0]);
    worker.settle(
        worker.admission(&call("POST", "/free", 20)),
        Used::Tokens(30),
    );
    assert_eq!(used(&worker), [3, 30, 30]);
}

/// A cost above an account's own limit could never fit.
#[test]
fn a_cost_is_cut_to_the_smallest_limit_on_requests() {
    let worker = worker(json!([{"match": {"path": "/dear"}, "cost": 1_000}]));
    worker.settle(worker.admission(&call("POST", "/dear", 0)), Used::Tokens(0));
    assert_eq!(used(&worker)[0], 10);
    assert_eq!(worker.refuse(&call("POST", "/x", 0)).code, "rpm");
}

#[test]
fn a_preflight_is_exempt_unless_a_rule_names_its_method() {
    let preflight = |path: &str| {
        let request = anonymous(fetch("OPTIONS", path));
        let request = with(request, "origin", "https://app.example.com");
        with(request, "access-control-request-method", "POST")
    };
    let rules = json!([
        {"match": {"path_prefix": "/v1/"}, "cost": 2},
        {"match": {"method": "OPTIONS", "path_prefix": "/counted"}, "limits": ["rpm"]},
    ]);
    let worker = worker(rules);
    for path in ["/v1/chat/completions", "/x"] {
        assert_eq!(
            log(&worker, &preflight(path)),
            "tier=none outcome=exempt",
            "{path}"
        );
    }
    let refused = |request: &FakeRequest| worker.refuse(request).code;
    // Regression: what an upstream may read as the counted path was exempt.
    for path in [
        "/counted",
        "/y/../counted",
        "//counted",
        "/y/%2e%2e/counted",
        "/%63ounted",
    ] {
        assert_eq!(refused(&preflight(path)), "account_missing", "{path}");
    }
    let without = self::worker(json!([{"match": {"path_prefix": "/v1/"}, "cost": 2}]));
    assert_eq!(
        log(&without, &preflight("/v1//doubled")),
        "tier=none outcome=exempt"
    );
    let with_body = FakeRequest {
        ends: false,
        ..preflight("/x")
    };
    assert_eq!(refused(&with_body), "account_missing");
    let upgrade = with(preflight("/x"), "upgrade", "websocket");
    assert_eq!(refused(&upgrade), "account_missing");
    let mut plain = preflight("/x");
    plain.headers.retain(|(name, _)| name != "origin");
    assert_eq!(refused(&plain), "account_missing");
}

#[test]
fn a_fetch_costs_no_tokens_unless_a_rule_names_a_limit_on_them() {
    let worker = worker(json!([
        {"match": {"path": "/counted"}, "limits": ["rpm", "tpm"]},
        {"match": {"path_prefix": "/v1/"}, "cost": 2},
    ]));
    worker.settle(
        worker.admission(&fetch("GET", "/v1/models")),
        Used::Tokens(50),
    );
    assert_eq!(used(&worker), [2, 0, 0]);
    worker.settle(
        worker.admission(&fetch("GET", "/counted")),
        Used::Tokens(50),
    );
    assert_eq!(used(&worker), [3, 50, 0]);
}

#[test]
fn a_path_with_two_readings_matches_no_rule_that_exempts() {
    let worker = worker(json!([
        {"match": {"path_prefix": "/v1/files"}, "limits": "none"},
        {"match": {"path_suffix": "/embeddings"}, "tokens": "none"},
        {"match": {"path_prefix": "/v1/batches"}, "limits": ["rpm"]},
        {"match": {"path_prefix": "/v1/images"}, "cost": 0},
        {"match": {"path_prefix": "/v1/audio"}, "cost": 2},
    ]));
    for path in [
        "/v1/files/../chat/completions",
        "/v1/files/..%2Fchat/completions",
        "/v1/files/%2e%2e/chat/completions",
        "/v1/files/..;/chat/completions",
        "/v1/files/%252e%252e/chat",
        "/v1/files\\..\\chat",
        "/v1/chat/completions;/embeddings",
        "/v1/chat/completions%00/embeddings",
        "/v1/chat/completions%3f/embeddings",
        "/v1/chat/completions#/embeddings",
        "/v1/batches//x",
        "/v1/images/./x",
    ] {
        let before = used(&worker);
        worker.settle(worker.admission(&call("POST", path, 3)), Used::Tokens(3));
        let after = used(&worker);
        assert_eq!([0, 1, 2].map(|i| after[i] - before[i]), [1, 3, 3], "{path}");
        worker.host.world.pass_ms(61_001);
    }
    worker.admit(&call("POST", "/v1/audio/../x", 1));
    assert_eq!(
        used(&worker)[0],
        2,
        "a rule that exempts nothing matches the text"
    );
    let query = call("POST", "/v1/chat/completions?x=/embeddings", 1);
    worker.admit(&query);
    assert_eq!(used(&worker)[1], 2);
}

proptest! {
    /// What a path leads to once it is normalized, in any of the usual ways, decides.
    #[test]
    fn no_spelling_of_another_path_is_exempt(pieces in prop::collection::vec(prop::sample::select(vec![
        "/v1/files", "/", "..", ".", "%2e", "%2F", "%5c", "\\", ";a", "//", "%66", "x", "%20", "?", "#",
        "%252e", "%", "chat", ":b",
    ]), 0..7)) {
        let path = format!("/v1/files{}", pieces.concat());
        let is_exempt = log(&worker(files_but_chat()), &call("POST", &path, 1)).contains("outcome=exempt");
        let text = path.split('?').next().unwrap();
        let meant = normalized(text);
        let is_free = meant.starts_with("/v1/files") && !meant.starts_with("/v1/files/chat");
        prop_assert!(!is_exempt || is_free, "{}", path);
        // And what has one spelling is not forgotten over that.
        let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/:".contains(&b)) && !text.contains("//");
        prop_assert!(is_exempt || !is_plain || !is_free, "{}", path);
    }
}

/// Files are free, but for those of the chat: its rule comes first.
fn files_but_chat() -> Value {
    json!([
        {"match": {"path_prefix": "/v1/files/chat"}},
        {"match": {"path_prefix": "/v1/files"}, "limits": "none"},
    ])
}

/// What the property above is about: each of these outcomes comes.
#[test]
fn a_rule_before_an_exempting_one_protects_its_paths() {
    for (path, is_exempt) in [
        ("/v1/files", true),
        ("/v1/files/x", true),
        ("/v1/files/a%20b", true),
        ("/v1/files/x?/chat", true),
        ("/v1/files/chat", false),
        ("/v1/files/chat:b", false),
        ("/v1/files/x/../chat", false),
        ("/v1/files/./chat", false),
        ("/v1/files/%63hat", false),
        ("/v1/files//chat", false),
        ("/v1/files/;a/chat", false),
    ] {
        let line = log(&worker(files_but_chat()), &call("POST", path, 1));
        assert_eq!(line.contains("outcome=exempt"), is_exempt, "{path}: {line}");
    }
}

/// Decodes a path twice, cuts parameters and follows its dots, as some upstream may.
fn normalized(path: &str) -> String {
    let decode = |text: &str| {
        let bytes = percent_encoding::percent_decode_str(text);
        bytes.decode_utf8_lossy().into_owned()
    };
    let path = decode(&decode(path)).replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split(['/', '#', '?']) {
        match segment.split(';').next().unwrap() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}
