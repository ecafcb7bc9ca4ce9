//! What a refused client reads: which limit, how full, when to come back.

use crate::fake_host::{FakeRequest, Worker, World, line, one_tier, retry_after_ms};

#[test]
fn the_limit_with_the_longest_wait_is_named() {
    let world = World::new();
    let rest = r#", "tokens": {"completion": 0}"#;
    let worker = Worker::new(&world, &one_tier(1, 2, 100, 0, rest));
    worker.admit(&FakeRequest::of("acme", "t", 100));
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 10));
    assert_eq!(
        reply.code, "tpm",
        "longer than the second that concurrency waits"
    );
    assert_eq!(retry_after_ms(&reply), 60_001);
    assert_eq!(line(&reply, "retry-after"), Some("61"));
    assert_eq!(
        line(&reply, "x-should-retry"),
        Some("false"),
        "over a minute"
    );
}

#[test]
fn concurrency_waits_as_configured() {
    let world = World::new();
    let rest = r#", "concurrency_retry_after": "250ms""#;
    let worker = Worker::new(&world, &one_tier(1, 0, 0, 0, rest));
    worker.admit(&FakeRequest::of("acme", "t", 0));
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 0));
    assert_eq!(
        (reply.status, reply.code, retry_after_ms(&reply)),
        (429, "concurrency", 250)
    );
    assert_eq!(line(&reply, "retry-after"), Some("1"));
    assert_eq!(line(&reply, "x-should-retry"), None);
    assert_eq!(
        line(&reply, "x-ratelimit-limit-requests"),
        None,
        "unlimited has no headers"
    );
}

#[test]
fn no_styles_no_rate_limit_headers() {
    let world = World::new();
    let worker = Worker::new(&world, &one_tier(0, 1, 0, 0, r#", "headers": []"#));
    assert!(
        worker
            .admit(&FakeRequest::of("acme", "t", 0))
            .headers
            .is_empty()
    );
    world.pass_ms(10);
    let reply = worker.refuse(&FakeRequest::of("acme", "t", 0));
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["content-type", "retry-after", "retry-after-ms"]);
}
