//! The filter's own replies, as scripts of browsers may read them.

use crate::harness::{Config, FakeRequest, Worker, World, line};
use serde_json::json;
use tiergate::config::parse;
use tiergate::reply::Reply;

const APP: &str = "https://app.example.com";

fn config(origins: &[&str]) -> Config {
    Config::tier("t")
        .rpm(1)
        .with(json!({"cors": {"origins": origins}, "usage_path": "/usage"}))
}

fn from(origin: &str) -> FakeRequest {
    let mut request = FakeRequest::acme(0);
    request.headers.push(("origin".into(), origin.into()));
    request
}

/// The reply to the second request of a minute.
fn refused(config: Config, request: &FakeRequest) -> Reply {
    let worker = Worker::new(&World::new(), config);
    worker.admit(&FakeRequest::acme(0));
    worker.refuse(request)
}

#[test]
fn a_refusal_is_readable_for_the_origins_of_the_list() {
    let reply = refused(config(&["http://localhost:5173", APP]), &from(APP));
    assert_eq!(line(&reply, "access-control-allow-origin"), Some(APP));
    assert_eq!(line(&reply, "vary"), Some("origin"));
    assert_eq!(
        line(&reply, "access-control-expose-headers"),
        Some(
            "retry-after, retry-after-ms, x-envoy-ratelimited, x-ratelimit-limit-requests, \
             x-ratelimit-remaining-requests, x-ratelimit-reset-requests"
        )
    );
}

#[test]
fn other_origins_are_told_nothing_and_caches_are_warned() {
    let long = format!("https://{}", "x".repeat(60_000));
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "HTTPS://APP.EXAMPLE.COM",
        "https://app.example.com\"",
        "\", *",
        "null",
        "",
        &long,
    ] {
        let reply = refused(config(&[APP]), &from(origin));
        assert_eq!(
            line(&reply, "access-control-allow-origin"),
            None,
            "{origin:.80}"
        );
        assert_eq!(line(&reply, "access-control-expose-headers"), None);
        assert_eq!(line(&reply, "vary"), Some("origin"));
    }
    let mut twice = from(APP);
    twice.headers.push(("origin".into(), APP.into()));
    let reply = refused(config(&[APP]), &twice);
    assert_eq!(line(&reply, "access-control-allow-origin"), None);
}

#[test]
fn a_star_is_every_origin() {
    let reply = refused(config(&["*"]), &from("https://any.example.com"));
    assert_eq!(line(&reply, "access-control-allow-origin"), Some("*"));
    let without = refused(config(&["*"]), &FakeRequest::acme(0));
    assert_eq!(line(&without, "access-control-allow-origin"), None);
}

/// What no browser sends as an origin would let nobody read anything.
#[test]
fn an_origin_that_no_browser_sends_is_refused() {
    let problem = |origins: &[&str]| {
        let config = config(origins).to_string();
        parse(config.as_bytes())
            .err()
            .map(|error| error.to_string())
    };
    for origin in [
        "https://app.example.com:8443",
        "http://localhost:443",
        "https://localhost:80",
        "http://[::1]:5173",
        "https://[2001:db8::1]",
        "chrome-extension://abcdefgh",
        "https://app_1.example.com",
    ] {
        assert_eq!(problem(&[origin]), None, "{origin}");
    }
    for (origin, says) in [
        (
            "https://app.example.com:443",
            "write \"https://app.example.com\"",
        ),
        ("http://[::1]:80", "write \"http://[::1]\""),
        ("https://:1", "not an origin"),
        ("https://", "not an origin"),
        ("http://a:", "not an origin"),
        ("http://a:b:c", "not an origin"),
        ("http://a:99999", "not an origin"),
        ("http://a:08080", "not an origin"),
        ("http://a:+80", "not an origin"),
        ("https://[::1", "not an origin"),
        ("https://::1]", "not an origin"),
        ("https://[a.b]", "not an origin"),
        ("https://[]", "not an origin"),
        ("https://[2001:0db8:0::1]", "not an origin"),
        ("https://[::1]x", "not an origin"),
        ("https://a[::1]", "not an origin"),
        ("https://::1", "not an origin"),
    ] {
        let problem = problem(&[origin]).unwrap_or_default();
        let starts = problem.starts_with("cors.origins[0]: ");
        assert!(starts && problem.contains(says), "{origin}: {problem}");
    }
    for origins in [["*", APP], [APP, "*"]] {
        let problem = problem(&origins).unwrap_or_default();
        assert!(problem.contains("\"*\" is every origin"), "{problem}");
    }
}

#[test]
fn the_usage_report_is_readable_too() {
    let worker = Worker::new(&World::new(), config(&[APP]));
    let reply = worker.usage_reply(&from(APP));
    assert_eq!(reply.status, 200);
    assert_eq!(line(&reply, "access-control-allow-origin"), Some(APP));
    assert_eq!(line(&reply, "access-control-expose-headers"), None);
    assert_eq!(line(&reply, "vary"), Some("origin"));
}

#[test]
fn without_the_part_replies_have_none_of_it() {
    let reply = refused(Config::tier("t").rpm(1), &from(APP));
    for name in [
        "access-control-allow-origin",
        "access-control-expose-headers",
        "vary",
    ] {
        assert_eq!(line(&reply, name), None);
    }
}
