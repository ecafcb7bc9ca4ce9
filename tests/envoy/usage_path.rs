//! What a client is told at `usage_path`, on a real Envoy.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/v1/rate_limits";

fn start(config: Config, minute: &str) -> Stack {
    let config = config.open_admin().with(json!({
        "windows": {"minute": minute},
        "usage_path": PATH,
        "capacity": {"directory": 64}
    }));
    Stack::with(&Setup::new(config).bodies_while_headers_are_held())
}

fn usage() -> Call {
    Call::of("acme", "t").header("x-mark", "usage").get(PATH)
}

#[test]
fn a_client_is_told_its_usage_for_free_and_nobody_else() {
    let tier = Config::tier("t").concurrency(5).rpm(3).tpm(100_000);
    let stack = start(tier, "60s");
    let admitted = stack.send(Call::of("acme", "t"));
    let told = stack.send(Call::of("acme", "t").get(&format!("{PATH}?x=1")));
    assert_eq!(told.status, 200);
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let rpm = &told.json()["limits"]["rpm"];
    assert_eq!(
        (&rpm["limit"], &rpm["used"], &rpm["remaining"]),
        (&json!(3), &json!(1), &json!(2))
    );
    let remaining = admitted.header("x-ratelimit-remaining-requests");
    assert_eq!(remaining, Some("2"), "the same number");
    for _ in 0..10 {
        assert_eq!(stack.send(usage()).json()["limits"]["rpm"]["used"], 1);
    }
    assert_eq!(told.json()["tier"], "t");
    assert_eq!(told.json()["limits"]["tpd"]["limit"], "unlimited");
    assert_eq!(stack.send(Call::new().get(PATH)).code(), "account_missing");
    assert_eq!(
        stack.seen()["x-mark"],
        Value::Null,
        "the upstream was not asked"
    );
    let admitted = ["tiergate_requests", "outcome.admitted"];
    eventually("one was counted", || stack.stat(&admitted) == 1);
    eventually("the access log", || {
        stack.access_log().contains("tier=t outcome=usage")
    });
    // Anything else there goes on as ever.
    let post = Call::of("acme", "t").method("POST", PATH);
    assert_eq!(
        stack.send(post).header("x-ratelimit-remaining-requests"),
        Some("1")
    );
}

/// One client that asks first, with limits that are lowered meanwhile and then are not.
#[test]
fn who_asks_before_each_request_never_sees_a_429_that_was_not_foretold() {
    let tier = Config::tier("t").concurrency(2).rpm(6).tpm(10_000);
    let stack = start(tier, "400ms");
    let (mut admitted, mut foretold) = (0, 0);
    for i in 0..150 {
        if i == 50 {
            let body = r#"{"scale": 0.5, "ttl": "2s"}"#;
            let put = Call::new().method("PUT", "/-/tiergate/load").body(body);
            assert_eq!(stack.send(put).status, 200);
            std::thread::sleep(Duration::from_millis(1_100));
        }
        let told = stack.send(usage()).json();
        let room = |name: &str| told["limits"][name]["remaining"].as_u64().unwrap();
        let free = room("concurrency") > 0 && room("rpm") > 0 && room("tpm") >= 1_100;
        let reply = stack.send(Call::of("acme", "t"));
        match (free, reply.status) {
            (_, 200) => admitted += 1,
            (false, 429) => {
                foretold += 1;
                std::thread::sleep(Duration::from_millis(15));
            }
            other => panic!("{other:?} after {told}: {:?}", reply.json()),
        }
    }
    assert!(admitted > 10 && foretold > 10, "{admitted} and {foretold}");
}

/// In shadow mode, a request without an identity goes on to the upstream from there too.
#[test]
fn identity_headers_are_taken_off_at_usage_path_too() {
    let config = json!({"mode": "shadow", "usage_path": PATH,
        "capacity": {"accounts": 64, "directory": 64}});
    let stack = Stack::with(&Setup::new(&config));
    let call = |path: &str| {
        let call = Call::new().header("x-account-tier", "tier0");
        call.header("x-mark", path).get(path)
    };
    assert_eq!(stack.send(call("/other")).status, 200);
    assert_eq!(stack.seen()["x-account-tier"], Value::Null);
    assert_eq!(stack.send(call(PATH)).status, 200);
    let seen = stack.seen();
    assert_eq!(seen["x-mark"][0], PATH);
    assert_eq!(seen["x-account-tier"], Value::Null, "{seen}");
}
