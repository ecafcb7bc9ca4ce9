//! Which config does the shared work, on a real Envoy: after rollbacks and with draining listeners.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::json;

const PAGE: &str = r#"{"accounts":[{"id":"a","recharge":"20"}]}"#;

fn config(path: &str) -> Config {
    let feed = json!({"cluster": "llm", "authority": "billing.internal",
        "path": path, "interval": "1s"});
    Config::new().with(json!({"capacity": {"directory": 4_096}, "directory": feed}))
}

fn loads(stack: &Stack, outcomes: &[&str]) -> u64 {
    let of = |outcome: &&str| stack.stat(&["tiergate_feed_loads", &format!("outcome.{outcome}")]);
    outcomes.iter().map(of).sum()
}

const GOOD: [&str; 2] = ["loaded", "unchanged"];

/// Has the upstream serve the good feed.
fn publish(stack: &Stack) {
    let page = Call::new().post("/feed/accounts").body(PAGE);
    assert_eq!(stack.upstream(page).status, 200);
}

/// Sends requests until the good feed is loaded.
fn until_loaded(stack: &Stack) {
    eventually("the good feed is loaded", || {
        serves(stack);
        loads(stack, &GOOD) > 0
    });
}

fn serves(stack: &Stack) {
    assert_eq!(stack.send(Call::of("acme", "tier5")).status, 200);
}

/// Envoy hands the root of a config back on a rollback, and configures nothing anew.
#[test]
fn after_a_rollback_the_feed_of_the_config_in_force_is_loaded() {
    let stack = Stack::start(config("/feed/accounts"));
    publish(&stack);
    until_loaded(&stack);
    stack.reconfigure(&Setup::new(config("/feed/wrong")), true);
    eventually("the feed of B fails", || {
        serves(&stack);
        loads(&stack, &["failed"]) > 0
    });
    stack.reconfigure(&Setup::new(config("/feed/accounts")), true);
    let before = loads(&stack, &GOOD);
    eventually("the feed of A is loaded again, and again", || {
        serves(&stack);
        loads(&stack, &GOOD) >= before + 3
    });
    let failed = loads(&stack, &["failed"]);
    let before = loads(&stack, &GOOD);
    eventually("it goes on", || {
        serves(&stack);
        loads(&stack, &GOOD) >= before + 5
    });
    assert_eq!(loads(&stack, &["failed"]), failed, "B loads no more");
}

/// A second listener of the namespace with a feed of its own comes, and goes.
#[test]
fn a_second_listener_takes_the_feed_only_while_it_is_there() {
    let config_of = |path: &str| config(path).with(json!({"tier": [{"header": "x-account-tier"}]}));
    let stack = Stack::start(config_of("/feed/accounts"));
    publish(&stack);
    until_loaded(&stack);
    let mut both = Setup::new(config_of("/feed/accounts"));
    both.second = vec![wasm_filter(
        "second",
        "tiergate.wasm",
        config_of("/feed/wrong"),
    )];
    stack.reconfigure(&both, true);
    let second = || stack.listener("second");
    eventually("the second listener is there", || second().is_some());
    let to = second().unwrap();
    eventually("its feed fails", || {
        let reply = stack.runtime.block_on(Call::of("acme", "tier5").send(to));
        assert_eq!(reply.unwrap().status, 200);
        serves(&stack);
        loads(&stack, &["failed"]) > 0
    });
    stack.reconfigure(&Setup::new(config_of("/feed/accounts")), true);
    let before = loads(&stack, &GOOD);
    eventually("the feed of A is loaded again, and again", || {
        serves(&stack);
        loads(&stack, &GOOD) >= before + 3
    });
}

/// A trap has a root that drains created anew, and configured later than its successor.
#[test]
fn a_trap_while_a_root_drains_does_not_bring_the_withdrawn_feed_back() {
    let setup = |path: &str| {
        let mut setup = Setup::new(config(path));
        setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", config(path))];
        setup
    };
    let stack = Stack::with(&setup("/feed/wrong"));
    publish(&stack);
    // A stream that goes on for the whole test holds the old root.
    let stream = stack.begin(Call::of("acme", "tier5").streamed(400, 100));
    eventually("the feed of A fails", || {
        serves(&stack);
        loads(&stack, &["failed"]) > 0
    });
    stack.reconfigure(&setup("/feed/accounts"), true);
    until_loaded(&stack);
    let trap = Call::of("acme", "tier5").header("x-tiergate-trap", "now");
    assert_eq!(stack.send(trap).status, 503);
    eventually("the VM is loaded again", || {
        stack.send(Call::new());
        stack.stat(&["wasm.tiergate.vm_reload_success"]) >= 1
    });
    let before = loads(&stack, &GOOD);
    let failed = loads(&stack, &["failed"]);
    eventually("B goes on", || {
        stack.send(Call::of("acme", "tier5"));
        loads(&stack, &GOOD) >= before + 4
    });
    assert_eq!(loads(&stack, &["failed"]), failed, "A loads no more");
    drop(stream);
}
