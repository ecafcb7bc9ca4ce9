//! Rate-limit headers beside those of an upstream that has its own.

use crate::harness::Config;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::Stack;
use serde_json::json;

/// All values of a header of a reply.
fn all<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
    let values = reply.headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

/// The reply to a request that is admitted; the upstream sends these headers.
fn reply_with(stack: &Stack, upstream: &[(&str, &str)]) -> Reply {
    let mut call = Call::of("acme", "t");
    for (name, value) in upstream {
        call = call.header("x-demo-header", format!("{name}: {value}"));
    }
    let reply = stack.send(call);
    assert_eq!(reply.status, 200);
    reply
}

/// What an upstream says is about the gateway's key. Names of other styles are not ours to touch.
#[test]
fn a_style_replaces_or_removes_the_upstreams_headers_of_its_own_names() {
    let other = ("x-ratelimit-limit-images", "9");
    for (style, replaced, removed) in [
        (
            "anthropic",
            ("anthropic-ratelimit-requests-limit", "50"),
            &[
                "anthropic-ratelimit-input-tokens-limit",
                "anthropic-ratelimit-output-tokens-reset",
                "anthropic-ratelimit-unified-status",
                "anthropic-ratelimit-unified-reset",
            ][..],
        ),
        (
            "groq",
            ("x-ratelimit-limit-requests", "50"),
            &["x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"],
        ),
        (
            "mistral",
            ("x-ratelimit-limit-req-minute", "50"),
            &[
                "x-ratelimit-limit-tokens-month",
                "x-ratelimit-remaining-tokens-minute",
            ],
        ),
        ("ietf", ("ratelimit-policy", "\"rpm\";q=50;w=60"), &[]),
    ] {
        let stack = Stack::start(Config::tier("t").rpm(50).with(json!({"headers": [style]})));
        let names = std::iter::once(&replaced.0).chain(removed);
        let own: Vec<_> = names.map(|name| (*name, "9")).chain([other]).collect();
        let reply = reply_with(&stack, &own);
        assert_eq!(all(&reply, replaced.0), [replaced.1], "{style}");
        for name in removed {
            assert!(all(&reply, name).is_empty(), "{style}: {name}");
        }
        assert_eq!(all(&reply, other.0), [other.1], "{style}");
    }
}

/// A tier without limits has nothing to tell, and the upstream's lists are not its client's.
#[test]
fn both_lists_of_the_ietf_are_removed_where_nothing_is_limited() {
    let stack = Stack::start(Config::tier("t").with(json!({"headers": ["ietf"]})));
    let own = [
        ("ratelimit", "\"default\";r=9"),
        ("ratelimit-policy", "\"default\";q=9"),
    ];
    let reply = reply_with(&stack, &own);
    assert!(own.iter().all(|(name, _)| all(&reply, name).is_empty()));
}

/// A client of `"auto"` reads one style, and what the upstream says in the other passes.
#[test]
fn auto_touches_the_headers_of_the_called_api_alone() {
    let stack = Stack::start(Config::tier("t").rpm(50).with(json!({"headers": "auto"})));
    let (openai, anthropic) = (
        "x-ratelimit-limit-requests",
        "anthropic-ratelimit-requests-limit",
    );
    for (path, ours, passes) in [
        ("/v1/chat/completions", openai, anthropic),
        ("/v1/messages", anthropic, openai),
    ] {
        let upstream = |name: &str| format!("{name}: 9");
        let call = Call::of("acme", "t").post(path);
        let call = call.header("x-demo-header", upstream(openai));
        let reply = stack.send(call.header("x-demo-header", upstream(anthropic)));
        assert_eq!(all(&reply, ours), ["50"], "{path}");
        assert_eq!(all(&reply, passes), ["9"], "{path}");
    }
}
