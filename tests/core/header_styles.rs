//! The styles of rate-limit headers, from a request to what its client reads.

use crate::harness::{Config, FakeRequest, Worker, World, line};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A tier with exactly these limits, in these styles; nothing is reserved but what a test asks for.
fn styled(headers: Value, limits: Value) -> Config {
    let rest = json!({"headers": headers, "tokens": {"completion": 0, "prompt": 0}});
    Config::tier("t")
        .with(rest)
        .with_tier(json!({"limits": limits}))
}

fn calling(path: &str) -> FakeRequest {
    let mut request = FakeRequest::acme(0);
    request.headers.push((":path".into(), path.into()));
    request
}

/// Regression: with `"auto"`, each call read the wall clock and kept the limits of a day, for
/// Anthropic's style.
#[test]
fn with_auto_a_call_pays_for_its_own_style_alone() {
    let limits = json!({"rpm": 10, "rpd": 100});
    let rolling = json!({"windows": {"day": {"rolling": "24h"}}});
    let price = |headers: &Value, path: &str| {
        let config = styled(headers.clone(), limits.clone()).with(rolling.clone());
        let worker = Worker::new(&World::new(), config);
        worker.admit(&calling(path));
        worker.host.clock_reads.set(0);
        let pass = worker.admit(&calling(path));
        let kept = pass.snapshot.map(|snapshot| snapshot.all().count());
        (worker.host.clock_reads.get(), kept)
    };
    let (auto, none) = (json!("auto"), price(&json!([]), "/v1/chat/completions"));
    for (style, path) in [
        ("openai", "/v1/chat/completions"),
        ("anthropic", "/v1/messages"),
    ] {
        assert_eq!(price(&auto, path), price(&json!([style]), path), "{style}");
    }
    assert_eq!(price(&auto, "/v1/chat/completions"), (none.0, Some(1)));
    assert_eq!(price(&auto, "/v1/messages"), (none.0 + 1, Some(2)));
    let gemini = "/v1beta/models/x:generateContent";
    assert_eq!(price(&auto, gemini), none);
}

/// Regression: the item of the limit that refused told when nothing would be used.
#[test]
fn the_ietf_style_tells_a_refused_client_the_wait_of_retry_after() {
    let limits = json!({"concurrency": 1, "rpm": 2});
    let config = styled(json!(["ietf"]), limits).with(json!({"jitter": "10s"}));
    let world = World::new();
    let worker = Worker::new(&world, config);
    let acme = FakeRequest::acme(0);
    let item = |name: &str| {
        let reply = worker.refuse(&acme);
        assert_eq!(reply.code, name);
        let wait = line(&reply, "retry-after").unwrap();
        let left = line(&reply, "ratelimit").unwrap();
        let wanted = format!("\"{name}\";r=0;t={wait}");
        assert!(
            left.split(", ").any(|item| item == wanted),
            "{wait}: {left}"
        );
        left.to_owned()
    };
    worker.release(worker.admission(&acme));
    world.pass_ms(30_000);
    // The second of two requests holds the lease: both limits refuse, the minute for longer.
    let admission = worker.admission(&acme);
    let left = item("rpm");
    assert!(left.starts_with("\"concurrency\";r=0, "), "{left}");
    world.pass_ms(60_000);
    item("concurrency");
    worker.release(admission);
}

/// The headers of a response to an admitted request, without those that are removed.
fn told(worker: &Worker, request: &FakeRequest) -> BTreeMap<&'static str, String> {
    let pass = worker.admit(request);
    let lines = worker.told(&pass).into_iter();
    lines
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// A request for a model of the family "k2".
fn for_k2(tokens: u64) -> FakeRequest {
    let mut request = FakeRequest::acme(tokens);
    request.headers.push(("x-model".into(), b"k2".to_vec()));
    request
}

/// A tier with these limits of its own, and these of the family "k2".
fn with_family(headers: Value, own: Value, family: Value) -> Worker {
    let models = json!({
        "models": [{"name": "k2", "match": ["k2"]}], "model": [{"header": "x-model"}],
        "windows": {"day": {"rolling": "24h"}}
    });
    let config = styled(headers, own).with(models);
    let config = config.with_tier(json!({"models": {"k2": family}}));
    Worker::new(&World::new(), config)
}

fn wanted(lines: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
    let lines = lines
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    lines.collect()
}

/// The family's tokens are tighter than the account's, and its requests are not.
#[test]
fn openai_tells_the_tighter_of_account_and_family() {
    let (own, family) = (
        json!({"rpm": 7, "tpm": 9_000}),
        json!({"rpm": 60, "tpm": 500}),
    );
    let worker = with_family(json!(["openai"]), own, family);
    assert_eq!(
        told(&worker, &for_k2(100)),
        wanted(&[
            ("x-ratelimit-limit-requests", "7"),
            ("x-ratelimit-remaining-requests", "6"),
            ("x-ratelimit-reset-requests", "1m0.001s"),
            ("x-ratelimit-limit-tokens", "500"),
            ("x-ratelimit-remaining-tokens", "400"),
            ("x-ratelimit-reset-tokens", "1m0.001s"),
        ])
    );
    // A request without the family counts on the account alone.
    let lines = told(&worker, &FakeRequest::acme(100));
    assert_eq!(lines["x-ratelimit-limit-tokens"], "9000");
    assert_eq!(lines["x-ratelimit-remaining-tokens"], "8800");
}

#[test]
fn groq_tells_the_day_of_the_family() {
    let (own, family) = (json!({"rpm": 30, "tpm": 18_000}), json!({"rpd": 14_400}));
    let worker = with_family(json!(["groq"]), own, family);
    assert_eq!(
        told(&worker, &for_k2(3)),
        wanted(&[
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-remaining-requests", "14399"),
            ("x-ratelimit-reset-requests", "24h0m0.001s"),
            ("x-ratelimit-limit-tokens", "18000"),
            ("x-ratelimit-remaining-tokens", "17997"),
            ("x-ratelimit-reset-tokens", "1m0.001s"),
        ])
    );
    let lines = told(&worker, &FakeRequest::acme(3));
    assert_eq!(
        lines["x-ratelimit-limit-requests"], "30",
        "no day without the family"
    );
}

#[test]
fn anthropic_tells_input_and_output_of_the_family() {
    let (own, family) = (
        json!({"rpm": 4_000}),
        json!({"itpm": 300_000, "otpm": 80_000}),
    );
    let worker = with_family(json!(["anthropic"]), own, family);
    // The wall clock of the tests is 2026-09-21T14:13:20.123Z.
    assert_eq!(
        told(&worker, &for_k2(1_000)),
        wanted(&[
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2026-09-21T14:14:21Z"),
            ("anthropic-ratelimit-input-tokens-limit", "300000"),
            ("anthropic-ratelimit-input-tokens-remaining", "299000"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2026-09-21T14:14:21Z"
            ),
            ("anthropic-ratelimit-output-tokens-limit", "80000"),
            ("anthropic-ratelimit-output-tokens-remaining", "80000"),
            (
                "anthropic-ratelimit-output-tokens-reset",
                "2026-09-21T14:13:21Z"
            ),
        ])
    );
}

/// A minute of the account that refuses never says that a plan is used up; the family's day does.
#[test]
fn anthropics_status_is_rejected_by_a_familys_day_alone() {
    let status = "anthropic-ratelimit-unified-status";
    let reset = "anthropic-ratelimit-unified-reset";
    let refused = |own: Value, family: Value, used: u64| {
        let worker = with_family(json!(["anthropic"]), own, family);
        for _ in 0..used {
            worker.admit(&for_k2(0));
        }
        let reply = worker.refuse(&for_k2(0));
        let line = |name| line(&reply, name).map(str::to_owned);
        assert!(line("retry-after").is_some());
        (reply.code, line(status), line(reset))
    };
    let minute = refused(json!({"rpm": 9}), json!({"rpd": 10}), 9);
    assert_eq!(minute, ("rpm", None, None));
    let (code, status, reset) = refused(json!({"rpm": 9}), json!({"rpd": 5}), 5);
    assert_eq!((code, status.as_deref()), ("rpd", Some("rejected")));
    // 24 hours and a millisecond after 14:13:20.123Z, rounded up.
    assert_eq!(reset.as_deref(), Some("1790086401"));
}

#[test]
fn mistral_tells_the_month_and_what_the_query_costs() {
    let monthly = json!({"unit": "tokens", "per": "month", "limit": 200_000_000});
    let own = json!({"rpm": 720, "tpm": 5_000_000, "monthly": monthly});
    let worker = with_family(json!(["mistral"]), own, json!({"tpm": 1_000}));
    worker.admit(&FakeRequest::acme(37));
    assert_eq!(
        told(&worker, &for_k2(52)),
        wanted(&[
            ("x-ratelimit-limit-req-minute", "720"),
            ("x-ratelimit-remaining-req-minute", "718"),
            ("x-ratelimit-limit-tokens-minute", "1000"),
            ("x-ratelimit-remaining-tokens-minute", "948"),
            ("x-ratelimit-limit-tokens-month", "200000000"),
            ("x-ratelimit-remaining-tokens-month", "199999911"),
            ("x-ratelimit-tokens-query-cost", "52"),
        ])
    );
}

#[test]
fn ietf_has_items_of_account_and_family() {
    let own = json!({
        "concurrency": 5, "rpm": 200, "tpd": 1_500_000,
        "spend": {"unit": "usd", "per": "month", "limit": "12.50"},
        "bursts": {"unit": "requests", "per": "1500ms", "limit": 9}
    });
    let models =
        json!({"models": [{"name": "k2", "match": ["k2"]}], "model": [{"header": "x-model"}]});
    let config = styled(json!(["ietf"]), own).with(models);
    let config = config.with(json!({"unpriced": "free"}));
    let family = json!({"models": {"k2": {"concurrency": 2, "itpm": 9_000}}});
    let worker = Worker::new(&World::new(), config.with_tier(family));
    let lines = told(&worker, &for_k2(30));
    assert_eq!(
        lines["ratelimit-policy"],
        "\"concurrency\";q=5;qu=\"concurrent-requests\", \"rpm\";q=200;w=60, \
         \"tpd\";q=1500000;qu=\"tokens\";w=86400, \"bursts\";q=9;w=2, \
         \"spend\";q=1250;qu=\"usd-cents\", \
         \"k2/concurrency\";q=2;qu=\"concurrent-requests\", \"k2/itpm\";q=9000;qu=\"tokens\";w=60"
    );
    // The day ends at midnight, in 9 hours 46 minutes and 40 seconds.
    assert_eq!(
        lines["ratelimit"],
        "\"concurrency\";r=4, \"rpm\";r=199;t=61, \"tpd\";r=1499970;t=35200, \
         \"bursts\";r=8;t=2, \"spend\";r=1250;t=0, \"k2/concurrency\";r=1, \"k2/itpm\";r=8970;t=61"
    );
    worker.admit(&for_k2(0));
    let reply = worker.refuse(&for_k2(0));
    let left = line(&reply, "ratelimit").unwrap();
    assert!(left.contains("\"concurrency\";r=3, "), "{left}");
    assert!(left.contains("\"k2/concurrency\";r=0;t=1, "), "{left}");
}

/// What an upstream says under these names is about the gateway's key, not about the client.
#[test]
fn what_is_unlimited_is_removed_in_every_style() {
    for (style, headers) in [
        ("openai", 6),
        ("anthropic", 14),
        ("ietf", 2),
        ("groq", 6),
        ("mistral", 7),
    ] {
        let worker = with_family(json!([style]), json!({"rph": 9}), json!({"rps": 9}));
        let lines = worker.told(&worker.admit(&for_k2(0)));
        assert_eq!(lines.len(), headers, "{style}");
        let set = lines.iter().filter(|(_, value)| value.is_some()).count();
        let finite = match style {
            "ietf" => 2,
            "mistral" => 1,
            _ => 0,
        };
        assert_eq!(set, finite, "{style}: {lines:?}");
    }
}

#[test]
fn auto_tells_each_client_in_the_names_of_its_api() {
    let worker = Worker::new(&World::new(), styled(json!("auto"), json!({"rpm": 3})));
    for (path, name, headers) in [
        ("/v1/messages", "anthropic-ratelimit-requests-limit", 3),
        ("/v1/chat/completions", "x-ratelimit-limit-requests", 3),
        ("/v1beta/models/x:generateContent", "", 0),
    ] {
        let lines = told(&worker, &calling(path));
        assert_eq!(lines.len(), headers, "{lines:?}");
        assert!(headers == 0 || lines[name] == "3", "{lines:?}");
    }
    let names = |path: &str| {
        let reply = worker.refuse(&calling(path));
        let names = reply.headers.iter().map(|(name, _)| *name);
        names
            .filter(|name| name.contains("-ratelimit-"))
            .collect::<Vec<_>>()
    };
    let anthropic = names("/v1/messages");
    assert_eq!(anthropic.len(), 3);
    assert!(anthropic.iter().all(|name| name.starts_with("anthropic-")));
    assert!(
        names("/v1/embeddings")
            .iter()
            .all(|name| name.starts_with("x-ratelimit-"))
    );
    assert!(names("/v1beta/models/x:countTokens").is_empty());
}

#[test]
fn styles_with_names_of_their_own_go_together() {
    let all = json!(["mistral", "ietf", "openai", "anthropic"]);
    let lines = told(&with_family(all, json!({"rpm": 10}), json!({})), &for_k2(0));
    for name in [
        "ratelimit",
        "x-ratelimit-limit-requests",
        "anthropic-ratelimit-requests-limit",
        "x-ratelimit-limit-req-minute",
    ] {
        assert!(lines.contains_key(name), "{name}: {lines:?}");
    }
}
