//! The proxy-wasm shell, driven natively through the ABI: what it asks of the host, how often, and
//! that it lives on whatever the host answers.
#![allow(missing_docs, clippy::restriction)]

mod access_log;
mod bodies;
#[path = "../harness/shell.rs"]
mod harness;
mod host_calls;
mod phases;
mod responses;

use harness::abi_host::*;
use harness::{Clock, Config};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT_CONTEXT: AtomicU32 = AtomicU32::new(1);

fn new_context(parent: u32) -> u32 {
    let id = NEXT_CONTEXT.fetch_add(1, Ordering::Relaxed);
    proxy_on_context_create(id, parent);
    id
}

/// A configured root context in the VM of this thread, whose clock the test sets.
struct Root {
    id: u32,
    clock: Clock,
}

impl Root {
    fn start(config: &Config) -> Self {
        let config = config.to_string();
        proxy_wasm::set_root_context(|_| Box::new(tiergate::plugin::Root::default()));
        host(|host| {
            *host = Host::default();
            host.config = config.as_bytes().to_vec();
        });
        let clock = Clock::start();
        let id = new_context(0);
        let root = Self { id, clock };
        assert!(proxy_on_configure(root.id, config.len()));
        root
    }

    fn new_stream(&self) -> u32 {
        new_context(self.id)
    }

    /// A request of that tier comes in; its stream, and whether it is let through.
    fn arrives(&self, tier: &str) -> (u32, bool) {
        chat(tier);
        let id = self.new_stream();
        (id, proxy_on_request_headers(id, 4, false) == 0)
    }

    /// A request that is admitted, answered and over; the host's calls for it.
    fn admitted(&self, tier: &str) -> BTreeMap<&'static str, u32> {
        host(|host| host.calls.clear());
        let (id, passes) = self.arrives(tier);
        assert!(passes);
        proxy_on_response_headers(id, 2, false);
        proxy_on_response_body(id, host(|host| host.body.len()), true);
        ends(id);
        host(|host| host.calls.clone())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        proxy_on_done(self.id);
        proxy_on_delete(self.id);
    }
}

fn ends(id: u32) {
    proxy_on_log(id);
    proxy_on_done(id);
    proxy_on_delete(id);
}

fn chat(tier: &str) {
    let line = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let body = r#"{"usage":{"total_tokens":31}}"#;
    host(|host| {
        host.request = vec![
            line(":method", "POST"),
            line("x-account-id", "acme"),
            line("x-account-tier", tier),
            line("content-length", "60"),
        ];
        host.response = vec![
            line(":status", "200"),
            line("content-type", "application/json"),
        ];
        host.body = body.as_bytes().to_vec();
    });
}

fn small() -> Config {
    Config::new().with(json!({"capacity": {"accounts": 64}}))
}

fn no_headers() -> Config {
    small().with(json!({"headers": []}))
}

fn two_at_a_time() -> Config {
    Config::tier("t").concurrency(2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever of a stream's events come, and in which order, its lease is back at its end.
    #[test]
    fn a_lease_is_given_back_once_under_any_order_of_ends(
        traces in prop::collection::vec((prop::collection::vec(0..5_u8, 0..6), any::<bool>()), 1..20),
    ) {
        let root = Root::start(&two_at_a_time());
        for (events, done) in traces {
            let (id, passes) = root.arrives("t");
            prop_assert!(passes, "both leases are free");
            // A second stream has the other lease: a double release would free it.
            let (other, passes) = root.arrives("t");
            prop_assert!(passes);
            for event in events {
                match event {
                    0 => _ = proxy_on_response_headers(id, 2, false),
                    1 => _ = proxy_on_response_body(id, 20, false),
                    2 => _ = proxy_on_response_body(id, 0, true),
                    3 => proxy_on_log(id),
                    _ => _ = proxy_on_done(id),
                }
            }
            if done {
                proxy_on_done(id);
            }
            proxy_on_delete(id);
            let (third, passes) = root.arrives("t");
            prop_assert!(passes, "one is back");
            let (fourth, passes) = root.arrives("t");
            prop_assert!(!passes, "only one is back");
            for id in [other, third, fourth] {
                ends(id);
            }
        }
        }

    /// Header maps of any bytes, names that are no text, bodies of any bytes.
    #[test]
    fn no_request_and_no_response_stops_the_vm(
        account in prop::collection::vec(any::<u8>(), 0..60),
        tier in prop::collection::vec(any::<u8>(), 0..20),
        length in prop::collection::vec(any::<u8>(), 0..20),
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let root = Root::start(&no_headers());
        chat("t");
        host(|host| {
            host.request[1].1 = account;
            host.request[2].1 = tier;
            host.request[3].1 = length;
            host.body = body;
        });
        let id = root.new_stream();
        proxy_on_request_headers(id, 4, false);
        proxy_on_response_headers(id, 2, false);
        proxy_on_response_body(id, 400, true);
        ends(id);
        }
}

#[test]
fn a_host_that_fails_at_every_call_does_not_stop_the_vm() {
    let root = Root::start(&two_at_a_time());
    for failing_from in 0..4 {
        chat("t");
        let id = root.new_stream();
        let steps: [&dyn Fn(); 4] = [
            &|| _ = proxy_on_request_headers(id, 4, false),
            &|| _ = proxy_on_response_headers(id, 2, false),
            &|| _ = proxy_on_response_body(id, 20, true),
            &|| ends(id),
        ];
        for (i, step) in steps.iter().enumerate() {
            host(|host| host.failing = i >= failing_from);
            step();
        }
        host(|host| host.failing = false);
        proxy_on_tick(root.id);
    }
    let outcome = |outcome: &str| {
        let name = format!("tiergate_requests.namespace.tiergate.tier.t.outcome.{outcome}");
        host(|host| host.metric(&name))
    };
    assert_eq!((outcome("faulted"), outcome("admitted")), (0, 3));
    let faulted = "tiergate_requests.namespace.tiergate.tier.none.outcome.faulted";
    assert_eq!(host(|host| host.metric(faulted)), 1);
    let gauge = "tiergate_in_flight.namespace.tiergate.tier.t";
    assert_eq!(host(|host| host.metric(gauge)), 0);
    for _ in 0..2 {
        assert!(root.arrives("t").1, "no lease was lost");
    }
    host(|host| host.failing = true);
    proxy_on_tick(root.id);
}

fn fed() -> Config {
    small().with(json!({
        "capacity": {"directory": 64},
        "directory": {"cluster": "c", "authority": "billing", "path": "/accounts", "interval": "1h"}
    }))
}

fn loads(outcome: &str) -> i64 {
    let name = format!("tiergate_feed_loads.namespace.tiergate.outcome.{outcome}");
    host(|host| host.metric(&name))
}

#[test]
fn a_feed_is_asked_for_on_a_tick_and_loaded_from_the_answer() {
    let root = Root::start(&fed());
    assert_eq!(
        host(|host| host.http_calls.len()),
        0,
        "not while it is configured"
    );
    proxy_on_tick(root.id);
    let asked = host(|host| host.http_calls[0].clone());
    for part in ["GET", "billing", "/accounts"] {
        assert!(
            asked.windows(part.len()).any(|w| w == part.as_bytes()),
            "{part}"
        );
    }
    let body = br#"{"accounts":[{"id":"a","recharge":1}]}"#.to_vec();
    let size = body.len();
    host(|host| {
        host.response = vec![(":status".to_owned(), b"200".to_vec())];
        host.body = body;
    });
    proxy_on_http_call_response(root.id, 1, 1, size, 0);
    for _ in 0..4 {
        proxy_on_tick(root.id);
    }
    proxy_on_done(root.id);
    assert_eq!((loads("loaded"), loads("failed")), (1, 0));
}

#[test]
fn a_host_that_forbids_http_calls_does_not_stop_the_vm() {
    let root = Root::start(&fed());
    // 12: unimplemented, as Envoy's capability_restriction_config has it.
    for status in [12, 2, 10] {
        host(|host| host.http_status = status);
        for _ in 0..3 {
            proxy_on_tick(root.id);
        }
        root.clock.pass_ms(2_100);
    }
    proxy_on_done(root.id);
    assert!(loads("failed") >= 2);
}

#[test]
fn a_call_without_an_answer_and_one_with_nonsense_are_failures() {
    for (status, body) in [(None, ""), (Some("200"), "nonsense"), (Some("x"), "")] {
        // A VM for each: a VM defines its metrics once.
        let vm = std::thread::spawn(move || answered_with(status, body));
        assert_eq!(vm.join().unwrap(), (0, 1), "{status:?}");
    }
}

/// Loads that came to something, and to nothing, after that answer.
fn answered_with(status: Option<&str>, body: &str) -> (i64, i64) {
    let root = Root::start(&fed());
    proxy_on_tick(root.id);
    let line = status.map(|status| (":status".to_owned(), status.as_bytes().to_vec()));
    host(|host| {
        host.response = line.into_iter().collect();
        host.body = body.as_bytes().to_vec();
    });
    proxy_on_http_call_response(root.id, 1, 0, body.len(), 0);
    proxy_on_tick(root.id);
    proxy_on_done(root.id);
    (loads("loaded"), loads("failed"))
}

#[test]
fn host_calls_are_made_in_the_shell_only() {
    fn visit(dir: &std::path::Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("plugin") || path.ends_with("lib.rs") {
                continue;
            }
            if path.is_dir() {
                visit(&path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["proxy_wasm", "crate::plugin::", "extern \"C\"", "wasi::"] {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
        }
    }
    visit(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    )));
}
