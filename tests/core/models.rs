//! Families of models: limits, weights, prices and unknown models.

use crate::harness::{Call, Config, FakeRequest, Used, Worker, World, error};
use crate::models_by_body::in_body;
use serde_json::{Value, json};
use tiergate::config::parse;
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::rates::TokenCounts;

/// Two families of which the tier limits one, and a spend limit where told.
pub fn config(families: Value, tier: Value) -> Config {
    let mut limits = json!({"concurrency": "unlimited", "rpm": "unlimited",
        "tpm": "unlimited", "tpd": "unlimited"});
    limits
        .as_object_mut()
        .unwrap()
        .extend(tier["limits"].as_object().cloned().unwrap_or_default());
    let mut one = json!({"name": "t", "recharge": 1, "limits": limits});
    if !tier["models"].is_null() {
        one["models"] = tier["models"].clone();
    }
    Config::new().with(json!({
        "capacity": {"accounts": 64}, "usage_path": "/u", "models": families,
        "model": [{"header": "x-model"}, {"path": "/v1beta/models/{model}:*"}],
        "tiers": [one], "tokens": {"completion": 0, "prompt": 0},
    }))
}

pub fn families() -> Value {
    json!([
        {"name": "k2", "match": ["kimi-k2*", "moonshot-*-K2"]},
        {"name": "small", "match": ["*-mini", "*-nano"], "completion": 50},
    ])
}

pub fn request(model: &str, prompt_tokens: u64) -> FakeRequest {
    let mut request = FakeRequest::acme(prompt_tokens);
    if !model.is_empty() {
        let line = ("x-model".to_owned(), model.as_bytes().to_vec());
        request.headers.push(line);
    }
    request
}

#[test]
fn a_family_has_limits_of_its_own_beside_the_accounts() {
    let world = World::new();
    let tier = json!({"limits": {"rpm": 5}, "models": {"k2": {"rpm": 2}}});
    let worker = Worker::new(&world, config(families(), tier));
    worker.admit(&request("kimi-k2-0905", 1));
    worker.admit(&request("KIMI-K2", 1));
    let reply = worker.refuse(&request("moonshot-v1-k2", 1));
    let limit = &error(&reply)["limit"];
    assert_eq!(
        (&limit["name"], &limit["model"]),
        (&json!("rpm"), &json!("k2"))
    );
    assert_eq!((&limit["limit"], &limit["used"]), (&json!(2), &json!(2)));
    let said = "on requests per minute (rpm) of k2 models: used 2 of 2";
    assert!(reply.message.contains(said), "{}", reply.message);
    for model in ["gpt-mini", "another", ""] {
        worker.admit(&request(model, 1));
    }
    let reply = worker.refuse(&request("gpt-mini", 1));
    let limit = &error(&reply)["limit"];
    assert_eq!((&limit["used"], &limit["model"]), (&json!(5), &json!(null)));
    let usage = worker.usage(&request("", 0));
    assert_eq!(usage["limits"]["rpm"]["used"], 5);
    assert_eq!(usage["models"]["k2"]["rpm"]["used"], 2);
    assert_eq!(usage["models"].as_object().unwrap().len(), 1);
    let metrics = worker.tick();
    assert_eq!(metrics.get("limited", "tier.t.limit.rpm.model.k2"), 1);
    assert_eq!(metrics.get("limited", "tier.t.limit.rpm"), 1);
    assert_eq!(metrics.get("model_unknown", ""), 2);
}

#[test]
fn the_log_line_names_the_family() {
    let tier = json!({"models": {"k2": {"rpm": 1}}});
    let worker = Worker::new(&World::new(), config(families(), tier));
    let line = |model: &str| worker.check(&request(model, 1)).log_line();
    assert_eq!(line("kimi-k2"), "tier=t outcome=admitted model=k2");
    assert_eq!(line("kimi-k2"), "tier=t outcome=limited limit=rpm model=k2");
    assert_eq!(line("other"), "tier=t outcome=admitted");
}

#[test]
fn a_settlement_returns_the_leases_and_tokens_of_account_and_family() {
    let world = World::new();
    let tier = json!({
        "limits": {"concurrency": 3, "tpm": 1_000},
        "models": {"k2": {"concurrency": 1, "tpm": 500, "tpd": 600}},
    });
    let worker = Worker::new(&world, config(families(), tier));
    let first = worker.admission(&request("kimi-k2", 400));
    let reply = worker.refuse(&request("kimi-k2", 1));
    assert_eq!(error(&reply)["limit"]["model"], "k2");
    assert_eq!(reply.code, "concurrency");
    let other = worker.admission(&request("gpt-mini", 1));
    worker.settle(first, Used::Tokens(100));
    worker.settle(other, Used::Tokens(1));
    let usage = worker.usage(&request("", 0));
    assert_eq!(usage["limits"]["concurrency"]["used"], 0);
    assert_eq!(usage["limits"]["tpm"]["used"], 101);
    let k2 = &usage["models"]["k2"];
    assert_eq!(k2["concurrency"]["used"], 0);
    assert_eq!(
        (&k2["tpm"]["used"], &k2["tpd"]["used"]),
        (&json!(100), &json!(100))
    );
    let reply = worker.refuse(&request("kimi-k2", 501).reading_tokens(501));
    assert_eq!((reply.status, reply.code), (400, "tokens_exceed_tier"));
    assert!(reply.message.contains("of k2 models"), "{}", reply.message);
}

#[test]
fn an_assumed_completion_is_the_familys_and_is_cut_to_its_limits() {
    let tier = json!({"models": {"small": {"otpm": 40}}, "limits": {"tpm": 10_000}});
    let worker = Worker::new(&World::new(), config(families(), tier));
    worker.admit(&request("gpt-mini", 10));
    let usage = worker.usage(&request("", 0));
    assert_eq!(usage["limits"]["tpm"]["used"], 60, "prompt and completion");
    assert_eq!(usage["models"]["small"]["otpm"]["used"], 40, "cut");
}

#[test]
fn a_model_that_no_family_has_is_shared_refused_or_given_to_one() {
    let tier = json!({"models": {"k2": {"rpm": 1}}});
    let with = |rule: &str| {
        let more = json!({"unknown_model": rule});
        Worker::new(&World::new(), config(families(), tier.clone()).with(more))
    };
    let share = with("share");
    share.admit(&request("gpt", 1));
    share.admit(&request("gpt", 1));

    let refuse = with("refuse");
    for (model, says) in [
        ("gpt-\"5\"", "There is no model \"gpt-\\\"5\\\"\"."),
        ("", "The request names no model."),
        ("kimi-k2, gpt", "can't be read, or is named more than once"),
    ] {
        let reply = refuse.refuse(&request(model, 1));
        assert_eq!(
            (reply.status, reply.code, reply.grpc_status),
            (404, "model_unknown", 5)
        );
        assert_eq!(error(&reply)["type"], "not_found_error");
        assert!(reply.message.contains(says), "{}", reply.message);
    }
    let mut twice = request("kimi-k2", 1);
    twice.headers.push(("x-model".to_owned(), b"gpt".to_vec()));
    assert_eq!(refuse.refuse(&twice).status, 404, "two names are none");
    let mut no_body = request("gpt", 1);
    no_body.ends = true;
    refuse.admit(&no_body);

    let given = with("k2");
    given.admit(&request("gpt", 1));
    assert_eq!(given.refuse(&request("", 1)).code, "rpm");
}

#[test]
fn a_path_names_the_model_where_no_header_does() {
    let tier = json!({"models": {"k2": {"rpm": 1}}});
    let worker = Worker::new(&World::new(), config(families(), tier));
    let at = |path: &str| {
        let mut request = FakeRequest::acme(1);
        let line = (":path".to_owned(), path.as_bytes().to_vec());
        request.headers.push(line);
        request
    };
    worker.admit(&at(
        "/v1beta/models/kimi-k2:generateContent?x=/v1beta/models/gpt:y",
    ));
    assert_eq!(worker.refuse(&at("/v1beta/models/Kimi%2DK2:x")).code, "rpm");
    worker.admit(&at("/v1beta/models/../models/kimi-k2:generateContent"));
}

/// Usage of 1,000 input, 400 cached, 10 written and 7 output tokens.
fn used() -> Consumed {
    Consumed {
        used: Used::Tokens(1_417),
        input: Some(TokenCounts {
            input: 1_000,
            cached: 400,
            cache_write: 10,
            output: 0,
        }),
    }
}

#[test]
fn weights_count_in_limits_on_tokens_and_nowhere_else() {
    let families = json!([{"name": "k2", "match": ["k2"], "weights": {"output": 2.5}}]);
    let tier = json!({
        "limits": {"tpm": 100_000, "itpm": 100_000, "otpm": 100_000},
        "models": {"k2": {"tpm": 100_000}},
    });
    let weights = json!({"tokens": {"weights": {"cached": "0.1", "output": 2}}});
    let worker = Worker::new(&World::new(), config(families, tier).with(weights));
    let open = worker.admission(&request("k2", 100));
    assert_eq!(worker.usage(&request("", 0))["limits"]["tpm"]["used"], 100);
    worker.settle(open, used());
    let usage = worker.usage(&request("", 0));
    // 1,000 + 40 + 10 + 17.5, rounded up.
    assert_eq!(usage["limits"]["tpm"]["used"], 1_068);
    assert_eq!(usage["models"]["k2"]["tpm"]["used"], 1_068);
    assert_eq!(usage["limits"]["itpm"]["used"], 1_410);
    assert_eq!(usage["limits"]["otpm"]["used"], 7);
    let open = worker.admission(&request("other", 0));
    worker.settle(open, used());
    let usage = worker.usage(&request("", 0));
    assert_eq!(
        usage["limits"]["tpm"]["used"],
        1_068 + 1_064,
        "the config's own"
    );
}

fn priced() -> Value {
    let price = json!({"input": "0.60", "cached": 0.15, "output": "2.50"});
    json!([{"name": "k2", "match": ["k2"], "price": price}])
}

fn spend(limit: &str) -> Value {
    json!({"limits": {"spend": {"unit": "usd", "per": "month", "limit": limit}}})
}

#[test]
fn money_is_counted_to_the_cent_and_refused_at_its_limit() {
    let world = World::new();
    let refuse = json!({"unknown_model": "refuse"});
    let worker = Worker::new(&world, config(priced(), spend("0.02")).with(refuse));
    let serve = || {
        let open = worker.admission(&request("k2", 1));
        worker.settle(open, used());
    };
    // 606 + 60 + 17.5 millionths of a dollar each: 29 of them are $0.01982.
    for _ in 0..29 {
        serve();
    }
    let view = &worker.usage(&request("", 0))["limits"]["spend"];
    assert_eq!(
        (&view["limit"], &view["used"]),
        (&json!("0.02"), &json!("0.02"))
    );
    assert_eq!(view["remaining"], "0.00", "rounded against the account");
    serve();
    let reply = worker.refuse(&request("k2", 1));
    let limit = &error(&reply)["limit"];
    assert_eq!((reply.status, reply.code), (429, "spend"));
    assert_eq!(
        (&limit["limit"], &limit["used"]),
        (&json!("0.02"), &json!("0.03"))
    );
    assert!(
        reply
            .message
            .contains("USD per month (spend): used $0.03 of $0.02")
    );
}

#[test]
fn money_for_one_request_is_refused_for_good_only_where_it_was_read() {
    let more = json!({"unknown_model": "refuse", "tokens": {"completion": 1_000_000}});
    let worker = Worker::new(&World::new(), config(priced(), spend("1.00")).with(more));
    worker.admit(&request("k2", 2_000_000));
    let usage = worker.usage(&request("", 0));
    assert_eq!(usage["limits"]["spend"]["used"], "1.00", "cut to the limit");
    let worker = {
        let more = json!({"unknown_model": "refuse", "tokens": {"context": 10_000_000}});
        Worker::new(&World::new(), config(priced(), spend("1.00")).with(more))
    };
    let reply = worker.refuse(&request("k2", 0).reading_tokens(2_000_000));
    assert_eq!((reply.status, reply.code), (400, "tokens_exceed_tier"));
    let said = "needs $1.20, and account acme in t has $1.00 of USD per month (spend)";
    assert!(reply.message.contains(said), "{}", reply.message);
}

#[test]
fn a_model_without_a_price_is_refused_at_the_config_or_free_and_counted() {
    let refused = |config: Config| parse(config.to_string().as_bytes()).unwrap_err();
    let error = refused(config(families(), spend("5")));
    assert_eq!(error.path, "tiers[0].limits.spend");
    let family = json!({"models": {"k2": spend("5")["limits"]}});
    let error = refused(config(families(), family.clone()));
    assert_eq!(error.path, "tiers[0].models.k2.spend");
    assert!(parse(config(priced(), family).to_string().as_bytes()).is_ok());

    let free = json!({"unpriced": "free"});
    let worker = Worker::new(&World::new(), config(families(), spend("5")).with(free));
    let open = worker.admission(&request("kimi-k2", 1));
    worker.settle(open, used());
    assert_eq!(
        worker.usage(&request("", 0))["limits"]["spend"]["used"],
        "0.00"
    );
    assert_eq!(worker.tick().get("unpriced", ""), 1);
}

#[test]
fn an_accounts_own_limit_on_money_is_in_dollars() {
    let more = json!({"unknown_model": "refuse", "tier": ["directory"],
        "admin": {"path": "/a", "insecure": true}});
    let worker = Worker::new(&World::new(), config(priced(), spend("5")).with(more));
    for (own, shown) in [
        (json!(20), "20.00"),
        (json!("7.25"), "7.25"),
        (json!(7.5), "7.50"),
    ] {
        let body = json!({"tier": "t", "limits": {"spend": own}}).to_string();
        assert_eq!(worker.put("acme", &body).0, 200);
        let (_, view) = worker.call(&Call::Get(b"acme".to_vec()), "");
        assert_eq!(view["limits"]["spend"], shown);
    }
    for own in [json!("0.001"), json!(-1), json!("10000000.01"), json!("0")] {
        let body = json!({"tier": "t", "limits": {"spend": own}}).to_string();
        assert_eq!(worker.put("acme", &body).0, 400, "{own}");
    }
    let body = json!({"tier": "t", "limits": {"rpm": "7.50"}}).to_string();
    let (status, said) = worker.put("acme", &body);
    assert_eq!(status, 400);
    assert!(said.to_string().contains("limits.rpm"), "{said}");
}

#[test]
fn an_accounts_own_limits_and_those_of_a_family_are_at_most_twelve() {
    let sum = |i: u64| json!({"unit": "requests", "per": format!("{}s", 70 + i), "limit": 5});
    let named = |n: u64| -> Value { (0..n).map(|i| (format!("l{i}"), sum(i))).collect() };
    let tier = json!({"models": {"k2": {"rpm": 1, "rpd": 1, "tpm": 9_999}}});
    let more = json!({"tier": ["directory"], "admin": {"path": "/a", "insecure": true}});
    let worker = Worker::new(&World::new(), config(families(), tier).with(more));
    let put = |n: u64| {
        let body = json!({"tier": "t", "limits": named(n)}).to_string();
        worker.put("acme", &body)
    };
    assert_eq!(put(5).0, 200);
    let (status, said) = put(6);
    assert_eq!(status, 400);
    assert!(
        said.to_string()
            .contains("13 limits with those of the tier"),
        "{said}"
    );
}

#[test]
fn the_default_for_unknown_models_may_be_written_without_families() {
    let config = Config::tier("t").with(json!({"unknown_model": "share"}));
    let worker = Worker::new(&World::new(), config);
    assert!(worker.serves(&FakeRequest::acme(1), Used::Tokens(1)));
}

#[test]
fn what_is_wrong_with_models_is_said_with_its_path() {
    let base = config(families(), json!({}));
    let many = (0..33).map(|i| json!({"name": format!("f{i}"), "match": ["x"]}));
    for (fields, path) in [
        (json!({"models": []}), "model"),
        (json!({"model": []}), "model"),
        (json!({"model": [{"body": "model"}]}), "model[0].body"),
        (in_body(json!([{"body": "/a//b"}])), "model[0].body"),
        (in_body(json!([{"body": "/a/*"}])), "model[0].body"),
        (in_body(json!([{"body": "n"}])), "model[0].body"),
        (
            in_body(json!([{"body": "model"}, {"body": "/model"}])),
            "model[1].body",
        ),
        (
            in_body(json!([{"body": "model", "header": "x"}])),
            "model[0]",
        ),
        (json!({"model": [{}]}), "model[0]"),
        (json!({"model": [{"path": "/x"}]}), "model[0].path"),
        (json!({"model": [{"header": "a b"}]}), "model[0].header"),
        (json!({"model": [{"property": []}]}), "model[0].property"),
        (json!({"unknown_model": "gpt"}), "unknown_model"),
        (json!({"models": many.collect::<Vec<_>>()}), "models"),
        (
            json!({"models": [{"name": "a b", "match": ["x"]}]}),
            "models[0].name",
        ),
        (
            json!({"models": [{"name": "share", "match": ["x"]}]}),
            "models[0].name",
        ),
        (
            json!({"models": [{"name": "a", "match": []}]}),
            "models[0].match",
        ),
        (
            json!({"models": [{"name": "a", "match": [""]}]}),
            "models[0].match[0]",
        ),
        (
            json!({"models": [{"name": "a", "match": ["x"], "weights": {"input": 1001}}]}),
            "models[0].weights.input",
        ),
        (
            json!({"models": [{"name": "a", "match": ["x"], "price": {"input": "0.0000001"}}]}),
            "models[0].price.input",
        ),
        (
            json!({"tokens": {"cached": "free", "weights": {"cached": 0}}}),
            "tokens.cached",
        ),
    ] {
        let refused = parse(base.clone().with(fields.clone()).to_string().as_bytes());
        assert_eq!(
            refused.map_err(|e| e.path),
            Err(path.to_owned()),
            "{fields}"
        );
    }
    let tier = |models: Value| config(families(), json!({ "models": models }));
    let sum = |unit: &str| json!({"unit": unit, "per": "day", "limit": 5});
    for (tier, path) in [
        (tier(json!({"gpt": {"rpm": 1}})), "tiers[0].models.gpt"),
        (tier(json!({"k2": {"a": 1}})), "tiers[0].models.k2.a"),
        (
            tier(json!({"k2": {"a": sum("tokens")}, "small": {"a": sum("requests")}})),
            "tiers[0].models.small.a",
        ),
    ] {
        let refused = parse(tier.to_string().as_bytes());
        assert_eq!(refused.map_err(|e| e.path), Err(path.to_owned()));
    }
}

#[test]
fn the_limits_of_all_families_fit_in_a_record_and_in_the_metrics() {
    let names: Vec<String> = (0..32).map(|i| format!("f{i}")).collect();
    let many: Value = names
        .iter()
        .map(|n| json!({"name": n, "match": [n]}))
        .collect();
    let all = |limits: Value| -> Value {
        let models = names.iter().map(|n| (n.clone(), limits.clone()));
        json!({"models": Value::Object(models.collect())})
    };
    let refused = parse(
        config(many.clone(), all(json!({"rpm": 1, "tpm": 1})))
            .to_string()
            .as_bytes(),
    );
    let refused = refused.unwrap_err();
    assert_eq!(refused.path, "tiers[0]");
    assert!(refused.problem.contains("of at most 8192"), "{refused}");
    let days = json!({"rpd": 1, "tpd": 1, "itpd": 1});
    assert!(parse(config(many, all(days)).to_string().as_bytes()).is_ok());
}
