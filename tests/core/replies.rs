//! What a refused client reads: which limit, how full, when to come back.

use crate::harness::{Config, FakeRequest, Worker, World, line, retry_after_ms};
use serde_json::json;
use tiergate::reply::ReplyForm;
use tiergate::reply::client::GrpcWeb;

#[test]
fn the_limit_with_the_longest_wait_is_named() {
    let world = World::new();
    let rest = json!({"tokens": {"completion": 0}});
    let worker = Worker::new(
        &world,
        Config::tier("t").concurrency(1).rpm(2).tpm(100).with(rest),
    );
    worker.admit(&FakeRequest::acme(100));
    let reply = worker.refuse(&FakeRequest::acme(10));
    assert_eq!(
        reply.code, "tpm",
        "longer than the second that concurrency waits"
    );
    assert_eq!(retry_after_ms(&reply), 60_001);
    assert_eq!(line(&reply, "retry-after"), Some("61"));
    assert_eq!(
        line(&reply, "x-should-retry"),
        None,
        "a minute, and less than a part of it"
    );
}

#[test]
fn concurrency_waits_as_configured() {
    let world = World::new();
    let rest = json!({"concurrency_retry_after": "250ms"});
    let worker = Worker::new(&world, Config::tier("t").concurrency(1).with(rest));
    worker.admit(&FakeRequest::acme(0));
    let reply = worker.refuse(&FakeRequest::acme(0));
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
    let worker = Worker::new(
        &world,
        Config::tier("t").rpm(1).with(json!({"headers": []})),
    );
    let pass = worker.admit(&FakeRequest::acme(0));
    assert!(worker.told(&pass).is_empty());
    world.pass_ms(10);
    let reply = worker.refuse(&FakeRequest::acme(0));
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| *name).collect();
    let told = names
        .iter()
        .any(|name| name.starts_with("x-ratelimit") || name.contains("-ratelimit-"));
    assert!(!told, "{names:?}");
}

/// A content type, further headers, and the form of the reply.
type FormCase<'a> = (&'a str, &'a [(&'a str, &'a str)], ReplyForm);

/// The form of a reply, by the headers with which gRPC and gRPC-web come.
#[test]
fn grpc_web_is_known_by_what_envoys_filter_leaves_of_it() {
    let (grpc, web) = ("application/grpc", "application/grpc-web+proto");
    let translated = ReplyForm::GrpcWeb(GrpcWeb::Translated);
    let encoding = ("grpc-accept-encoding", "identity");
    let forms: [FormCase<'_>; 10] = [
        ("application/json", &[encoding], ReplyForm::Http),
        (web, &[], ReplyForm::GrpcWeb(GrpcWeb::Binary)),
        (grpc, &[("x-grpc-web", "1")], translated),
        (
            grpc,
            &[("x-user-agent", "grpc-web-javascript/0.1")],
            translated,
        ),
        (grpc, &[("accept", "application/grpc-web-text")], translated),
        (grpc, &[encoding], translated),
        (grpc, &[encoding, ("user-agent", "Mozilla/5.0")], translated),
        (
            grpc,
            &[encoding, ("user-agent", "app grpc-node-js/1.13.0")],
            ReplyForm::Grpc,
        ),
        (grpc, &[("grpc-accept-encoding", "gzip")], ReplyForm::Grpc),
        (grpc, &[("user-agent", "tonic/0.14")], ReplyForm::Grpc),
    ];
    let worker = Worker::new(&World::new(), Config::tier("t").rpm(1));
    worker.admit(&FakeRequest::acme(0));
    for (kind, headers, form) in forms {
        let mut request = FakeRequest::acme(0);
        for (name, value) in [&[("content-type", kind)], headers].concat() {
            request.headers.push((name.into(), value.into()));
        }
        let reply = worker.refuse(&request);
        assert_eq!(reply.form, form, "{headers:?}");
        let types = reply
            .headers
            .iter()
            .filter(|(name, _)| *name == "content-type");
        let wanted = match form {
            ReplyForm::GrpcWeb(kind) => kind.content_type(),
            ReplyForm::Http | ReplyForm::Grpc => "application/json",
        };
        assert!(types.map(|(_, value)| value).eq([wanted]), "{headers:?}");
    }
}
