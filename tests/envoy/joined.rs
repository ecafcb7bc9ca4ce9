//! `tokens.join`: settlements that wait for the next write of their page.

use crate::ends::{leases_are_given_back, tiers};
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually};
use crate::harness::{Config, Raw};
use serde_json::json;
use std::time::Duration;

fn joining(config: Config) -> Config {
    config.with(json!({"tokens": {"join": true}}))
}

#[test]
fn a_burst_on_two_workers_is_never_over_and_gives_all_back() {
    let limits = Config::tier("t")
        .concurrency(8)
        .rpm(100_000)
        .tpm(50_000_000);
    let stack = Stack::start(joining(limits));
    let call = || Call::of("acme", "t").header("x-demo-latency-ms", "5");
    let replies = stack.flood(24, vec![call(); 1_200]);
    assert_eq!(count(&replies, 200) + count(&replies, 429), 1_200);
    assert_eq!(stack.most_at_once("all"), 8, "all of it and no more");
    // A few clients keep the account half free, so that most settlements wait.
    let replies = stack.flood(3, vec![call(); 300]);
    assert_eq!(count(&replies, 200), 300);
    eventually("all leases are back", || {
        let replies = stack.send_all((0..8).map(|_| call()));
        count(&replies, 200) == 8
    });
    assert_eq!(stack.stat(&["tiergate_stale_leases"]), 0);
}

#[test]
fn ticks_write_what_waits_and_a_new_config_loses_nothing() {
    let config = |n: u32| {
        let retry_after = json!({"concurrency_retry_after": format!("{n}s")});
        Setup::new(joining(tiers().with(retry_after)))
    };
    let stack = Stack::with(&config(1));
    let calls = || vec![Call::of("acme", "many"); 400];
    for n in 2..5 {
        let replies = std::thread::scope(|scope| {
            let flood = scope.spawn(|| stack.flood(16, calls()));
            stack.reconfigure(&config(n), true);
            flood.join().unwrap()
        });
        assert_eq!(count(&replies, 200), 400);
        leases_are_given_back(&stack);
    }
}

/// One worker with the build that has the trap, and where a client reads its usage.
fn trap_stack() -> Stack {
    let limits = Config::tier("t").concurrency(64).rpm(1_000).tpm(TPM);
    let config = limits.open_admin().with(json!({
        "tokens": {"join": true, "completion": 1_000},
        "windows": {"minute": "600s"}
    }));
    let mut setup = Setup::new(&config);
    setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", &config)];
    setup.workers = 1;
    Stack::with(&setup)
}

/// Room for the reserves of sixteen requests and the usage of one.
const TPM: u64 = 17_000;

/// The use of a limit, as the worker knows it.
fn used(stack: &Stack, limit: &str) -> u64 {
    let reply = stack.send(Call::of("acme", "t").get("/usage"));
    reply.json()["limits"][limit]["used"].as_u64().unwrap()
}

/// Envoy stands still while eight answers arrive, and then the rest of a request that traps the VM. It
/// reads them in this order, and ticks after that.
#[test]
fn a_trap_loses_the_refunds_that_wait_and_admits_nothing_for_them() {
    let stack = trap_stack();
    let call = |latency_ms: &str| Call::of("acme", "t").header("x-demo-latency-ms", latency_ms);
    assert_eq!(stack.send(call("0")).status, 200);
    let one = used(&stack, "tpm");
    // The admission of these writes what the first one gives back.
    let eight: Vec<_> = (0..8).map(|_| stack.begin(call("3000"))).collect();
    eventually("all are in process", || {
        stack.stat(&["tiergate_in_flight"]) == 8
    });
    let reserved = used(&stack, "tpm");
    let connections = || stack.stat(&["listener.", "worker_0", "downstream_cx_total"]);
    let before = connections();
    let head = "GET / HTTP/1.1\r\nhost: demo\r\n";
    let mut trap = Raw::open(stack.proxy, head);
    eventually("it is accepted", || connections() > before);
    std::thread::scope(|scope| {
        scope.spawn(|| stack.freeze(Duration::from_secs(6)));
        std::thread::sleep(Duration::from_millis(4_500));
        trap.send("x-tiergate-trap: now\r\nconnection: close\r\n\r\n");
    });
    let replies: Vec<_> = eight.into_iter().map(|one| stack.end(one)).collect();
    assert_eq!(count(&replies, 200), 8, "they ended before the trap");
    assert!(trap.read_to_end().starts_with("HTTP/1.1 503"));
    eventually("the VM is loaded again", || {
        stack.send(Call::new());
        stack.stat(&["wasm.tiergate.vm_reload_success"]) == 1
    });
    // All that waited is lost, and nothing else: the reserves stand, the first refund too.
    assert_eq!(used(&stack, "tpm"), reserved);
    assert!(reserved > 9 * one, "more than the nine have used");
    eventually("the leases have lapsed", || {
        used(&stack, "concurrency") == 0 && stack.stat(&["tiergate_in_flight"]) == 0
    });
    let replies = stack.send_all((0..9).map(|_| call("2000")));
    assert_eq!((count(&replies, 200), count(&replies, 429)), (8, 1));
    eventually("the lapsed leases are counted", || {
        stack.stat(&["tiergate_stale_leases"]) == 8
    });
}
