//! A filter by ECDS: the example, and code over HTTP, which Envoy does not load on an update.

use crate::gateway::Image;
use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually, fresh_dir, root};
use crate::istio::Discovered;
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs;
use tiergate::http::sha256::sha256_hex;

fn filter(image: &Image, cluster: &str, rpm: u64) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": "tiergate",
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "vm_id": "tiergate",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"remote": {
                    "http_uri": {
                        "uri": "http://modules/tiergate.wasm", "cluster": cluster, "timeout": "10s"
                    },
                    "sha256": sha256_hex(image.bytes)
                }}
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": Config::tier("t").rpm(rpm).to_string()
            }
        }
    })
}

/// The day on which this test fails, docs/operations.md can lose a warning.
#[test]
fn a_new_module_over_http_leaves_requests_without_the_filter() {
    let old = Image::serve("tiergate.wasm");
    let new = Image::serve("tiergate_trap.wasm");
    let discovered = Discovered::new("tiergate", &filter(&old, "old", 500));
    let mut setup = Setup::new("").cluster("old", old.at).cluster("new", new.at);
    setup.filters = vec![discovered.entry()];
    let stack = Stack::with(&setup);
    let sent = || {
        let reply = stack.send(Call::of("acme", "t"));
        let limit = reply
            .header("x-ratelimit-limit-requests")
            .map(str::to_owned);
        (reply.status, limit)
    };
    let limited = |rpm: &str| (200, Some(rpm.to_owned()));
    eventually("the first module is there", || sent() == limited("500"));
    discovered.set(&filter(&old, "old", 501));
    eventually("a new config is no trouble", || sent() == limited("501"));
    discovered.set(&filter(&new, "new", 502));
    eventually("no limit holds", || sent() == (200, None));
    discovered.set(&filter(&new, "new", 503));
    eventually("nothing is served", || sent() == (503, None));
}

/// The rollout of docs/first-day.md. In shadow mode, replies have no rate-limit headers.
#[test]
fn the_example_goes_from_shadow_to_enforce_and_keeps_its_counters() {
    let example = fs::read_to_string(root().join("envoy/ecds/filter.yaml")).unwrap();
    let long = example.replace(r#""log_account": true"#, r#""windows": {"minute": "1h"}"#);
    let file = fresh_dir().join("filter.yaml");
    fs::write(&file, &long).unwrap();
    let words = [("dist/filter.yaml", file.to_str().unwrap())];
    let stack = Stack::of_file_with("envoy/ecds/envoy.yaml", &words);
    for _ in 0..25 {
        assert_eq!(stack.send(Call::of("acme", "free")).status, 200);
    }
    let next = file.with_extension("next");
    fs::write(&next, long.replace("shadow", "enforce")).unwrap();
    fs::rename(next, &file).unwrap();
    let admitted = Cell::new(0);
    eventually("the limit holds", || {
        let reply = stack.send(Call::of("acme", "free"));
        let enforced = reply.header("x-ratelimit-limit-requests").is_some();
        admitted.set(admitted.get() + usize::from(enforced && reply.status == 200));
        reply.status == 429
    });
    assert_eq!(admitted.get(), 0, "the limit was used up in shadow mode");
}
