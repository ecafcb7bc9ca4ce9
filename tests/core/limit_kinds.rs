//! Limits of any unit and window, of a tier and of an account.

use crate::harness::{Call, Config, FakeRequest, Next, Used, Worker, World, error, retry_after_ms};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::config::parse;
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::rates::TokenCounts;

const DAY_MS: u64 = 86_400_000;

/// One tier with this limit beside the four, which are unlimited.
fn with_limit(name: &str, limit: Value) -> Config {
    let mut limits = json!({"concurrency": "unlimited", "rpm": "unlimited",
        "tpm": "unlimited", "tpd": "unlimited"});
    limits[name] = limit;
    let tier = json!({"name": "t", "recharge": 1, "limits": limits});
    Config::new().with(
        json!({"capacity": {"accounts": 64}, "usage_path": "/u", "tiers": [tier],
        "tokens": {"completion": 100, "prompt": 0}}),
    )
}

fn object(unit: &str, per: &str, limit: u64) -> Value {
    json!({"unit": unit, "per": per, "limit": limit})
}

/// A request of 100 input and 100 output tokens.
fn acme() -> FakeRequest {
    FakeRequest::acme(100)
}

/// What is admitted of many requests, and the wait of the first that is not.
fn until_refused(worker: &Worker) -> (u64, u64, String) {
    for n in 0..10_000 {
        match worker.check(&acme()).next {
            Next::Forward(_) => {}
            Next::Reply(reply) => {
                let name = error(&reply)["limit"]["name"].as_str().unwrap().to_owned();
                return (n, retry_after_ms(&reply), name);
            }
            Next::Queue(_) => unreachable!("no tier waits"),
        }
    }
    panic!("nothing was refused");
}

/// Refused at the limit, and admitted as told.
fn holds(world: &Arc<World>, worker: &Worker, name: &str, requests: u64, wait_ms: u64) {
    let (admitted, wait, code) = until_refused(worker);
    assert_eq!((admitted, code.as_str()), (requests, name));
    assert_eq!(wait, wait_ms, "{name}");
    world.pass_ms(wait - 1);
    worker.refuse(&acme());
    world.pass_ms(1);
    worker.admit(&acme());
}

/// The world begins on Monday, 2026-09-21, at 14:13:20.123 UTC.
const TO_MIDNIGHT_MS: u64 = 35_199_877;

#[test]
fn each_known_name_counts_its_unit_in_its_window() {
    let slide = |ms: u64| ms + 1;
    for (name, limit, requests, wait) in [
        ("rps", 3, 3, slide(1_000)),
        ("rpm", 3, 3, slide(60_000)),
        ("rph", 3, 3, slide(3_600_000)),
        ("rpd", 3, 3, TO_MIDNIGHT_MS),
        ("tpm", 600, 3, slide(60_000)),
        ("tph", 600, 3, slide(3_600_000)),
        ("tpd", 600, 3, TO_MIDNIGHT_MS),
        ("itpm", 300, 3, slide(60_000)),
        ("itpd", 300, 3, TO_MIDNIGHT_MS),
        ("otpm", 300, 3, slide(60_000)),
        ("otpd", 300, 3, TO_MIDNIGHT_MS),
    ] {
        let world = World::new();
        let worker = Worker::new(&world, with_limit(name, json!(limit)));
        holds(&world, &worker, name, requests, wait);
    }
}

#[test]
fn a_named_limit_counts_any_unit_over_any_time() {
    for (unit, per, limit, wait) in [
        ("requests", "second", 3, 1_001),
        ("tokens", "90s", 600, 90_001),
        ("input_tokens", "250ms", 300, 251),
        ("output_tokens", "hour", 300, 3_600_001),
        ("requests", "1h", 3, 3_600_001),
        ("tokens", "day", 600, TO_MIDNIGHT_MS),
        ("requests", "week", 3, TO_MIDNIGHT_MS + 6 * DAY_MS),
        ("tokens", "month", 600, TO_MIDNIGHT_MS + 9 * DAY_MS),
    ] {
        let world = World::new();
        let worker = Worker::new(&world, with_limit("mine_1", object(unit, per, limit)));
        holds(&world, &worker, "mine_1", 3, wait);
    }
}

#[test]
fn a_rolling_day_makes_weeks_and_months_slide() {
    for (per, days) in [("day", 1), ("week", 7), ("month", 30)] {
        let world = World::new();
        let config = with_limit("mine", object("requests", per, 3));
        let config = config.with(json!({"windows": {"day": {"rolling": "1s"}}}));
        let worker = Worker::new(&world, config);
        holds(&world, &worker, "mine", 3, days * 1_000 + 1);
    }
}

#[test]
fn a_refusal_names_the_limit_in_words() {
    let world = World::new();
    let worker = Worker::new(&world, with_limit("images", object("requests", "week", 1)));
    worker.admit(&acme());
    let reply = worker.refuse(&acme());
    assert_eq!((reply.status, reply.code), (429, "images"));
    let said = "on requests per week (images): used 1 of 1.";
    assert!(reply.message.contains(said), "{}", reply.message);
    let metrics = worker.tick();
    assert_eq!(metrics.get("limited", "limit.images"), 1);
    assert_eq!(
        worker.check(&acme()).log_line(),
        "tier=t outcome=limited limit=images"
    );
    let usage = worker.usage(&acme());
    assert_eq!(usage["limits"]["images"]["used"], 1);
    assert_eq!(usage["limits"]["rpm"]["used"], Value::Null, "not counted");
}

#[test]
fn input_and_output_are_settled_apart() {
    let world = World::new();
    let config = with_limit("otpm", json!(1_000));
    let worker = Worker::new(&world, config);
    // 100 of input are reserved; a total of 150 leaves 50 of output.
    worker.serves(&acme(), Used::Tokens(150));
    assert_eq!(worker.usage(&acme())["limits"]["otpm"]["used"], 50);
    worker.serves(&acme(), Used::Tokens(1_000));
    assert_eq!(worker.usage(&acme())["limits"]["otpm"]["used"], 950);
    worker.refuse(&acme());
}

#[test]
fn no_client_moves_its_tokens_between_input_and_output() {
    let world = World::new();
    let config = with_limit("otpm", json!(1_000));
    let worker = Worker::new(&world, config);
    let consumed = Consumed {
        used: Used::Tokens(900),
        input: Some(TokenCounts {
            input: 10,
            ..TokenCounts::default()
        }),
    };
    // A body of blanks reserves much input; the response says what was input.
    let admission = worker.admission(&FakeRequest::acme(5_000));
    worker.settle(admission, consumed);
    assert_eq!(worker.usage(&acme())["limits"]["otpm"]["used"], 890);
}

#[test]
fn what_is_assumed_is_cut_to_the_smallest_limit() {
    let world = World::new();
    let worker = Worker::new(&world, with_limit("otpm", json!(50)));
    worker.admit(&acme());
    let reply = worker.refuse(&acme());
    assert_eq!(
        (reply.status, reply.code),
        (429, "otpm"),
        "{}",
        reply.message
    );
    let worker = Worker::new(&World::new(), with_limit("itpm", json!(50)));
    worker.admit(&acme());
    let reply = worker.refuse(&acme());
    assert_eq!((reply.status, reply.code), (429, "itpm"), "a length alone");
    let reply = worker.refuse(&acme().reading_tokens(100));
    assert_eq!((reply.status, reply.code), (400, "tokens_exceed_tier"));
    let said = "needs 100, and account acme in t has 50 of input tokens per minute (itpm) in all";
    assert!(reply.message.contains(said), "{}", reply.message);
}

#[test]
fn windows_of_one_length_share_a_log() {
    let world = World::new();
    let mut config =
        json!({"concurrency": "unlimited", "rpm": 100, "tpm": 100_000, "tpd": "unlimited"});
    let bytes = |limits: &Value| {
        let tier = json!({"name": "t", "recharge": 1, "limits": limits});
        let config = Config::new().with(json!({"capacity": {"accounts": 8}, "tiers": [tier]}));
        let world = World::new();
        let worker = Worker::new(&world, config);
        let empty = world.bytes();
        worker.admit(&acme());
        world.bytes() - empty
    };
    let two = bytes(&config);
    config["a"] = object("requests", "60s", 5);
    assert_eq!(bytes(&config), two, "the same log and column");
    config["b"] = object("input_tokens", "minute", 5_000);
    assert_eq!(bytes(&config), two + 8 + 4, "one more column");
    drop(world);
}

#[test]
fn an_account_has_limits_of_its_own_beside_its_tiers() {
    let world = World::new();
    let config = with_limit("images", object("requests", "week", 1));
    let more = json!({"tier": ["directory"], "admin": {"path": "/a", "insecure": true}});
    let worker = Worker::new(&world, config.with(more));
    let own = json!({"tier": "t", "limits": {
        "images": 3,
        "rpd": 5,
        "bursts": {"unit": "requests", "per": "1s", "limit": 2},
    }});
    let (status, said) = worker.put("acme", &own.to_string());
    assert_eq!(status, 200, "{said}");
    assert_eq!(until_refused(&worker).2, "bursts");
    world.pass_ms(2_000);
    worker.admit(&acme());
    assert_eq!(
        until_refused(&worker).2,
        "images",
        "a number keeps the tier's meaning"
    );
    let (_, view) = worker.call(&Call::Get(b"acme".to_vec()), "");
    assert_eq!(view["limits"]["images"], 3);
    assert_eq!(view["usage"]["rpd"]["used"], 3);
    let another = json!({"tier": "t", "limits": {"images": object("requests", "day", 2)}});
    assert_eq!(worker.put("other", &another.to_string()).0, 200);
    let (_, view) = worker.call(&Call::Get(b"other".to_vec()), "");
    assert_eq!(view["limits"]["images"], 2, "in place of the tier's");
    let ten = (0..10).map(|i| {
        (
            format!("l{i}"),
            object("requests", &format!("{}s", 70 + i), 5),
        )
    });
    for (limits, path) in [
        (
            Value::Object(ten.collect()),
            "15 limits with those of the tier",
        ),
        (json!({"videos": 3}), "limits.videos"),
        (json!({"rpm": object("tokens", "minute", 1)}), "limits.rpm"),
        (json!({"Bad": object("tokens", "minute", 1)}), "limits.Bad"),
    ] {
        let body = json!({"tier": "t", "limits": limits}).to_string();
        let (status, said) = worker.put("acme", &body);
        assert_eq!(status, 400, "{said}");
        assert!(said.to_string().contains(path), "{said}");
    }
}

#[test]
fn a_limit_that_a_new_config_adds_starts_from_what_the_record_has() {
    let world = World::new();
    let old = Worker::new(&world, with_limit("rpm", json!(10)));
    for _ in 0..3 {
        old.admit(&acme());
    }
    let new = Worker::new(&world, with_limit("mine", object("requests", "minute", 4)));
    new.admit(&acme());
    new.refuse(&acme());
    let tokens = Worker::new(&world, with_limit("tpm", json!(400)));
    tokens.admit(&acme());
    tokens.admit(&acme());
    tokens.refuse(&acme());
}

#[test]
fn what_is_wrong_with_limits_is_said_with_its_path() {
    for (name, limit, path, says) in [
        (
            "rpx",
            json!(3),
            "tiers[0].limits.rpx",
            "expected one of concurrency, rps",
        ),
        (
            "rpm",
            object("tokens", "day", 1),
            "tiers[0].limits.rpm",
            "another meaning needs another name",
        ),
        (
            "A b",
            object("tokens", "day", 1),
            "tiers[0].limits.A b",
            "1 to 32 of a to z",
        ),
        (
            "a",
            object("usd", "day", 1),
            "tiers[0].limits.a",
            "a model can come without a price",
        ),
        (
            "a",
            object("tokens", "59ms", 1),
            "tiers[0].limits.a.per",
            "a duration from \"60ms\"",
        ),
        (
            "a",
            object("tokens", "day", 0),
            "tiers[0].limits.a.limit",
            "from 1 to",
        ),
        (
            "a",
            json!({"unit": "tokens", "per": "day"}),
            "tiers[0].limits.a",
            "missing field `limit`",
        ),
    ] {
        let config = with_limit(name, limit).to_string();
        let refused = parse(config.as_bytes()).unwrap_err();
        assert_eq!(refused.path, path, "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
    }
    let windows = (0..8).map(|i| {
        (
            format!("w{i}"),
            object("tokens", &format!("{}s", 70 + i), 1 << 33),
        )
    });
    let mut limits = json!({"concurrency": 300, "rpm": 1, "tpm": 1, "tpd": 1});
    limits.as_object_mut().unwrap().extend(windows);
    let wide = json!({"tiers": [{"name": "a", "recharge": 1, "limits": limits}]}).to_string();
    let refused = parse(wide.as_bytes()).unwrap_err();
    assert_eq!(refused.path, "tiers[0]");
    assert!(refused.to_string().contains("of at most 8192"), "{refused}");
    let two = |a: &str, b: &str| {
        let tier = |name: &str, recharge: u64, per: &str| {
            let limits = json!({"concurrency": 1, "rpm": 1, "tpm": 1, "tpd": 1,
                "mine": object("requests", per, 1)});
            json!({"name": name, "recharge": recharge, "limits": limits})
        };
        json!({"tiers": [tier("a", 1, a), tier("b", 2, b)]}).to_string()
    };
    assert!(parse(two("day", "day").as_bytes()).is_ok());
    let refused = parse(two("day", "week").as_bytes()).unwrap_err();
    assert_eq!(refused.path, "tiers[1].limits.mine");
    assert!(
        refused.to_string().contains("requests per day elsewhere"),
        "{refused}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Of several limits, none is ever over, whichever refuses.
    #[test]
    fn no_limit_of_many_is_ever_over(
        limits in [1..20_u64, 1..60, 1..5_000, 1..9_000, 1..12_000],
        trace in prop::collection::vec((0..40_000_u64, 0..400_u64), 1..150),
    ) {
        let [rps, rpm, tph, itpm, otpd] = limits;
        let world = World::new();
        let mut config = with_limit("rps", json!(rps));
        let mut all = json!({"concurrency": "unlimited", "rpm": rpm, "tpm": "unlimited",
            "tpd": "unlimited", "rps": rps, "tph": tph + 500, "itpm": itpm + 500, "otpd": otpd + 500});
        all["slow"] = object("requests", "7m", rpm * 2);
        config = config.with(json!({"tiers": [{"name": "t", "recharge": 1, "limits": all}]}));
        let worker = Worker::new(&world, config);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (gap, prompt) in trace {
            world.pass_ms(gap);
            let request = FakeRequest::acme(prompt);
            if matches!(worker.check(&request).next, Next::Forward(_)) {
                admitted.push((world.now_us() / 1_000, prompt));
            }
            let now = world.now_us() / 1_000;
            let sum = |window: u64, of: &dyn Fn(u64) -> u64| -> u64 {
                let recent = admitted.iter().filter(|(at, _)| at + window >= now);
                recent.map(|(_, prompt)| of(*prompt)).sum()
            };
            prop_assert!(sum(1_000, &|_| 1) <= rps);
            prop_assert!(sum(60_000, &|_| 1) <= rpm);
            prop_assert!(sum(420_000, &|_| 1) <= rpm * 2);
            prop_assert!(sum(3_600_000, &|prompt| prompt + 100) <= tph + 500);
            prop_assert!(sum(60_000, &|prompt| prompt) <= itpm + 500);
        }
    }
}
