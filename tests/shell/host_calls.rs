//! The price of a request in host calls: each by name and in order, so that a new one fails a test.

use super::*;
use tiergate::plugin::take_monotonic_reads;

const OPENAI: [&str; 6] = ["replace_header_map_value"; 6];

/// The host calls of a request that is admitted, answered and settled, in order, and its readings
/// of the monotonic clock.
fn price(config: &Config, tier: &str) -> (Vec<&'static str>, u32) {
    let root = Root::start(config);
    // The first request of a VM takes a slot, and writes the account's record.
    root.admitted(tier);
    host(|host| host.trace.clear());
    take_monotonic_reads();
    root.admitted(tier);
    (host(|host| host.trace.clone()), take_monotonic_reads())
}

#[test]
fn the_host_calls_of_an_admitted_and_settled_request() {
    let wanted = [
        // The request's headers.
        "get_header_map_pairs",
        "get_shared_data",
        "set_shared_data",
        "set_property",
        "remove_header_map_value",
        "remove_header_map_value",
        // The response's headers: none. Its body.
        "get_buffer_bytes",
        // The end.
        "get_shared_data",
        "set_shared_data",
    ];
    assert_eq!(price(&no_headers(), "tier1"), (wanted.to_vec(), 2));
    let openai = [&wanted[..6], &OPENAI, &wanted[6..]].concat();
    assert_eq!(price(&small(), "tier1"), (openai, 2));
}

#[test]
fn the_fewest_host_calls_of_an_admitted_and_settled_request() {
    let fewest = json!({"log_admitted": false, "strip_headers": false});
    let wanted = [
        "get_header_map_pairs",
        "get_shared_data",
        "set_shared_data",
        "get_buffer_bytes",
        "get_shared_data",
        "set_shared_data",
    ];
    let config = no_headers().with(fewest);
    assert_eq!(price(&config, "tier1"), (wanted.to_vec(), 2));
}

#[test]
fn load_costs_a_request_the_headers_of_its_response() {
    let mut wanted = Root::start(&no_headers()).admitted("tier1");
    *wanted.entry("get_header_map_pairs").or_default() += 1;
    for from in [json!("overload"), json!({"header": "server"})] {
        let config = no_headers().with(json!({"load": {"from": from}}));
        assert_eq!(Root::start(&config).admitted("tier1"), wanted);
    }
}

#[test]
fn a_calendar_day_costs_two_readings_of_the_clock_and_openai_six_headers() {
    let root = Root::start(&small());
    root.admitted("tier0");
    let calls = root.admitted("tier0");
    assert_eq!(calls["get_current_time_nanoseconds"], 2);
    assert_eq!(calls["replace_header_map_value"], 6);
}

/// Regression: counters that begin at 0 were moved by 0, and Envoy's log had a warning for each.
#[test]
fn no_counter_is_moved_by_nothing() {
    let root = Root::start(&small());
    root.admitted("tier0");
    proxy_on_tick(root.id);
    assert_eq!(host(|host| host.refused_moves), 0);
}

#[test]
fn the_host_calls_of_a_refused_request() {
    let root = Root::start(&no_headers());
    for _ in 0..3 {
        root.admitted("tier0");
    }
    host(|host| host.calls.clear());
    let (id, passes) = root.arrives("tier0");
    assert!(!passes);
    proxy_on_response_headers(id, 2, false);
    proxy_on_response_body(id, 100, true);
    ends(id);
    let wanted = BTreeMap::from([
        ("get_header_map_pairs", 1),
        ("get_shared_data", 1),
        ("get_current_time_nanoseconds", 1),
        ("set_property", 1),
        ("send_local_response", 1),
    ]);
    assert_eq!(host(|host| host.calls.clone()), wanted);
    assert_eq!(host(|host| host.reply.take()).unwrap().0, 429);
}

/// Regression: a request whose body was read was matched against the routes before its body and after.
#[test]
fn the_routes_are_matched_once_for_a_request_whose_body_is_read() {
    let rule = json!({"match": {"route_name": "batch"}, "cost": 2});
    let fields = json!({"tokens": {"read_body": true}, "routes": [rule]});
    let root = Root::start(&Config::tier("t").rpm(100).with(fields));
    chat("t");
    host(|host| host.request_body = b"{}".to_vec());
    host(|host| host.calls.clear());
    let id = root.new_stream();
    assert_eq!(proxy_on_request_headers(id, 4, false), 1, "it waits");
    assert_eq!(proxy_on_request_body(id, 2, true), 0, "it goes on");
    assert_eq!(host(|host| host.calls["get_property"]), 1);
    ends(id);
}

/// The calls of an admitted request to a path beyond those of one without rate-limit headers.
fn beyond(headers: &serde_json::Value, path: &str) -> BTreeMap<&'static str, u32> {
    let price = |config: &Config| {
        let root = Root::start(config);
        let calls_of = |first: bool| {
            chat("tier1");
            host(|host| {
                host.request.push((":path".to_owned(), path.into()));
                host.calls.clear();
            });
            let id = root.new_stream();
            assert_eq!(proxy_on_request_headers(id, 5, false), 0, "{first}");
            proxy_on_response_headers(id, 2, false);
            proxy_on_response_body(id, host(|host| host.body.len()), true);
            ends(id);
            host(|host| host.calls.clone())
        };
        // The first request of a VM takes a slot.
        calls_of(true);
        calls_of(false)
    };
    let without = price(&no_headers());
    let mut calls = price(&small().with(json!({"headers": headers})));
    for (name, n) in without {
        *calls.get_mut(name).unwrap() -= n;
    }
    calls.retain(|_, n| *n > 0);
    calls
}

/// A tier with limits on requests and tokens of a minute, and on concurrency.
#[test]
fn a_style_costs_a_call_for_each_of_its_headers_and_anthropics_the_wall_clock() {
    let (set, unset) = ("replace_header_map_value", "remove_header_map_value");
    let clock = "get_current_time_nanoseconds";
    let anthropic = vec![(set, 6), (unset, 8), (clock, 1)];
    let (chat, messages) = ("/v1/chat/completions", "/v1/messages");
    for (headers, path, wanted) in [
        (json!(["openai"]), chat, vec![(set, 6)]),
        (json!(["groq"]), chat, vec![(set, 6)]),
        (json!(["ietf"]), chat, vec![(set, 2)]),
        (json!(["mistral"]), chat, vec![(set, 5), (unset, 2)]),
        (json!(["anthropic"]), chat, anthropic.clone()),
        (json!("auto"), chat, vec![(set, 6)]),
        (json!("auto"), messages, anthropic),
        (json!("auto"), "/v1beta/models/x:generateContent", vec![]),
    ] {
        let calls = beyond(&headers, path);
        assert_eq!(calls, BTreeMap::from_iter(wanted), "{headers} {path}");
    }
}
