//! Corrupt values in shared data, written by another plugin while both workers run.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::json;

/// Corrupt bytes for each kind of value: its layout version and letter, and no content after them.
fn corrupt_values() -> String {
    let mut values = String::new();
    let mut corrupt = |key: &str, prefix: &str| {
        values.push_str(&format!("tiergate/{key} {prefix}corrupt\n"));
    };
    corrupt("overload-state", "\u{2}O");
    corrupt("refusal-log", "\u{1}R");
    corrupt("ledger-fill", "\u{1}W");
    for page in 0..8 {
        corrupt(&format!("p8.{page:x}"), "\u{2}P");
        corrupt(&format!("d{page:x}"), "\u{1}D");
        corrupt(&format!("g{page:x}"), "\u{1}F");
    }
    values
}

#[test]
fn corrupt_values_start_anew_are_counted_and_never_raise_a_limit() {
    let fields = json!({
        "capacity": {"accounts": 64, "directory": 64},
        "windows": {"minute": "1h"},
        "load": {"from": "overload"}
    });
    let config = Config::tier("t").rpm(4).open_admin().with(fields);
    let config = config.to_string();
    let send = |stack: &Stack| stack.send_all((0..12).map(|_| Call::of("acme", "t")));
    let load = |stack: &Stack| stack.send(Call::new().method("GET", "/-/tiergate/load"));
    let lower = Call::new().method("PUT", "/-/tiergate/load");

    let setup = || Setup::new(&config).bodies_while_headers_are_held();
    let stack = Stack::with(&setup());
    assert_eq!(stack.send(lower.body(r#"{"scale": 0.5}"#)).status, 200);
    stack.both_workers("both workers have the scale", || {
        load(&stack).json()["in_force"]["t"] == 0.5
    });
    assert_eq!(count(&send(&stack), 200), 2);

    let writer = wasm_filter("shared-writer", "shared_writer.wasm", corrupt_values());
    stack.reconfigure(&setup().before(writer), true);
    // The main thread has two of the writer's VMs, and each worker one.
    eventually("every VM has written", || {
        stack.envoy_log().matches("shared-writer: written").count() >= 4
    });
    stack.both_workers("the scale is gone from both workers", || {
        load(&stack).json()["in_force"]["t"] == 1.0
    });
    let replies = send(&stack);
    assert_eq!(
        count(&replies, 200),
        4,
        "the base limit, from an empty record"
    );
    assert_eq!(count(&replies, 429), 8);
    eventually("corrupt values are counted", || {
        stack.stat(&["tiergate_damaged_values"]) >= 2
    });
    let log = stack.envoy_log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(stack.stat(&["vm_reload"]), 0);
}
