//! A panic in a worker's VM: what is lost, what is not, and how soon all is well again.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, module, wasm_filter};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Pending, Stack, eventually};
use std::time::{Duration, Instant};

#[test]
fn no_release_can_be_trapped_by_a_header() {
    let has_the_trap = |file: &str| {
        let bytes = std::fs::read(module(file)).unwrap();
        let message = b"trapped as asked";
        bytes.windows(message.len()).any(|window| window == message)
    };
    assert!(has_the_trap("tiergate_trap.wasm"));
    assert!(!has_the_trap("tiergate.wasm"));
}

/// Two workers with the build that has the trap.
fn trap_stack(config: &Config) -> Stack {
    let mut setup = Setup::new(config);
    setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", config)];
    Stack::with(&setup)
}

/// Sixteen requests of one account, in process on both workers: they, and how many on each.
fn sixteen_on_both(stack: &Stack, latency_ms: &str) -> (Vec<Pending>, [u64; 2]) {
    let call = || Call::of("acme", "t").header("x-demo-latency-ms", latency_ms);
    let pending = (0..16).map(|_| stack.begin(call())).collect();
    eventually("all are in process", || in_flight(stack) == 16);
    let on_each = stack.accepted();
    assert!(on_each.iter().all(|n| *n > 0), "one worker took no part");
    (pending, on_each)
}

fn in_flight(stack: &Stack) -> u64 {
    stack.stat(&["tiergate_in_flight"])
}

/// Traps a worker; says which.
fn spring(stack: &Stack) -> usize {
    let before = stack.accepted();
    let trap = Call::of("acme", "t").header("x-tiergate-trap", "now");
    assert_eq!(stack.send(trap).status, 503);
    usize::from(stack.accepted()[0] == before[0])
}

/// Requests without an account, until one has made Envoy load the trapped VM again.
fn until_reloaded(stack: &Stack) {
    eventually("the VM is loaded again", || {
        stack.send(Call::new());
        stack.stat(&["wasm.tiergate.vm_reload_success"]) == 1
    });
}

#[test]
fn a_trapped_worker_comes_back_and_the_other_never_noticed() {
    let stack = trap_stack(&Config::tier("t").concurrency(16).rpm(1_000));
    let (pending, on_each) = sixteen_on_both(&stack, "2000");
    let trapped = spring(&stack);
    let replies: Vec<_> = pending.into_iter().map(|p| stack.end(p)).collect();
    let (well, lost) = (count(&replies, 200), count(&replies, 503));
    assert_eq!(
        [well as u64, lost as u64],
        [on_each[1 - trapped], on_each[trapped]]
    );
    until_reloaded(&stack);
    let before = stack.accepted()[trapped];
    eventually("the trapped worker serves again", || {
        assert_eq!(stack.send(Call::of("other", "t")).status, 200);
        stack.accepted()[trapped] > before
    });
}

#[test]
fn leases_and_gauge_of_a_trapped_worker_are_forgotten_and_no_others() {
    let stack = trap_stack(&Config::tier("t").concurrency(16).rpm(1_000));
    let (_pending, on_each) = sixteen_on_both(&stack, "60000");
    assert_eq!(stack.send(Call::of("acme", "t")).code(), "concurrency");
    let trapped = spring(&stack);
    until_reloaded(&stack);
    eventually("a lease is free", || {
        stack.send(Call::of("acme", "t")).status == 200
    });
    let call = || Call::of("acme", "t").header("x-demo-latency-ms", "500");
    let replies = stack.send_all((0..=on_each[trapped]).map(|_| call()));
    assert_eq!(count(&replies, 200) as u64, on_each[trapped]);
    assert_eq!(count(&replies, 429), 1, "the other worker's stay");
    eventually("the gauge is the truth", || {
        in_flight(&stack) == on_each[1 - trapped]
    });
    assert_eq!(stack.stat(&["tiergate_stale_leases"]), on_each[trapped]);
}

#[test]
fn the_windows_of_a_trapped_worker_are_kept() {
    let stack = trap_stack(&Config::tier("t").rpm(5));
    let call = || Call::of("acme", "t");
    for _ in 0..3 {
        assert_eq!(stack.send(call()).status, 200);
    }
    spring(&stack);
    until_reloaded(&stack);
    let replies = stack.send_all((0..6).map(|_| call()));
    assert_eq!((count(&replies, 200), count(&replies, 429)), (2, 4));
}

#[test]
fn with_one_worker_and_no_more_traffic_the_main_thread_mends_the_gauge() {
    let mut setup = Setup::new("");
    setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", "")];
    setup.workers = 1;
    let stack = Stack::with(&setup);
    let _pending = stack.begin(Call::of("acme", "tier1").header("x-demo-latency-ms", "60000"));
    eventually("it is in process", || in_flight(&stack) == 1);
    let trap = Call::of("acme", "tier1").header("x-tiergate-trap", "now");
    assert_eq!(stack.send(trap).status, 503);
    eventually("the gauge is the truth", || in_flight(&stack) == 0);
}

/// Reason docs/concurrency.md asks for FAIL_RELOAD.
#[test]
fn without_fail_reload_one_trap_ends_the_filter_for_good() {
    for (policy, status) in [("FAIL_CLOSED", 503), ("FAIL_OPEN", 200)] {
        let mut filter = wasm_filter("tiergate", "tiergate_trap.wasm", "");
        filter["typed_config"]["config"]["failure_policy"] = policy.into();
        let mut setup = Setup::new("");
        setup.filters = vec![filter];
        setup.workers = 1;
        let stack = Stack::with(&setup);
        assert_eq!(stack.send(Call::new()).status, 401, "it names no account");
        stack.send(Call::new().header("x-tiergate-trap", "now"));
        // Longer than the back-off after which FAIL_RELOAD would have it back.
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
            assert_eq!(stack.send(Call::new()).status, status, "{policy}");
            std::thread::sleep(Duration::from_millis(50));
        }
        // Only a new config has it back.
        let mut next = Setup::new("");
        next.workers = 1;
        stack.reconfigure(&next, true);
        eventually("the filter is back", || {
            stack.send(Call::new()).status == 401
        });
    }
}
