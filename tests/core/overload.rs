//! Limits lowered for load by an operator: when, by how much, and what a client is told.

use crate::harness::{
    Call, Config, FakeRequest, Next, OverloadEvent, Used, Worker, World, error, in_force, line,
    put_load, retry_after_ms,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn workers<const N: usize>(world: &Arc<World>, config: &Config) -> [Worker; N] {
    std::array::from_fn(|_| Worker::new(world, config))
}

fn acme() -> FakeRequest {
    FakeRequest::acme(0)
}

/// How many of so many requests are admitted, each over at once.
fn admitted(worker: &Worker, requests: usize) -> usize {
    let serves = |_: &usize| worker.serves(&acme(), Used::Unknown);
    (0..requests).filter(serves).count()
}

#[test]
fn in_force_in_every_worker_on_its_next_tick_and_gone_after_its_time_without_one() {
    let world = World::new();
    let [here, there] = workers(&world, &Config::tier("t").rpm(10).open_admin());
    put_load(&here, r#"{"scale": 0.5, "ttl": "30s"}"#);
    there.tick();
    assert_eq!(admitted(&here, 3) + admitted(&there, 10), 5);
    world.pass_ms(29_999);
    assert_eq!(admitted(&here, 10) + admitted(&there, 10), 0);
    world.pass_ms(1);
    assert_eq!(admitted(&here, 10) + admitted(&there, 10), 5, "as bought");
}

#[test]
fn what_only_lowered_limits_refuse_is_said_so_and_names_the_limit_that_was_bought() {
    let world = World::new();
    let [worker] = workers(&world, &Config::tier("t").rpm(10).open_admin());
    put_load(&worker, r#"{"scale": 0.5, "ttl": "30s"}"#);
    assert_eq!(admitted(&worker, 10), 5);
    let reply = worker.refuse(&acme());
    assert_eq!(line(&reply, "x-ratelimit-limit-requests"), Some("10"));
    assert_eq!(line(&reply, "x-ratelimit-remaining-requests"), Some("0"));
    let error = error(&worker.refuse(&acme()));
    assert_eq!(error["type"], "engine_overloaded_error");
    assert_eq!(error["code"], "rpm");
    let limit = json!({"name": "rpm", "limit": 10, "used": 5, "retry_after_ms": 30_000});
    assert_eq!(error["limit"], limit, "no longer than the load is lowered");
    let log = worker.check(&acme()).log_line();
    assert_eq!(log, "tier=t outcome=limited limit=rpm overloaded=true");
    let metrics = worker.tick();
    assert_eq!(
        metrics.get("overloaded", "limit.rpm"),
        metrics.get("limited", "limit.rpm")
    );
    assert_eq!(metrics.get("limit_scale", "tier.t"), 500);
}

#[test]
fn what_the_bought_limits_refuse_too_is_no_matter_of_load() {
    let world = World::new();
    let [worker] = workers(&world, &Config::tier("t").rpm(10).open_admin());
    assert_eq!(admitted(&worker, 20), 10);
    world.pass_ms(50_000);
    put_load(&worker, r#"{"scale": 0.5, "ttl": "1h"}"#);
    let error = error(&worker.refuse(&acme()));
    assert_eq!(error["type"], "rate_limit_reached_error");
    assert_eq!(error["limit"]["limit"], 10);
    assert_eq!(error["limit"]["used"], 10);
    world.pass_ms(error["limit"]["retry_after_ms"].as_u64().unwrap());
    assert_eq!(admitted(&worker, 1), 1, "the wait was an honest one");
}

#[test]
fn a_request_over_the_lowered_tpm_alone_is_not_told_that_its_tier_is_too_small() {
    let world = World::new();
    let [worker] = workers(&world, &Config::tier("t").tpm(100_000).open_admin());
    put_load(&worker, r#"{"scale": 0.1, "ttl": "10s"}"#);
    let large = FakeRequest::acme(50_000);
    let error = error(&worker.refuse(&large));
    assert_eq!(error["type"], "engine_overloaded_error");
    assert_eq!(error["limit"]["retry_after_ms"], 10_000);
    let never = FakeRequest::acme(200_000).reading_tokens(200_000);
    assert_eq!(worker.refuse(&never).code, "tokens_exceed_tier");
    world.pass_ms(10_000);
    worker.admit(&large);
}

#[test]
fn all_four_limits_are_lowered_and_none_below_one() {
    let world = World::new();
    let [worker] = workers(
        &world,
        &Config::tier("t")
            .concurrency(8)
            .rpm(3)
            .tpm(100_000)
            .tpd(100_000)
            .open_admin(),
    );
    put_load(&worker, r#"{"scale": 0.25}"#);
    let limits = ["concurrency", "rpm", "tpm", "tpd"];
    let lowered = limits.map(|limit| in_force(&worker, "t", limit));
    assert_eq!(lowered, [2, 1, 25_000, 25_000]);
    let [worker] = workers(
        &world,
        &Config::tier("t").concurrency(8).rpm(3).open_admin(),
    );
    put_load(&worker, r#"{"scale": 0}"#);
    let _admission = worker.admit(&FakeRequest::of("other", "t", 0));
    let error = error(&worker.refuse(&FakeRequest::of("other", "t", 0)));
    assert_eq!(error["type"], "engine_overloaded_error");
    assert_eq!(error["limit"]["used"], 1);
}

#[test]
fn tiers_by_name_stand_in_place_of_the_scale_of_all() {
    let world = World::new();
    let config = Config::tier("low").concurrency(100).rpm(100);
    let config = config.and_tier("mid").concurrency(100).rpm(100);
    let config = config.and_tier("high").concurrency(100).rpm(100);
    let [worker] = workers(&world, &config.open_admin());
    let view = put_load(
        &worker,
        r#"{"scale": 0.5, "tiers": {"low": 0.2, "high": 1}, "ttl": "10m"}"#,
    );
    assert_eq!(
        view["in_force"],
        json!({"low": 0.2, "mid": 0.5, "high": 1.0})
    );
    assert_eq!(
        (&view["scale"], &view["ttl_ms"]),
        (&json!(0.5), &json!(600_000))
    );
    assert_eq!(view["tiers"], json!({"low": 0.2, "high": 1.0}));
    let remaining = |tier: &str| {
        let pass = worker.admit(&FakeRequest::of("acme", tier, 0));
        let (_, value) = &worker.told(&pass)[1];
        value.clone().unwrap()
    };
    assert_eq!(
        [remaining("low"), remaining("mid"), remaining("high")],
        ["19", "48", "97"]
    );
    let (status, answer) = worker.call(&Call::PutManual, r#"{"tiers": {"tier9": 0.5}}"#);
    assert_eq!(status, 400);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("body at tiers.tier9: "), "{message}");
}

#[test]
fn of_two_operators_the_last_one_wins_and_each_change_is_told_once() {
    let world = World::new();
    let [here, there] = workers(&world, &Config::tier("t").rpm(10).open_admin());
    let news = Worker::news;
    put_load(&here, r#"{"scale": 0.5, "ttl": "30s"}"#);
    world.pass_ms(1_000);
    put_load(&there, r#"{"scale": 0.9, "ttl": "20s"}"#);
    here.tick();
    assert_eq!(here.call(&Call::Overload, "").1["scale"], 0.9);
    let first = news(&here);
    assert!(
        matches!(&first[..], [OverloadEvent::Set { before: None, .. }]),
        "{first:?}"
    );
    let second = news(&there);
    assert!(matches!(
        &second[..],
        [OverloadEvent::Set {
            before: Some(_),
            ..
        }]
    ));
    let text = second[0].to_string();
    assert_eq!(
        text,
        "limits set manually to × 0.9 for 20000 ms, in place of × 0.5 for 30000 ms"
    );
    world.pass_ms(20_000);
    let ended: Vec<_> = [&here, &there, &here]
        .into_iter()
        .flat_map(|worker| {
            worker.tick();
            news(worker)
        })
        .collect();
    assert!(matches!(&ended[..], [OverloadEvent::Ended(_)]), "{ended:?}");
    put_load(&here, r#"{"scale": 0.9}"#);
    assert_eq!(there.call(&Call::DeleteManual, "").1["scale"], 1.0);
    assert!(matches!(&news(&there)[..], [OverloadEvent::Withdrawn(_)]));
    assert_eq!(
        there.call(&Call::DeleteManual, "").0,
        200,
        "again is nothing new"
    );
    assert!(news(&there).is_empty());
}

#[test]
fn a_request_pays_nothing_for_it() {
    let world = World::new();
    let [worker] = workers(
        &world,
        &Config::tier("t")
            .concurrency(5)
            .rpm(1_000)
            .tpm(1_000_000)
            .open_admin(),
    );
    let price = || {
        let (calls, clocks) = (worker.host.calls.get(), worker.host.clock_reads.get());
        admitted(&worker, 1);
        (
            worker.host.calls.get() - calls,
            worker.host.clock_reads.get() - clocks,
        )
    };
    price();
    let before = price();
    put_load(&worker, r#"{"scale": 0.5}"#);
    assert_eq!(price(), before);
}

#[test]
fn usage_is_told_without_a_write_and_with_the_numbers_of_the_headers() {
    let world = World::new();
    let [worker] = workers(
        &world,
        &Config::tier("t")
            .concurrency(3)
            .rpm(10)
            .tpm(100_000)
            .open_admin(),
    );
    put_load(&worker, r#"{"scale": 0.5}"#);
    let pass = worker.admit(&acme());
    let calls = worker.host.calls.get();
    let usage = worker.usage(&acme());
    assert_eq!(worker.host.calls.get() - calls, 1, "one read");
    assert_eq!(usage["tier"], "t");
    let headers = worker.told(&pass).into_iter();
    let headers = headers.map(|(name, value)| (name, value.unwrap()));
    let headers: std::collections::HashMap<_, _> = headers.collect();
    for (name, kind) in [("rpm", "requests"), ("tpm", "tokens")] {
        for (field, part) in [("limit", "limit"), ("remaining", "remaining")] {
            let told = usage["limits"][name][field].to_string();
            assert_eq!(
                told,
                headers[&*format!("x-ratelimit-{part}-{kind}")],
                "{name} {field}"
            );
        }
    }
    let rpm = json!({"limit": 10, "in_force": 5, "used": 1, "remaining": 4, "reset_ms": 60_001});
    assert_eq!(usage["limits"]["rpm"], rpm);
    let concurrency =
        json!({"limit": 3, "in_force": 1, "used": 1, "remaining": 0, "reset_ms": null});
    assert_eq!(usage["limits"]["concurrency"], concurrency);
    assert_eq!(usage["limits"]["tpd"]["limit"], "unlimited");
    let metrics = worker.tick();
    assert_eq!(
        metrics.get("requests", "outcome.admitted"),
        1,
        "it counts against nothing"
    );
    assert_eq!(metrics.get("requests", "outcome.usage"), 1);
}

#[test]
fn corrupt_bytes_are_no_load_and_are_counted() {
    let world = World::new();
    let [worker] = workers(&world, &Config::tier("t").rpm(10).open_admin());
    put_load(&worker, r#"{"scale": 0.5}"#);
    for bytes in [&b"\x01O\x07"[..], b"", b"\xff", &[1; 10_000]] {
        world.overwrite("tiergate/overload-state", bytes);
        worker.tick();
    }
    assert_eq!(worker.call(&Call::Overload, "").1["scale"], 1.0);
    world.forget("tiergate/overload-state");
    worker.tick();
    assert_eq!(admitted(&worker, 20), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_a_load_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let world = World::new();
        let [worker] = workers(&world, &Config::tier("t").rpm(10).open_admin());
        for start in [&b"\x01O"[..], b""] {
            world.overwrite("tiergate/overload-state", &[start, &bytes].concat());
            worker.tick();
            worker.check(&acme());
            let (status, _) = worker.call(&Call::Overload, "");
            prop_assert!(status == 200 || status == 503);
        }
    }

    /// Whatever is in force: never over it, and a wait exactly as told ends admitted.
    #[test]
    fn admitted_exactly_when_told_and_never_over_what_is_in_force(
        scale in 0..=1000_u32, ttl in 1..100_u64, pauses in prop::collection::vec(0..3_000_u64, 1..40)
    ) {
        let world = World::new();
        let [worker] = workers(&world, &Config::tier("t").rpm(10).open_admin());
        for pause in &pauses {
            admitted(&worker, 1);
            world.pass_ms(*pause);
        }
        let scale = f64::from(scale) / 1000.0;
        put_load(&worker, &format!(r#"{{"scale": {scale}, "ttl": "{ttl}s"}}"#));
        let end = world.now_us() + ttl * 1_000_000;
        for _ in 0..20 {
            let used = worker.usage(&acme())["limits"]["rpm"].clone();
            let lowered = world.now_us() < end && scale < 1.0;
            let in_force = used["in_force"].as_u64().unwrap_or(10);
            let wanted = (10.0 * scale).floor().max(1.0);
            if lowered { prop_assert_eq!(in_force, wanted as u64); }
            match worker.check(&acme()).next {
                Next::Forward(_) => prop_assert!(used["used"].as_u64().unwrap() < in_force),
                Next::Reply(reply) => {
                    prop_assert_eq!(&used["remaining"], 0);
                    world.pass_ms(retry_after_ms(&reply));
                    prop_assert_eq!(admitted(&worker, 1), 1);
                }
                Next::Queue(_) => unreachable!(),
            }
        }
    }
}

/// A client that reads `rejected`, or "PerDay", stops until its plan begins anew. A limit that an
/// operator lowers for ten minutes is no such end.
#[test]
fn a_day_that_is_lowered_for_load_is_not_told_as_used_up() {
    let config = |more: Value| {
        let tokens = json!({"tokens": {"completion": 0, "prompt": 0}});
        let config = Config::tier("t").rpm(5).tpd(1_000).open_admin();
        config.with(tokens).with(more)
    };
    let refuse = |more: Value, tokens: u64, lowered: bool| {
        let worker = Worker::new(&World::new(), config(more));
        worker.admit(&FakeRequest::acme(90));
        if lowered {
            worker.call(&Call::PutManual, r#"{"scale": 0.1, "ttl": "10m"}"#);
            worker.tick();
        }
        worker.refuse(&FakeRequest::acme(tokens))
    };
    let anthropic = json!({"headers": ["anthropic"]});
    let reply = refuse(anthropic.clone(), 50, true);
    assert_eq!(error(&reply)["type"], "engine_overloaded_error");
    for name in ["status", "reset"] {
        let name = format!("anthropic-ratelimit-unified-{name}");
        assert_eq!(line(&reply, &name), None);
    }
    let reply = refuse(anthropic, 950, false);
    let status = line(&reply, "anthropic-ratelimit-unified-status");
    assert_eq!(status, Some("rejected"), "used up");
    let quota = |reply: &tiergate::reply::Reply| {
        error(reply)["details"][1]["violations"][0]["quotaId"].clone()
    };
    let gemini = json!({"errors": "gemini"});
    let reply = refuse(gemini.clone(), 50, true);
    assert_eq!(quota(&reply), "TokensLoweredForLoad");
    assert_eq!(quota(&refuse(gemini, 950, false)), "TokensPerDay");
}

/// The minute refuses for a minute, and the lowered day for ten.
#[test]
fn a_wait_of_a_lowered_limit_says_whose_it_is() {
    let tokens = json!({"tokens": {"completion": 0, "prompt": 0}, "headers": ["anthropic"]});
    let config = Config::tier("t")
        .rpm(1)
        .tpd(1_000)
        .open_admin()
        .with(tokens);
    let worker = Worker::new(&World::new(), config);
    worker.admit(&FakeRequest::acme(90));
    let alone = worker.refuse(&FakeRequest::acme(50));
    let message = error(&alone)["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("try again in 1m0.001s."), "{message}");
    worker.call(&Call::PutManual, r#"{"scale": 0.1, "ttl": "10m"}"#);
    worker.tick();
    let both = worker.refuse(&FakeRequest::acme(50));
    assert_eq!(error(&both)["code"], "rpm");
    let message = error(&both)["message"].as_str().unwrap().to_owned();
    assert!(
        message.ends_with(
            "try again in 10m0s: the limit on tokens per day (tpd) is lowered for now, and refuses \
             for longer."
        ),
        "{message}"
    );
    assert_eq!(line(&both, "anthropic-ratelimit-unified-status"), None);
}
