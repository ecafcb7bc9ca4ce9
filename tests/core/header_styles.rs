//! The styles of rate-limit headers, from a request to what its client reads.

use crate::harness::{Config, FakeRequest, Worker, World, line};
use serde_json::{Value, json};

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
