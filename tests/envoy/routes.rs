//! Routes that match on headers which the filter takes off: docs/identity.md has the recipe.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::Stack;
use serde_json::{Value, json};

const IDENTITY: [&str; 3] = ["x-account-id", "x-account-tier", "x-account-recharge"];

/// A route that the upstream learns by its name.
fn route(name: &str, matches: &Value) -> Value {
    json!({
        "match": {"prefix": "/", "headers": matches},
        "route": {"cluster": "llm"},
        "request_headers_to_add": [{"header": {"key": "x-route", "value": name}}],
        "response_headers_to_add": [{"header": {"key": "x-route", "value": name}}]
    })
}

/// The filter before a route for requests with that header value, and a route for all others; the
/// virtual host has more fields.
fn routed(config: Config, header: &str, value: &str, host: &Value) -> Stack {
    let matches = json!([{"name": header, "string_match": {"contains": value}}]);
    let mut virtual_host = json!({
        "name": "llm",
        "domains": ["*"],
        "routes": [route("special", &matches), route("usual", &json!([]))]
    });
    for (name, field) in host.as_object().unwrap() {
        virtual_host[name] = field.clone();
    }
    let mut setup = Setup::new(config);
    setup.manager = json!({"route_config": {"virtual_hosts": [virtual_host]}});
    Stack::with(&setup)
}

/// The name of the route that served the request, as both ends saw it.
fn served_by(stack: &Stack, reply: &Reply) -> String {
    assert_eq!(reply.status, 200);
    let name = reply.header("x-route").unwrap();
    assert_eq!(stack.seen()["x-route"], json!([name]));
    name.to_owned()
}

fn sees_none_of(stack: &Stack, names: &[&str]) {
    for name in names {
        assert_eq!(stack.seen()[*name], Value::Null, "{name}");
    }
}

fn two_tiers() -> Config {
    Config::tier("tier1").and_tier("tier5").rpm(2)
}

#[test]
fn a_route_by_tier_is_left_when_the_filter_takes_the_tier_off() {
    let stack = routed(two_tiers(), "x-account-tier", "tier5", &json!({}));
    let reply = stack.send(Call::of("acme", "tier5"));
    assert_eq!(served_by(&stack, &reply), "usual", "Envoy chose anew");
    sees_none_of(&stack, &IDENTITY);
}

#[test]
fn a_route_by_tier_serves_when_routes_take_the_identity_off() {
    let recipe = || two_tiers().with(json!({"strip_headers": false}));
    let remove = json!({"request_headers_to_remove": IDENTITY});
    let stack = routed(recipe(), "x-account-tier", "tier5", &remove);
    for (account, tier, name) in [("acme", "tier5", "special"), ("other", "tier1", "usual")] {
        let reply = stack.send(Call::of(account, tier));
        assert_eq!(served_by(&stack, &reply), name, "{tier}");
        sees_none_of(&stack, &IDENTITY);
    }
    let replies: Vec<_> = (0..2)
        .map(|_| stack.send(Call::of("acme", "tier5")).status)
        .collect();
    assert_eq!(replies, [200, 429], "limits hold as before");
    // An accept-encoding that is taken off has Envoy choose anew too, by a tier that is still there.
    let encoded = Call::of("third", "tier5").header("accept-encoding", "gzip");
    let reply = stack.send(encoded);
    assert_eq!(served_by(&stack, &reply), "special");
    sees_none_of(&stack, &["accept-encoding"]);
}

#[test]
fn a_route_by_encoding_serves_when_routes_take_the_encoding_off() {
    let call = || Call::of("acme", "tier1").header("accept-encoding", "gzip, br");
    let stack = routed(two_tiers(), "accept-encoding", "br", &json!({}));
    let reply = stack.send(call());
    assert_eq!(served_by(&stack, &reply), "usual", "Envoy chose anew");
    sees_none_of(&stack, &["accept-encoding"]);

    let fields = json!({"strip_headers": false, "tokens": {"identity": false}});
    let mut names = IDENTITY.to_vec();
    names.push("accept-encoding");
    let remove = json!({"request_headers_to_remove": names});
    let stack = routed(two_tiers().with(fields), "accept-encoding", "br", &remove);
    let reply = stack.send(call());
    assert_eq!(served_by(&stack, &reply), "special");
    sees_none_of(&stack, &names);
}
