//! Tokens: reserved, settled, refunded, charged.

use crate::harness::{Admission, Config, FakeRequest, Used, Worker, World, line, retry_after_ms};
use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::routes::TokenCharge;
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::rates::PerKind;

/// One tier, in which a request reserves its prompt alone.
fn config() -> Config {
    Config::tier("t").with(json!({"tokens": {"completion": 0, "prompt": 0}}))
}

fn admission(worker: &Worker, tokens: u64) -> Admission {
    worker.admission(&FakeRequest::acme(tokens))
}

fn settle(worker: &Worker, admission: Admission, used: u64) {
    worker.settle(admission, Used::Tokens(used));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_used_is_what_counts(
        requests in prop::collection::vec((1..50_u64, 0..100_u64), 1..20),
    ) {
        let world = World::new();
        let worker = Worker::new(&world, config().tpm(100_000).tpd(100_000));
        let mut sum = 0;
        for (reserve, used) in requests {
            let first = admission(&worker, reserve);
            world.pass_ms(50);
            settle(&worker, first, used);
            sum += used;
        }
        let pass = worker.admit(&FakeRequest::acme(0));
        let told = worker.told(&pass);
        let left = told.iter().find(|(n, _)| *n == "x-ratelimit-remaining-tokens");
        prop_assert_eq!(left.unwrap().1.clone().unwrap(), (100_000 - sum).to_string());
        // One too many; when nothing was used, that is more than the limit ever holds.
        if sum > 0 {
            let reply = worker.refuse(&FakeRequest::acme(100_000 - sum + 1));
            prop_assert!(["tpm", "tpd"].contains(&reply.code));
        }
    }
}

#[test]
fn a_reserve_holds_before_anything_was_used() {
    let world = World::new();
    let worker = Worker::new(&world, config().tpm(1_000));
    let first = admission(&worker, 900);
    let reply = worker.refuse(&FakeRequest::acme(200));
    assert_eq!((reply.code, retry_after_ms(&reply)), ("tpm", 60_001));
    settle(&worker, first, 100);
    admission(&worker, 200);
}

#[test]
fn a_stream_longer_than_the_window_refunds_nothing_into_the_wrong_place() {
    let world = World::new();
    let worker = Worker::new(&world, config().tpm(1_000));
    let first = admission(&worker, 900);
    world.pass_ms(61_000);
    admission(&worker, 900);
    settle(&worker, first, 0);
    worker.refuse(&FakeRequest::acme(200));
}

#[test]
fn a_request_that_can_never_fit_is_told_so() {
    let world = World::new();
    let worker = Worker::new(&world, config().tpm(1_000).tpd(500));
    let read = |tokens: u64| FakeRequest::acme(tokens).reading_tokens(tokens);
    let reply = worker.refuse(&read(1_001));
    assert_eq!((reply.status, reply.code), (400, "tokens_exceed_tier"));
    assert_eq!(line(&reply, "retry-after"), None);
    assert!(
        reply.message.contains("1000 of tokens per minute (tpm)"),
        "{}",
        reply.message
    );
    let reply = worker.refuse(&read(501));
    assert!(
        reply.message.contains("500 of tokens per day (tpd)"),
        "{}",
        reply.message
    );
}

#[test]
fn the_remedy_is_about_the_larger_part_of_the_request() {
    let remedy = |limits: Value, body: &str| {
        let tier = Config::tier("t").with(json!({"tiers": [
            {"name": "t", "recharge": "0", "limits": limits}]}));
        let worker = Worker::new(&World::new(), tier);
        let message = worker.refuse(&FakeRequest::acme(0).reading(body)).message;
        message.rsplit_once(" in all. ").unwrap().1.to_owned()
    };
    let limits = |name: &str, limit: u64| {
        let mut all = json!({"concurrency": "unlimited", "rpm": "unlimited", "tpm": "unlimited",
            "tpd": "unlimited"});
        all[name] = limit.into();
        all
    };
    let prompt = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(40_000));
    let both = format!(r#"{{"max_tokens":900,"prompt":"{}"}}"#, "x".repeat(40_000));
    let completion = r#"{"messages":[],"max_tokens":6000}"#;
    let (shorter, lower) = (
        "Send a shorter prompt.",
        "Lower max_tokens or its equivalent.",
    );
    for (name, limit, body, wanted) in [
        ("tpm", 5_000, completion, lower),
        ("tpm", 5_000, &prompt, shorter),
        ("tpm", 5_000, &both, shorter),
        ("otpm", 500, &both, lower),
        ("itpm", 500, &both, shorter),
    ] {
        assert_eq!(remedy(limits(name, limit), body), wanted, "{name} {body}");
    }
}

/// A length alone may be that of a picture, so waiting may help.
#[test]
fn only_what_was_read_is_refused_for_good() {
    let used = |tokens: Value, request: &FakeRequest| {
        let config = Config::tier("t").tpm(1_000);
        let config = config.with(json!({ "tokens": tokens, "usage_path": "/u" }));
        let worker = Worker::new(&World::new(), config);
        worker.admit(request);
        worker.usage(&FakeRequest::acme(0))["limits"]["tpm"]["used"].clone()
    };
    let long = FakeRequest::acme(5_000);
    assert_eq!(used(json!({}), &long), 1_000, "cut");
    assert_eq!(used(json!({"media": 0, "completion": 10}), &long), 1_000);
    let no_length = FakeRequest::with(&[("x-account-id", "acme"), ("x-account-tier", "t")]);
    assert_eq!(used(json!({"prompt": 5_000}), &no_length), 1_000);
    let media = FakeRequest::acme(0).reading(picture(2_000));
    assert_eq!(used(json!({"media": 5_000}), &media), 1_000);
    let said = FakeRequest::acme(0).reading_tokens(900);
    assert_eq!(used(json!({}), &said), 1_000, "the completion is cut");
    let worker = Worker::new(&World::new(), Config::tier("t").tpm(1_000));
    for body in [r#"{"max_tokens":1001}"#, r#"{"max_tokens":501,"n":2}"#] {
        let reply = worker.refuse(&FakeRequest::acme(0).reading(body));
        assert_eq!((reply.status, reply.code), (400, "tokens_exceed_tier"));
    }
}

/// A body with a picture of so many bytes.
fn picture(bytes: usize) -> String {
    let data = "A".repeat(bytes);
    format!(r#"{{"messages":[{{"content":[{{"source":{{"data":"{data}"}}}}]}}]}}"#)
}

#[test]
fn what_a_body_asks_for_is_reserved() {
    let config = Config::tier("t").tpm(1_000_000);
    let tokens = json!({"completion": 100, "prompt": 10, "media": 500});
    let config = config.with(json!({"tokens": tokens, "usage_path": "/u"}));
    let reserved = |request: FakeRequest| {
        let worker = Worker::new(&World::new(), config.clone());
        worker.admit(&request);
        let usage = worker.usage(&FakeRequest::acme(0));
        usage["limits"]["tpm"]["used"].as_u64().unwrap()
    };
    let text = |body: &str| u64::try_from(body.len()).unwrap() / 4;
    for (body, completion) in [
        ("{}", 100),
        (r#"{"max_tokens":7}"#, 7),
        (r#"{"prompt":["a","b"],"max_tokens":7,"n":3}"#, 42),
        (r#"{"prompt":[1,2,3],"n":2}"#, 200),
        (r#"{"options":{"num_predict":-1}}"#, 100),
    ] {
        let wanted = text(body) + completion;
        assert_eq!(
            reserved(FakeRequest::acme(9).reading(body)),
            wanted,
            "{body}"
        );
    }
    let frame = text(&picture(0));
    let body = picture(1_000_000);
    assert_eq!(reserved(FakeRequest::acme(9).reading(body)), frame + 600);
    let upload = |kind: &str| {
        let mut request = FakeRequest::acme(500_000);
        let line = ("content-type".to_owned(), kind.as_bytes().to_vec());
        request.headers.push(line);
        reserved(request)
    };
    for kind in ["multipart/form-data; boundary=x", "image/png", "audio/wav"] {
        assert_eq!(upload(kind), 600, "{kind}");
    }
    assert_eq!(upload("application/octet-stream"), 600);
    assert_eq!(upload("text/plain"), 262_144 + 100);
}

/// What generates nothing costs requests alone.
#[test]
fn a_request_that_only_reads_costs_no_tokens() {
    let world = World::new();
    let rest = json!({"tokens": {"completion": 100, "prompt": 100}});
    let worker = Worker::new(&world, Config::tier("t").rpm(100).tpm(1_000).with(rest));
    let request = |method: &str, ends: bool, upgrade: bool| {
        let mut request = FakeRequest::acme(0);
        request.headers.retain(|(name, _)| name != "content-length");
        let method = (":method".to_owned(), method.as_bytes().to_vec());
        request.headers.push(method);
        if upgrade {
            let upgrade = ("upgrade".to_owned(), b"websocket".to_vec());
            request.headers.push(upgrade);
        }
        FakeRequest { ends, ..request }
    };
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let open = worker.admission(&request(method, true, false));
        assert_eq!(open.tokens(), TokenCharge::Fetched);
        worker.settle(open, Used::Tokens(7_500));
    }
    let usage = worker.usage(&FakeRequest::acme(0));
    let limits = &usage["limits"];
    assert_eq!(
        (&limits["rpm"]["used"], &limits["tpm"]["used"]),
        (&json!(4), &json!(0))
    );
    for (method, ends, upgrade) in [
        ("POST", true, false),
        ("GET", false, false),
        ("GET", true, true),
        ("get", true, false),
    ] {
        let open = worker.admission(&request(method, ends, upgrade));
        worker.settle(open, Used::Tokens(10));
    }
    let usage = worker.usage(&FakeRequest::acme(0));
    assert_eq!(usage["limits"]["tpm"]["used"], 40);
}

#[test]
fn an_output_alone_leaves_the_prompt_at_its_reserve() {
    let world = World::new();
    let worker = Worker::new(&world, config().tpm(1_000_000));
    let open = admission(&worker, 100_000);
    worker.settle(open, Used::Output(25));
    let metrics = worker.tick();
    assert_eq!(metrics.get("tokens", "kind.estimated"), 100_025);
    assert_eq!(metrics.get("tokens", "kind.used"), 0);
}

#[test]
fn with_settle_reserve_the_reserve_stands() {
    let world = World::new();
    let rest = json!({"tokens": {"completion": 0, "settle": "reserve"}});
    let worker = Worker::new(&world, Config::tier("t").tpm(1_000).with(rest));
    let first = admission(&worker, 900);
    settle(&worker, first, 0);
    worker.refuse(&FakeRequest::acme(200));
    let metrics = worker.tick();
    assert_eq!(metrics.get("tokens", "kind.estimated"), 900);
    assert_eq!(metrics.get("tokens", "kind.used"), 0);
}

#[test]
fn tokens_are_counted_by_kind() {
    let world = World::new();
    let worker = Worker::new(&world, config().tpm(1_000));
    let (a, b, c) = (
        admission(&worker, 100),
        admission(&worker, 100),
        admission(&worker, 100),
    );
    settle(&worker, a, 30);
    settle(&worker, b, 150);
    worker.release(c);
    let metrics = worker.tick();
    let kinds = ["reserved", "used", "refunded", "estimated"];
    let counted = kinds.map(|kind| metrics.get("tokens", &format!("kind.{kind}")));
    assert_eq!(counted, [300, 180, 70, 100]);
}

#[test]
fn reported_tokens_are_counted_by_kind_and_model() {
    let world = World::new();
    let models = json!([{"name": "k2", "match": ["kimi-k2*"]}]);
    let rest = json!({"models": models, "model": [{"header": "x-model"}]});
    let worker = Worker::new(&world, config().tpm(100_000).with(rest));
    let input = PerKind {
        input: 10,
        cached: 30,
        cache_write: 2,
        output: 0,
    };
    for model in ["kimi-k2-turbo", "", "kimi-k2"] {
        let mut request = FakeRequest::acme(0);
        if !model.is_empty() {
            request
                .headers
                .push(("x-model".to_owned(), model.as_bytes().to_vec()));
        }
        let open = worker.admission(&request);
        let (used, input) = (Used::Tokens(50), Some(input));
        worker.settle(open, Consumed { used, input });
    }
    worker.settle(admission(&worker, 5), Used::Unknown);
    let metrics = worker.tick();
    let counted = |end: &str| metrics.get("usage_tokens", end);
    let kinds = ["input", "cached", "cache_write", "output"];
    let of = |model: &str| kinds.map(|kind| counted(&format!(".kind.{kind}{model}")));
    assert_eq!(of(".model.k2"), [20, 60, 4, 16]);
    assert_eq!(of(""), [10, 30, 2, 8], "without a model");
}
