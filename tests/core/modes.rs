//! Shadow mode, of the config and of a tier.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World, line};
use serde_json::{Value, json};
use tiergate::config::parse;

fn tier(name: &str, recharge: u64, more: &Value) -> Value {
    let mut tier = json!({"name": name, "recharge": recharge, "limits":
        {"concurrency": 1, "rpm": 2, "tpm": "unlimited", "tpd": "unlimited"}});
    for (name, value) in more.as_object().unwrap() {
        tier[name] = value.clone();
    }
    tier
}

/// Two tiers with a mode of their own, and one with that of the config.
fn config(mode: &str) -> Config {
    Config::new().with(json!({
        "mode": mode, "capacity": {"accounts": 64},
        "tiers": [
            tier("tries", 1, &json!({"mode": "shadow", "wait": "10s"})),
            tier("holds", 2, &json!({"mode": "enforce"})),
            tier("plain", 3, &json!({})),
        ],
    }))
}

/// The outcomes of three requests of an account, one after the other.
fn outcomes(worker: &Worker, tier: &str) -> Vec<String> {
    let outcome = |_| {
        let result = worker.check(&FakeRequest::of(tier, tier, 0));
        let line = result.log_line();
        if let Next::Forward(pass) = result.next
            && let Some(admission) = pass.admission
        {
            worker.settle(admission, Used::Tokens(0));
        }
        line.split("outcome=").nth(1).unwrap().to_owned()
    };
    (0..3).map(outcome).collect()
}

#[test]
fn a_tiers_mode_is_over_that_of_the_config() {
    let shadowed = ["admitted", "admitted", "shadowed limit=rpm"];
    let limited = ["admitted", "admitted", "limited limit=rpm"];
    for (mode, plain) in [("enforce", limited), ("shadow", shadowed)] {
        let worker = Worker::new(&World::new(), config(mode));
        assert_eq!(outcomes(&worker, "tries"), shadowed);
        assert_eq!(outcomes(&worker, "holds"), limited);
        assert_eq!(outcomes(&worker, "plain"), plain);
        let metrics = worker.tick();
        for (tier, outcome) in [("tries", "shadowed"), ("holds", "limited")] {
            let name = format!("tier.{tier}.outcome.{outcome}");
            assert_eq!(metrics.get("requests", &name), 1);
            assert_eq!(metrics.get("limited", &format!("tier.{tier}.limit.rpm")), 1);
        }
    }
    let wrong = json!({"tiers": [tier("a", 1, &json!({"mode": "off"}))]});
    let refused = parse(wrong.to_string().as_bytes()).unwrap_err().to_string();
    assert!(refused.starts_with("tiers[0].mode: "), "{refused}");
}

/// Before the tier is known, the config's mode decides.
#[test]
fn a_request_without_a_tier_has_the_mode_of_the_config() {
    for (mode, passes) in [("enforce", false), ("shadow", true)] {
        let config = config(mode)
            .with(json!({"tier": ["directory"]}))
            .open_admin();
        let worker = Worker::new(&World::new(), config);
        worker.put("off", r#"{"tier": "tries", "disabled": true}"#);
        worker.ready();
        for account in ["off", "unknown"] {
            let request = FakeRequest::with(&[("x-account-id", account)]);
            let went = matches!(worker.check(&request).next, Next::Forward(_));
            assert_eq!(went, passes, "{mode} {account}");
        }
    }
}

#[test]
fn a_shadow_tier_is_never_held_and_its_clients_are_told_nothing() {
    let worker = Worker::new(&World::new(), config("enforce"));
    let first = worker.admit(&FakeRequest::of("acme", "tries", 0));
    let over = worker.admit(&FakeRequest::of("acme", "tries", 0));
    assert!(
        over.admission.is_none(),
        "over the concurrency, and not queued"
    );
    for pass in [&first, &over] {
        assert_eq!(pass.snapshot, None);
    }
    let told = worker.admit(&FakeRequest::of("other", "plain", 0));
    assert!(told.snapshot.is_some());
}

#[test]
fn what_shadow_mode_counted_holds_when_the_tier_is_enforced() {
    let world = World::new();
    let shadow = Worker::new(&world, config("shadow"));
    assert_eq!(
        outcomes(&shadow, "plain").last().unwrap(),
        "shadowed limit=rpm"
    );
    shadow.close();
    let enforce = Worker::new(&world, config("enforce"));
    let reply = enforce.refuse(&FakeRequest::of("plain", "plain", 0));
    assert_eq!(reply.code, "rpm");
    assert_eq!(line(&reply, "x-ratelimit-remaining-requests"), Some("0"));
    world.pass_ms(61_000);
    enforce.admit(&FakeRequest::of("plain", "plain", 0));
}

#[test]
fn a_fault_refuses_nobody_of_a_shadow_tier() {
    let world = World::new();
    let worker = Worker::new(&world, config("enforce").with(json!({"on_fault": "deny"})));
    worker.host.failing.set(1_000);
    worker.admit(&FakeRequest::of("acme", "tries", 0));
    assert_eq!(
        worker.refuse(&FakeRequest::of("acme", "plain", 0)).status,
        503
    );
}
