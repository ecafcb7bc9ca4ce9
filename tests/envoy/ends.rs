//! Every kind of end gives a request's lease back, once, over HTTP/1 and HTTP/2.

use crate::harness::bootstrap::{Setup, aborting_filter};
use crate::harness::client::{Call, connection};
use crate::harness::stack::{Stack, eventually};
use crate::harness::{Config, Raw};
use serde_json::json;

/// Leases are the account's, whatever its tier: "one" is let in only when the account has none.
pub fn tiers() -> Config {
    let config = Config::tier("one").concurrency(1);
    config.and_tier("many").concurrency(1_000)
}

pub fn in_process(stack: &Stack) {
    eventually("it is in process", || {
        stack.send(Call::of("acme", "one")).code() == "concurrency"
    });
}

pub fn no_lease_is_left(stack: &Stack) {
    eventually("no lease is left", || {
        stack.send(Call::of("acme", "one")).status == 200
    });
    eventually("the gauge is 0", || {
        stack.stat(&["tiergate_in_flight"]) == 0
    });
}

/// Each lease came back by the end of its request. None was only forgotten, as those of a dead VM.
pub fn leases_are_given_back(stack: &Stack) {
    no_lease_is_left(stack);
    assert_eq!(stack.stat(&["tiergate_stale_leases"]), 0);
}

/// Runs the story with calls of one account over each protocol; at its end no lease is left.
fn over_each_protocol(stack: &Stack, story: impl Fn(&dyn Fn() -> Call)) {
    story(&|| Call::of("acme", "many"));
    leases_are_given_back(stack);
    story(&|| Call::of("acme", "many").http2());
    leases_are_given_back(stack);
}

/// A call whose reply takes for ever to begin.
pub fn never_answered(call: Call) -> Call {
    call.header("x-demo-latency-ms", "60000")
}

/// A call whose reply begins at once, and goes on for long.
pub fn never_finished(call: Call) -> Call {
    call.header("x-demo-completion-tokens", "100000")
        .header("x-demo-chunk-bytes", "100")
        .header("x-demo-chunk-ms", "20")
}

/// Sends a call whose reply breaks off. Envoy 1.36 tells an HTTP/2 client that such a reply is whole,
/// without any filter too.
fn breaks_off(stack: &Stack, call: Call) {
    let is_http2 = call.is_http2();
    assert!(stack.try_send(call).is_err() || is_http2);
}

fn breaks_before_headers(call: Call) -> Call {
    call.header("x-demo-reset", "now")
}

fn breaks_in_the_body(call: Call) -> Call {
    call.header("x-demo-completion-tokens", "500")
        .header("x-demo-chunk-bytes", "100")
        .header("x-demo-reset-after-chunks", "3")
}

#[test]
fn a_reply_of_any_status_gives_its_lease_back() {
    let stack = Stack::start(tiers());
    over_each_protocol(&stack, |call| {
        for status in ["200", "204", "304", "400", "404", "429", "500", "503"] {
            let reply = stack.send(call().header("x-demo-status", status));
            assert_eq!(reply.status.to_string(), status);
        }
    });
}

#[test]
fn a_client_that_hangs_up_gives_its_lease_back() {
    let stack = Stack::start(tiers());
    over_each_protocol(&stack, |call| {
        for endless in [never_answered, never_finished] {
            let pending = stack.begin(endless(call()));
            in_process(&stack);
            stack.hang_up(pending);
            leases_are_given_back(&stack);
        }
    });
}

#[test]
fn an_upstream_that_breaks_off_gives_the_lease_back() {
    let stack = Stack::start(tiers());
    over_each_protocol(&stack, |call| {
        let reply = stack.send(breaks_before_headers(call()));
        assert_eq!(reply.status, 503);
        leases_are_given_back(&stack);
        breaks_off(&stack, breaks_in_the_body(call()));
    });
}

#[test]
fn a_request_longer_than_its_route_allows_gives_its_lease_back() {
    let mut setup = Setup::new(tiers());
    setup.route = json!({"route": {"cluster": "llm", "timeout": "0.3s"}});
    let stack = Stack::with(&setup);
    over_each_protocol(&stack, |call| {
        assert_eq!(stack.send(never_answered(call())).status, 504);
        leases_are_given_back(&stack);
        breaks_off(&stack, never_finished(call()));
    });
}

#[test]
fn a_stream_on_which_nothing_moves_gives_its_lease_back() {
    let mut setup = Setup::new(tiers());
    setup.manager = json!({"stream_idle_timeout": "0.3s"});
    let stack = Stack::with(&setup);
    over_each_protocol(&stack, |call| {
        assert_eq!(stack.send(never_answered(call())).status, 504);
        leases_are_given_back(&stack);
        let stalls = call()
            .header("x-demo-chunk-bytes", "10")
            .header("x-demo-chunk-ms", "60000");
        breaks_off(&stack, stalls);
    });
}

#[test]
fn retries_are_one_request() {
    let mut setup = Setup::new(tiers());
    setup.route = json!({"route": {"cluster": "llm", "retry_policy": {
        "retry_on": "5xx", "num_retries": 2,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"}
    }}});
    let stack = Stack::with(&setup);
    over_each_protocol(&stack, |call| {
        let reply = stack.send(call().header("x-demo-status", "503"));
        assert_eq!(reply.status, 503);
        leases_are_given_back(&stack);
        assert_eq!(stack.send(breaks_before_headers(call())).status, 503);
    });
    assert_eq!(stack.stat(&["upstream_rq_retry_backoff_exponential"]), 8);
    eventually("four requests were admitted", || {
        stack.stat(&["tiergate_requests", "tier.many", "admitted"]) == 4
    });
}

/// The headers that tell the account must stay on for it: see docs/operations.md.
#[test]
fn an_internal_redirect_is_two_requests_one_after_the_other() {
    let mut setup = Setup::new(tiers().with(json!({"strip_headers": false})));
    setup.route = json!({"route": {"cluster": "llm",
        "internal_redirect_policy": {"redirect_response_codes": [307]}}});
    let stack = Stack::with(&setup);
    for call in [Call::of("acme", "one"), Call::of("acme", "one").http2()] {
        let redirected = call
            .header("x-demo-status", "307")
            .header("x-demo-header", "location: http://llm/elsewhere");
        assert_eq!(
            stack.send(redirected).status,
            307,
            "the second is not followed"
        );
        leases_are_given_back(&stack);
    }
    assert_eq!(
        stack.stat(&["cluster.llm.upstream_internal_redirect_succeeded_total"]),
        2
    );
}

#[test]
fn a_reply_of_an_earlier_filter_takes_no_lease() {
    let stack = Stack::with(&Setup::new(tiers()).before(aborting_filter()));
    over_each_protocol(&stack, |call| {
        let aborted = call().header("x-envoy-fault-abort-request", "418");
        assert_eq!(stack.send(aborted).status, 418);
    });
    assert_eq!(
        stack.stat(&["tiergate_requests", "tier.many"]),
        0,
        "never seen"
    );
}

#[test]
fn a_reply_of_a_later_filter_gives_the_lease_back() {
    let stack = Stack::with(&Setup::new(tiers()).after(aborting_filter()));
    over_each_protocol(&stack, |call| {
        let aborted = call().header("x-envoy-fault-abort-request", "418");
        assert_eq!(stack.send(aborted).status, 418);
    });
    eventually("both were admitted", || {
        stack.stat(&["tiergate_requests", "tier.many", "admitted"]) == 2
    });
}

#[test]
fn a_route_that_answers_by_itself_gives_the_lease_back() {
    let mut setup = Setup::new(tiers());
    setup.route = json!({"direct_response": {"status": 421}});
    let stack = Stack::with(&setup);
    for call in [Call::of("acme", "many"), Call::of("acme", "many").http2()] {
        for _ in 0..3 {
            assert_eq!(stack.send(call.clone()).status, 421);
        }
        // This one is answered so too, once it is let in.
        eventually("no lease is left", || {
            stack.send(Call::of("acme", "one")).status == 421
        });
    }
}

#[test]
fn a_client_that_hangs_up_within_its_body_gives_its_lease_back() {
    let begun = "POST / HTTP/1.1\r\nhost: llm\r\nx-account-id: acme\r\nx-account-tier: many\r\n\
                 content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let stack = Stack::start(tiers());
    let client = Raw::open(stack.proxy, begun);
    in_process(&stack);
    drop(client);
    leases_are_given_back(&stack);
    // Judged by its body, it has no lease until all of that is there.
    let reading = tiers().with(json!({"tokens": {"read_body": true}}));
    let stack = Stack::with(&Setup::new(reading).bodies_while_headers_are_held());
    let client = Raw::open(stack.proxy, begun);
    eventually("Envoy has it", || {
        stack.stat(&["http.proxy.downstream_rq_active"]) == 1
    });
    leases_are_given_back(&stack);
    drop(client);
    eventually("Envoy has it no more", || {
        stack.stat(&["http.proxy.downstream_rq_active"]) == 0
    });
    leases_are_given_back(&stack);
}

#[test]
fn a_grpc_stream_gives_its_lease_back_by_trailers_or_when_it_breaks_off() {
    let stack = Stack::with(&Setup::new(tiers()).http2_upstream());
    let call = || {
        let call = Call::of("acme", "many").http2();
        call.header("x-demo-echo", "application/grpc")
            .header("x-demo-trailer", "grpc-status: 0")
            .body([0; 500])
    };
    assert_eq!(stack.send(call()).status, 200);
    leases_are_given_back(&stack);
    let breaks = call()
        .header("x-demo-chunk-bytes", "100")
        .header("x-demo-reset-after-chunks", "3");
    breaks_off(&stack, breaks);
    leases_are_given_back(&stack);
}

fn with_tunnels() -> Stack {
    let mut setup = Setup::new(tiers());
    setup.manager = json!({
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http2_protocol_options": {"allow_connect": true}
    });
    Stack::with(&setup)
}

#[test]
fn a_websocket_holds_its_lease_as_long_as_it_is_open() {
    let stack = with_tunnels();
    let mut socket = Raw::open(
        stack.proxy,
        "GET /chat HTTP/1.1\r\nhost: llm\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         x-account-id: acme\r\nx-account-tier: many\r\n\r\n",
    );
    let head = socket.read_until("\r\n\r\n", 1);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    socket.send("hello?");
    socket.read_until("hello?", 1);
    in_process(&stack);
    drop(socket);
    leases_are_given_back(&stack);
}

#[test]
fn a_websocket_in_an_http2_stream_does_so_too() {
    let stack = with_tunnels();
    let connection = connection(true);
    let tunnel = stack.runtime.block_on(async {
        // A first request, since tunnels are only known to be allowed after Envoy's SETTINGS.
        let first = Call::of("acme", "many").http2();
        first.send_on(&connection, stack.proxy).await.unwrap();
        let call = Call::of("acme", "many").tunnel();
        let reply = call.begin(&connection, stack.proxy).await.unwrap();
        assert_eq!(reply.status(), 200);
        hyper::upgrade::on(reply).await.unwrap()
    });
    in_process(&stack);
    drop(tunnel);
    leases_are_given_back(&stack);
}

#[test]
fn pipelined_requests_are_one_at_a_time() {
    let stack = Stack::start(tiers());
    let get = |latency_ms: &str| {
        format!(
            "GET / HTTP/1.1\r\nhost: llm\r\nx-account-id: acme\r\nx-account-tier: one\r\n\
             x-demo-latency-ms: {latency_ms}\r\n\r\n"
        )
    };
    let mut client = Raw::open(stack.proxy, &get("10").repeat(5));
    client.read_until("HTTP/1.1 200 OK", 5);
    leases_are_given_back(&stack);
    let client = Raw::open(stack.proxy, &(get("60000") + &get("60000")));
    in_process(&stack);
    drop(client);
    leases_are_given_back(&stack);
}

#[test]
fn a_connection_that_closes_after_each_request_gives_each_lease_back() {
    let mut setup = Setup::new(tiers());
    setup.manager = json!({
        "common_http_protocol_options": {"max_requests_per_connection": 1}
    });
    let stack = Stack::with(&setup);
    over_each_protocol(&stack, |call| {
        for _ in 0..5 {
            assert_eq!(stack.send(call()).status, 200);
            leases_are_given_back(&stack);
        }
    });
    assert!(stack.stat(&["downstream_cx_max_requests_reached"]) >= 10);
}

#[test]
fn a_thousand_of_the_common_ends_leave_nothing() {
    let stack = Stack::start(tiers());
    over_each_protocol(&stack, |call| {
        let together = |calls: Vec<Call>| -> Vec<_> {
            calls.into_iter().map(|call| stack.begin(call)).collect()
        };
        let ends: [fn(Call) -> Call; 4] = [
            |call| call,
            |call| call.header("x-demo-status", "500"),
            breaks_before_headers,
            breaks_in_the_body,
        ];
        for end in ends {
            for pending in together((0..100).map(|_| end(call())).collect()) {
                let _ = stack.try_end(pending);
            }
        }
        for endless in [never_answered, never_finished] {
            let pending = together((0..50).map(|_| endless(call())).collect());
            eventually("all are in process", || {
                stack.stat(&["tiergate_in_flight"]) == 50
            });
            for pending in pending {
                stack.hang_up(pending);
            }
        }
    });
    eventually("each was admitted", || {
        stack.stat(&["tiergate_requests", "tier.many", "admitted"]) == 1_000
    });
    eventually("the gauge is 0", || {
        stack.stat(&["tiergate_in_flight"]) == 0
    });
}
