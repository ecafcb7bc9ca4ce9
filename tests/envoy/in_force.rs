//! Which config does the shared work, on a real Envoy: after rollbacks and with draining listeners.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::json;

fn config(path: &str) -> Config {
    let feed = json!({"cluster": "llm", "authority": "billing.internal",
        "path": path, "interval": "1s"});
    Config::new().with(json!({"capacity": {"directory": 4_096}, "directory": feed}))
}

fn loads(stack: &Stack, outcomes: &[&str]) -> u64 {
    let of = |outcome: &&str| stack.stat(&["tiergate_feed_loads", &format!("outcome.{outcome}")]);
    outcomes.iter().map(of).sum()
}

fn serves(stack: &Stack) {
    assert_eq!(stack.send(Call::of("acme", "tier5")).status, 200);
}

/// Envoy hands the root of a config back on a rollback, and configures nothing anew.
#[test]
fn after_a_rollback_the_feed_of_the_config_in_force_is_loaded() {
    let stack = Stack::start(config("/feed/accounts"));
    let page = r#"{"accounts":[{"id":"a","recharge":"20"}]}"#;
    let publish = Call::new().post("/feed/accounts").body(page);
    assert_eq!(stack.upstream(publish).status, 200);
    let good = ["loaded", "unchanged"];
    eventually("the feed of A is loaded", || {
        serves(&stack);
        loads(&stack, &good) > 0
    });
    stack.reconfigure(&Setup::new(config("/feed/wrong")), true);
    eventually("the feed of B fails", || {
        serves(&stack);
        loads(&stack, &["failed"]) > 0
    });
    stack.reconfigure(&Setup::new(config("/feed/accounts")), true);
    let before = loads(&stack, &good);
    eventually("the feed of A is loaded again, and again", || {
        serves(&stack);
        loads(&stack, &good) >= before + 3
    });
    let failed = loads(&stack, &["failed"]);
    let before = loads(&stack, &good);
    eventually("it goes on", || {
        serves(&stack);
        loads(&stack, &good) >= before + 5
    });
    assert_eq!(loads(&stack, &["failed"]), failed, "B loads no more");
}
