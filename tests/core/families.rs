//! Families of models among themselves, on full pages, in queues, under reloads and lowerings.

use crate::harness::{Config, FakeRequest, Next, Ticket, Used, Worker, World, error, put_load};
use serde_json::{Value, json};
use tiergate::config::parse;

/// One page for all accounts, and families that match their own names.
fn config(names: &[&str], tier: Value) -> Config {
    let families = names
        .iter()
        .map(|name| json!({"name": name, "match": [name]}));
    let mut one = json!({"name": "t", "recharge": 1, "limits": {"concurrency": "unlimited",
        "rpm": "unlimited", "tpm": "unlimited", "tpd": "unlimited"}});
    for (name, value) in tier.as_object().unwrap() {
        match (name.as_str(), value) {
            ("limits", Value::Object(limits)) => {
                one["limits"]
                    .as_object_mut()
                    .unwrap()
                    .extend(limits.clone());
            }
            _ => one[name] = value.clone(),
        }
    }
    Config::new().open_admin().with(json!({
        "capacity": {"accounts": 8}, "tiers": [one],
        "models": families.collect::<Vec<_>>(), "model": [{"header": "x-model"}],
        "tokens": {"completion": 0, "prompt": 0},
    }))
}

fn request(account: &str, model: &str, tokens: u64) -> FakeRequest {
    let mut request = FakeRequest::of(account, "t", tokens);
    let line = ("x-model".to_owned(), model.as_bytes().to_vec());
    request.headers.push(line);
    request
}

fn without_body(account: &str) -> FakeRequest {
    FakeRequest {
        ends: true,
        ..FakeRequest::of(account, "t", 0)
    }
}

/// An account at its limit is forgiven nothing by others that use all families of a full page.
#[test]
fn families_of_others_take_no_record_from_its_page() {
    let names: Vec<String> = (0..32).map(|i| format!("f{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let models: Value = names
        .iter()
        .map(|n| ((*n).to_owned(), json!({"rpd": 9})))
        .collect();
    let config = config(&names, json!({"limits": {"rpd": 40}, "models": models}));
    let world = World::new();
    let worker = Worker::new(&world, config);
    for model in &names {
        assert!(worker.serves(&request("full", model, 0), Used::Tokens(0)));
    }
    while worker.serves(&request("full", "f0", 0), Used::Tokens(0)) {}
    for model in &names {
        for account in 0..150 {
            let _ = worker.serves(
                &request(&format!("noise-{account}"), model, 0),
                Used::Tokens(0),
            );
        }
        worker.refuse(&request("full", "f0", 0));
    }
    let metrics = worker.tick();
    assert_eq!(metrics.get("evicted_live", ""), 0);
    assert!(metrics.get("overflow_requests", "") > 0, "newcomers share");
}

#[test]
fn a_family_that_waits_for_its_lease_holds_up_no_other() {
    let world = World::new();
    let models = json!({"a": {"concurrency": 1}, "b": {"rpm": 5}});
    let config = config(&["a", "b"], json!({"wait": "60s", "models": models}));
    let worker = Worker::new(&world, config);
    let open = worker.admission(&request("acme", "a", 0));
    let queued = |model: &str, id: u32| -> Box<Ticket> {
        match worker.check_stream(&request("acme", model, 0), id).next {
            Next::Queue(ticket) => ticket,
            other => panic!("not queued: {other:?}"),
        }
    };
    let (first, second) = (queued("a", 1), queued("a", 2));
    worker.admit(&request("acme", "b", 0));
    worker.admit(&without_body("acme"));
    assert!(!worker.is_due(&first), "it looked just now");
    worker.settle(open, Used::Tokens(0));
    assert!(worker.is_due(&first) && !worker.is_due(&second));
    assert!(matches!(worker.retry(&first), Next::Forward(_)));
}

#[test]
fn two_windows_of_one_length_count_once() {
    let day = json!({"windows": {"day": {"rolling": "24h"}}});
    let limits = json!({"rpd": 4, "tpd": 1_000,
        "images": {"unit": "requests", "per": "24h", "limit": 4}});
    let worker = Worker::new(
        &World::new(),
        config(&["a"], json!({"limits": limits})).with(day),
    );
    for _ in 0..4 {
        assert!(worker.serves(&request("acme", "a", 100), Used::Tokens(50)));
    }
    let usage = worker.usage(&without_body("acme"));
    assert_eq!(usage["limits"]["rpd"]["used"], 4);
    assert_eq!(usage["limits"]["images"]["used"], 4);
    assert_eq!(usage["limits"]["tpd"]["used"], 200);
    worker.refuse(&request("acme", "a", 100));
}

/// A config with other families settles nothing of requests that an older one admitted.
#[test]
fn open_requests_of_a_family_end_as_they_began_when_a_config_drops_it() {
    let world = World::new();
    let limits = json!({"concurrency": 2, "tpm": 1_000});
    let tier = json!({"limits": limits, "models": {"a": limits.clone(), "b": limits.clone()}});
    let old = Worker::new(&world, config(&["a", "b"], tier));
    let open = [
        old.admission(&request("acme", "a", 300)),
        old.admission(&request("acme", "b", 300)),
    ];
    let tier = json!({"limits": limits, "models": {"b": limits}});
    let new = old.beside(config(&["b", "c"], tier));
    let usage = |worker: &Worker| worker.usage(&without_body("acme"));
    assert_eq!(
        usage(&new)["models"]["b"]["tpm"]["used"],
        300,
        "by its name"
    );
    assert_eq!(usage(&new)["limits"]["tpm"]["used"], 600);
    let [a, b] = open;
    old.settle(a, Used::Tokens(10));
    old.settle(b, Used::Tokens(20));
    let after = usage(&new);
    assert_eq!(after["limits"]["tpm"]["used"], 30);
    assert_eq!(after["limits"]["concurrency"]["used"], 0);
    assert_eq!(after["models"]["b"]["tpm"]["used"], 20);
    assert_eq!(after["models"]["b"]["concurrency"]["used"], 0);
}

/// Settlements that a tick makes up for are kept apart by family.
#[test]
fn pending_settlements_of_two_families_do_not_mix() {
    let world = World::new();
    let models = json!({"a": {"tpm": 1_000}, "b": {"tpm": 1_000}});
    let worker = Worker::new(&world, config(&["a", "b"], json!({"models": models})));
    let open = [("a", 300), ("a", 300), ("b", 300), ("b", 300)]
        .map(|(model, tokens)| worker.admission(&request("acme", model, tokens)));
    worker.host.failing.set(u32::MAX);
    for (admission, used) in open.into_iter().zip([1, 2, 40, 80]) {
        worker.settle(admission, Used::Tokens(used));
    }
    worker.host.failing.set(0);
    worker.tick();
    let usage = worker.usage(&without_body("acme"));
    assert_eq!(usage["models"]["a"]["tpm"]["used"], 3);
    assert_eq!(usage["models"]["b"]["tpm"]["used"], 120);
}

#[test]
fn an_operators_scale_lowers_a_familys_limits_too() {
    let models = json!({"a": {"rpm": 10}});
    let worker = Worker::new(&World::new(), config(&["a"], json!({"models": models})));
    put_load(&worker, r#"{"scale": 0.2}"#);
    worker.admit(&request("acme", "a", 0));
    worker.admit(&request("acme", "a", 0));
    let reply = worker.refuse(&request("acme", "a", 0));
    assert_eq!(error(&reply)["type"], "engine_overloaded_error");
    assert_eq!(error(&reply)["limit"]["model"], "a");
}

/// The budget is used up: what costs nothing goes on.
#[test]
fn a_request_without_a_price_is_not_refused_for_money() {
    let budget = json!({"budget": {"unit": "usd", "per": "month", "limit": "0.01"}});
    let free = json!({"unpriced": "free", "models": [
        {"name": "a", "match": ["a"], "price": {"input": "1000"}},
        {"name": "gift", "match": ["gift"]},
    ]});
    let worker = Worker::new(
        &World::new(),
        config(&["a"], json!({"limits": budget})).with(free),
    );
    assert!(worker.serves(&request("acme", "a", 1), Used::Tokens(100)));
    worker.refuse(&request("acme", "a", 0));
    worker.admit(&without_body("acme"));
    assert_eq!(
        worker.tick().get("unpriced", ""),
        0,
        "no model came without a price"
    );
    worker.admit(&request("acme", "gift", 5));
    worker.admit(&request("acme", "other", 5));
    assert_eq!(worker.tick().get("unpriced", ""), 2);
}

#[test]
fn a_path_that_cannot_be_read_is_not_replaced_by_what_the_client_says() {
    let sources = json!({"unknown_model": "refuse",
        "model": [{"path": "/v1beta/models/{model}:*"}, {"header": "x-model"}]});
    let worker = Worker::new(&World::new(), config(&["a", "b"], json!({})).with(sources));
    let at = |path: &str| {
        let mut request = request("acme", "b", 0);
        request
            .headers
            .push((":path".to_owned(), path.as_bytes().to_vec()));
        request
    };
    worker.admit(&at("/v1beta/models/a:generateContent"));
    worker.admit(&at("/v1/chat/completions"));
    for path in [
        "/v1beta/models/./a:generateContent",
        "/v1beta//models/a:generateContent",
        "/v1beta/models/a%3AgenerateContent",
        "/v1beta/%6Dodels/a:generateContent",
        "/v1beta/models/a:generateContent/",
        "/v1beta/models/%ff:generateContent",
    ] {
        let reply = worker.refuse(&at(path));
        assert_eq!((reply.status, reply.code), (404, "model_unknown"), "{path}");
        assert!(reply.message.contains("can't be read"), "{}", reply.message);
    }
}

#[test]
fn a_refusal_for_good_names_the_family_in_the_log() {
    let models = json!({"a": {"itpm": 10}});
    let worker = Worker::new(&World::new(), config(&["a"], json!({"models": models})));
    let result = worker.check(&request("acme", "a", 11).reading_tokens(11));
    let line = "tier=t outcome=refused code=tokens_exceed_tier model=a";
    assert_eq!(result.log_line(), line);
}

#[test]
fn tiers_and_families_of_too_many_series_are_refused() {
    let names: Vec<String> = (0..32).map(|i| format!("f{i}")).collect();
    let families: Vec<Value> = names
        .iter()
        .map(|n| json!({"name": n, "match": [n]}))
        .collect();
    let models: Value = names
        .iter()
        .map(|n| (n.clone(), json!({"rpd": 1, "tpd": 1})))
        .collect();
    let tiers = |count: usize| -> Vec<Value> {
        let limits = json!({"concurrency": 1, "rpm": 1, "tpm": 1, "tpd": 1});
        let tier = |i| {
            json!({"name": format!("t{i}"), "recharge": i, "limits": limits,
            "models": models})
        };
        (0..count).map(tier).collect()
    };
    let parsed = |count: usize| {
        let fields = json!({"models": families, "model": [{"header": "x"}], "tiers": tiers(count)});
        parse(fields.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    // A tier has 13 series of its own, two for each of 68 limits, and four for each of 33 kinds of
    // models.
    assert!(parsed(14).is_ok());
    let refused = parsed(15).unwrap_err();
    assert!(
        refused.contains("4215 series of metrics, of at most 4096"),
        "{refused}"
    );
}
