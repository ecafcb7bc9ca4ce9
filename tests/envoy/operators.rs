//! What operators see and do: metrics, access log, example configs, reloads, capacity.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually, root};
use serde_json::json;

#[test]
fn the_demo_config_starts_and_its_metrics_have_labels() {
    let stack = Stack::of_file("envoy/envoy.yaml");
    for _ in 0..4 {
        stack.send(Call::of("acme", "tier0"));
    }
    stack.send(Call::new());
    let wanted = [
        r#"tiergate_requests{namespace="tiergate",tier="tier0",outcome="admitted"} 3"#,
        r#"tiergate_requests{namespace="tiergate",tier="tier0",outcome="limited"} 1"#,
        r#"tiergate_requests{namespace="tiergate",tier="none",outcome="refused"} 1"#,
        r#"tiergate_limited{namespace="tiergate",tier="tier0",limit="rpm"} 1"#,
        r#"tiergate_tokens{namespace="tiergate",tier="tier0",kind="reserved"} 3117"#,
        r#"tiergate_tokens{namespace="tiergate",tier="tier0",kind="used"} 93"#,
        r#"tiergate_in_flight{namespace="tiergate",tier="tier0"} 0"#,
        r#"tiergate_requests{namespace="tiergate",tier="tier5",outcome="limited"} 0"#,
    ];
    for line in wanted {
        eventually(line, || stack.prometheus().contains(line));
    }
    assert!(
        !stack.envoy_log().contains("the host answered"),
        "each move is taken"
    );
}

#[test]
fn the_demos_admin_api_is_on_a_listener_of_its_own() {
    let stack = Stack::of_file("envoy/envoy.yaml");
    let admin = stack.listener("tiergate_admin").unwrap();
    let put = Call::new()
        .method("PUT", "/-/tiergate/accounts/acme")
        .header("authorization", "Bearer demo")
        .body(r#"{"recharge": "20"}"#);
    let written = stack.runtime.block_on(put.send(admin)).unwrap();
    assert_eq!(written.json()["tier"], "tier2");
    let reply = stack.send(Call::new().header("x-account-id", "acme"));
    assert_eq!(reply.header("x-ratelimit-limit-requests"), Some("500"));
    assert_eq!(
        stack.send(Call::new().get("/-/tiergate/status")).status,
        401,
        "no account, no API"
    );
}

#[test]
fn the_minimal_config_believes_no_header_of_a_client() {
    let stack = Stack::of_file("envoy/minimal.yaml");
    let forged = |account: &str| Call::of(account, "paid").header("authorization", "Bearer sk-one");
    let left = |call: Call| {
        let reply = stack.send(call);
        let header = |name| reply.header(name).map(str::to_owned);
        let limit = header("x-ratelimit-limit-requests");
        (limit, header("x-ratelimit-remaining-requests"))
    };
    let of_free = |left: &str| (Some("20".to_owned()), Some(left.to_owned()));
    assert_eq!(left(forged("acme")), of_free("19"));
    assert_eq!(
        left(forged("globex")),
        of_free("18"),
        "one key, one account"
    );
    assert_eq!(stack.send(Call::of("acme", "paid")).status, 401);
    let health = stack.send(Call::new().get("/healthz"));
    assert_ne!(health.status, 401, "no account is asked for");
    let line = r#"tiergate_requests{namespace="tiergate",tier="free",outcome="admitted"} 2"#;
    eventually(line, || stack.prometheus().contains(line));
}

#[test]
fn the_example_configs_have_the_same_labels() {
    let tags = |file: &str| {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let (_, tags) = text.split_once("stats_config:").unwrap();
        tags.split("\n\n").next().unwrap().to_owned()
    };
    assert_eq!(tags("envoy/minimal.yaml"), tags("envoy/envoy.yaml"));
}

#[test]
fn the_access_log_says_what_became_of_each_request() {
    let stack = Stack::start("{}");
    for _ in 0..4 {
        stack.send(Call::of("acme", "tier0"));
    }
    stack.send(Call::new());
    // No request has a line of its usage without `log_usage`.
    for line in [
        "200 via_upstream tier=tier0 outcome=admitted -\n",
        "429 tiergate_rpm tier=tier0 outcome=limited limit=rpm -\n",
        "401 tiergate_account_missing tier=none outcome=refused code=account_missing \
         sources=header:x-account-id,header:authorization -\n",
    ] {
        eventually(line, || stack.access_log().contains(line));
    }
    assert!(!stack.access_log().contains("acme"));
}

fn rpm(limit: u64) -> Config {
    Config::tier("t").rpm(limit)
}

#[test]
fn a_reload_under_load_keeps_the_counters() {
    let stack = Stack::start(rpm(300));
    let flood = || {
        let stack = &stack;
        move || stack.flood(20, vec![Call::of("acme", "t"); 2_000])
    };
    let replies = std::thread::scope(|scope| {
        let flood = scope.spawn(flood());
        stack.reconfigure(&Setup::new(rpm(400)), true);
        stack.reconfigure(&Setup::new(rpm(500)), true);
        flood.join().unwrap()
    });
    assert_eq!(
        count(&replies, 200) + count(&replies, 429),
        2_000,
        "nobody was dropped"
    );
    let more = stack.flood(20, vec![Call::of("acme", "t"); 600]);
    assert_eq!(
        count(&replies, 200) + count(&more, 200),
        500,
        "the new limit, counted from the start"
    );
}

#[test]
fn a_larger_capacity_keeps_the_counters_of_both_workers() {
    let config = |accounts: u32| {
        let capacity = json!({"capacity": {"accounts": accounts}});
        Config::tier("t").rpm(5).with(capacity)
    };
    let stack = Stack::start(config(64));
    let accounts: Vec<String> = (0..50).map(|i| format!("account-{i}")).collect();
    let send = |n: usize| {
        let calls = accounts
            .iter()
            .flat_map(|account| vec![Call::of(account, "t"); n]);
        count(&stack.flood(8, calls.collect()), 200)
    };
    assert_eq!(send(3), 150);
    stack.reconfigure(&Setup::new(config(1_000)), true);
    assert_eq!(send(4), 100, "two more of each");
    stack.reconfigure(&Setup::new(config(64)), true);
    assert_eq!(send(1), 0, "rolled back, and still counted");
}

#[test]
fn a_bad_config_is_rejected_with_its_reason_and_traffic_goes_on() {
    let stack = Stack::start(rpm(3));
    stack.send(Call::of("acme", "t"));
    stack.reconfigure(&Setup::new(rpm(0)), false);
    eventually("the reason is logged", || {
        let log = stack.envoy_log();
        log.contains("config at tiers[0].limits.rpm: ") && log.contains("from 1 to")
    });
    let statuses: Vec<_> = (0..3)
        .map(|_| stack.send(Call::of("acme", "t")).status)
        .collect();
    assert_eq!(
        statuses,
        [200, 200, 429],
        "the old config, and its counters"
    );
}

#[test]
fn twenty_thousand_accounts_stay_in_the_memory_of_four_thousand() {
    let stack = Stack::start(Config::new().with(json!({"capacity": {"accounts": 4096}})));
    let calls =
        |from: usize| (from..from + 10_000).map(|i| Call::of(&format!("account-{i:08}"), "tier5"));
    stack.flood(20, calls(0).collect());
    let before = stack.resident_bytes();
    let replies = stack.flood(20, calls(10_000).collect());
    assert_eq!(count(&replies, 200), 10_000);
    let grown = stack.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "grown by {grown} bytes");
    assert_eq!(stack.stat(&["tiergate_evicted_live"]), 0);
}

/// Accounts at their minute and at their day stay refused, whatever unknown keys are sent.
fn noise_forgives_nobody(capacity: u32, keys: usize) {
    let fields = json!({"capacity": {"accounts": capacity}, "unknown_tier": "t"});
    let config = Config::tier("t").rpm(3).tpd(10_000).with(fields);
    let stack = Stack::start(config);
    let of = |account: &str| Call::new().header("x-account-id", account);
    let minute = stack.send_all((0..3).map(|_| of("minute")));
    assert_eq!(count(&minute, 200), 3);
    let day = || of("day").post("/v1/completions").body(vec![b'x'; 35_000]);
    assert_eq!(stack.send(day()).status, 200);
    let refused = |call: Call| stack.send(call).code();
    let begun = std::time::Instant::now();
    for from in (0..keys).step_by(1_000) {
        let noise = (from..from + 1_000).map(|i| of(&format!("noise-{i}")));
        stack.flood(20, noise.collect());
        assert_eq!(refused(day()), "tpd");
        if begun.elapsed() < std::time::Duration::from_secs(50) {
            assert_eq!(refused(of("minute")), "rpm");
        }
    }
    assert_eq!(stack.stat(&["tiergate_evicted_live"]), 0);
    eventually("the gauge is with the requests that shared", || {
        let shared = stack.stat(&["tiergate_overflow_requests"]);
        let fill = stack.stat(&["tiergate_page_fill"]);
        (1..=100).contains(&fill) && (shared == 0 || fill == 100)
    });
}

#[test]
fn three_thousand_unknown_keys_forgive_nobody_at_a_capacity_of_256() {
    noise_forgives_nobody(256, 3_000);
}

#[test]
fn a_hundred_thousand_unknown_keys_forgive_nobody_at_the_default_capacity() {
    noise_forgives_nobody(65_536, 100_000);
}
