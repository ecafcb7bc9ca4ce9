//! Calls of the admin API as a billing system makes them: what is broken of a list, what is known at
//! once, what is forgotten for good.

use crate::harness::{Call, Config, FakeRequest, Next, Worker, World};
use serde_json::{Value, json};
use std::sync::Arc;

fn config() -> Config {
    Config::new().open_admin().with(json!({
        "tier": ["directory"],
        "capacity": {"accounts": 64, "directory": 4096},
    }))
}

fn ready(world: &Arc<World>) -> Worker {
    let worker = Worker::new(world, config());
    worker.ready();
    worker
}

fn of(account: &str) -> FakeRequest {
    FakeRequest::with(&[("x-account-id", account)])
}

/// Regression: one line that is no JSON refused all.
#[test]
fn a_broken_line_refuses_itself_alone() {
    let worker = ready(&World::new());
    let good = |id: &str| format!(r#"{{"id": "{id}", "tier": "tier1"}}"#);
    let body = [
        &good("a"),
        r#"{"id": "b", "tier""#,
        &good("c"),
        "\u{7f}",
        "7",
    ]
    .join("\n");
    let (status, report) = worker.call(&Call::PutMany, &body);
    assert_eq!((status, &report["accepted"]), (200, &json!(2)), "{report}");
    let refused = report["refused"].as_array().unwrap();
    let items: Vec<_> = refused.iter().map(|one| &one["item"]).collect();
    assert_eq!(items, [&json!(2), &json!(4), &json!(5)]);
    for account in ["a", "c"] {
        worker.admission(&of(account));
    }
    for none in ["nonsense", "{\n}}\n", "\u{7f}\n\u{7f}"] {
        assert_eq!(worker.call(&Call::PutMany, none).0, 400, "{none:?}");
    }
}

/// Regression: they were taken, shown, and had no effect.
#[test]
fn fields_of_an_account_are_refused_of_an_alias() {
    let worker = ready(&World::new());
    worker.put("acme", r#"{"tier": "tier1"}"#);
    for (field, value) in [
        ("since", json!("2026-01-31")),
        ("limits", json!({"rpm": 1})),
        ("models", json!({"k2": {"rpm": 1}})),
        ("until", json!("2027-01-01T00:00:00Z")),
    ] {
        let (status, said) =
            worker.put("key", &json!({"account": "acme", field: value}).to_string());
        let message = said["error"]["message"].as_str().unwrap();
        assert_eq!(status, 400, "{field}");
        assert!(
            message.contains(&format!("body at {field}: not of an alias")),
            "{message}"
        );
    }
    let both = json!({"account": "acme", "disabled": false, "exempt": true});
    assert_eq!(worker.put("key", &both.to_string()).0, 200);
}

/// Regression: other workers answered 503 until their next tick.
#[test]
fn ready_is_known_to_each_worker_at_once() {
    let world = World::new();
    let [one, other] = [(); 2].map(|()| Worker::new(&world, config()));
    assert_eq!(other.refuse(&of("acme")).status, 503);
    one.ready();
    assert_eq!(other.refuse(&of("acme")).code, "tier_unknown");
}

/// Regression: what another worker had not written down yet came back.
#[test]
fn a_forgotten_account_has_no_refusals_of_other_workers_later() {
    let world = World::new();
    let [one, other] = [(); 2].map(|()| ready(&world));
    one.put("acme", r#"{"tier": "tier0"}"#);
    for worker in [&one, &other] {
        while matches!(worker.check(&of("acme")).next, Next::Forward(_)) {}
    }
    assert_eq!(one.call(&Call::Delete(b"acme".to_vec()), "").0, 200);
    for _ in 0..6 {
        world.pass_ms(500);
        other.tick();
        one.tick();
    }
    let (_, status) = one.call(&Call::Status, "");
    assert_eq!(status["refusals"]["accounts"], json!([]), "{status}");
    other.refuse(&of("acme"));
    for _ in 0..6 {
        world.pass_ms(500);
        other.tick();
        one.tick();
    }
    let (_, status) = one.call(&Call::Status, "");
    let names: Vec<&Value> = status["refusals"]["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(names.len(), 1, "what came after the call stays: {status}");
}

/// Regression: a deletion said that it deleted the use of all who share a record.
#[test]
fn a_shared_record_is_not_deleted() {
    let config = config().with(json!({"unknown_tier": "tier1", "capacity": {"accounts": 8}}));
    let worker = Worker::new(&World::new(), config);
    worker.ready();
    for n in 0..1_000 {
        worker.check(&of(&format!("a{n}")));
    }
    assert!(worker.tick().get("overflow_requests", "") > 0);
    let (status, said) = worker.call(&Call::Delete(b"never-seen".to_vec()), "");
    assert_eq!(status, 404, "{said}");
}

#[test]
fn changes_are_counted_and_look_ups_are_not() {
    let worker = ready(&World::new());
    worker.put("acme", r#"{"tier": "tier1"}"#);
    worker.put("acme", r#"{"tier": "tier9"}"#);
    worker.call(&Call::Get(b"acme".to_vec()), "");
    worker.call(&Call::Status, "");
    assert_eq!(
        worker.tick().get("admin_writes", ""),
        2,
        "ready and one PUT"
    );
    assert_eq!(worker.tick().get("admin_writes", ""), 0);
}

/// A health check of the admin's listener changed the config that the API answers by.
#[test]
fn a_request_without_an_account_puts_no_config_in_force() {
    let world = World::new();
    let tiers =
        json!([{"name": "gold", "limits": {"concurrency": 1, "rpm": 1, "tpm": 1, "tpd": 1}}]);
    let proxy = Worker::new(
        &world,
        config().with(json!({"tiers": tiers, "tier": [{"header": "x-account-tier"}]})),
    );
    world.pass_ms(500);
    let admin = proxy.beside(config());
    let names = || {
        let (_, status) = admin.call(&Call::Status, "");
        status["tiers"][0]["name"].clone()
    };
    for n in 0..6 {
        proxy.check(&FakeRequest::of("acme", "gold", 0));
        if n > 2 {
            assert_eq!(admin.refuse(&FakeRequest::with(&[])).status, 401);
        }
        world.pass_ms(500);
        admin.tick();
        proxy.tick();
    }
    assert_eq!(names(), "gold");
}
