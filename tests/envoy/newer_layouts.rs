//! Pages of a newer layout under this module's keys, on a real Envoy with two workers.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use serde_json::json;

#[test]
fn newer_pages_are_a_cause_of_their_own_and_one_line_a_vm_with_the_remedy() {
    let config = |action: &str| {
        let fields = json!({
            "windows": {"minute": "1h"},
            "on_fault": {"newer_layout": action, "host": "allow"}
        });
        Config::tier("t").rpm(4).with(fields)
    };
    let send = |stack: &Stack| stack.send_all((0..40).map(|_| Call::of("acme", "t")));
    let stack = Stack::start(config("deny"));
    assert_eq!(count(&send(&stack), 200), 4);

    let pages = (0..8).map(|page| format!("tiergate/p8.{page} \u{3}Pof newer code\n"));
    let writer = wasm_filter(
        "shared-writer",
        "shared_writer.wasm",
        pages.collect::<String>(),
    );
    stack.reconfigure(&Setup::new(config("deny")).before(writer), true);
    let replies = send(&stack);
    assert_eq!(count(&replies, 503), replies.len());
    assert_eq!(replies[0].code(), "limiter_unavailable");

    stack.reconfigure(&Setup::new(config("allow")), true);
    eventually("the other action decides", || {
        count(&send(&stack), 200) == 40
    });
    let faulted = || stack.stat(&["tiergate_requests", "faulted"]);
    let lines = || {
        let log = stack.envoy_log();
        log.matches("load the newer module again").count()
    };
    eventually("it is said", || lines() > 0);
    // Two more rounds, each counted by a tick, which would log again.
    for _ in 0..2 {
        let before = faulted();
        send(&stack);
        eventually("it is counted", || faulted() >= before + 40);
    }
    assert!(lines() <= 2, "{} lines, two workers", lines());
}
