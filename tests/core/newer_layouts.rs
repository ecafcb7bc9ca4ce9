//! Values that newer code wrote: old code that drains leaves them alone, and `on_fault` decides.

use crate::harness::{Call, Config, FakeRequest, Worker, World};
use serde_json::json;
use std::sync::Arc;
use tiergate::host::SharedData as _;

const NEWER: &[u8] = b"\xc8?what newer code keeps here";

fn config() -> Config {
    Config::tier("t").concurrency(5).rpm(100).with(json!({
        "capacity": {"accounts": 8, "directory": 8},
        "admin": {"path": "/a", "insecure": true},
        "load": {"from": "overload"},
        "on_fault": "deny",
    }))
}

/// Puts a value of a newer layout at a key that exists.
fn take_over(world: &Arc<World>, key: &str) {
    assert!(world.keys().iter().any(|k| k == key), "{key}");
    world.overwrite(key, NEWER);
}

fn value(worker: &Worker, key: &str) -> Vec<u8> {
    worker.host.get(key).unwrap().unwrap().value
}

#[test]
fn a_page_of_the_ledger_is_not_written_by_a_settlement_and_denies() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    let admission = worker.admission(&FakeRequest::acme(0));
    take_over(&world, "tiergate/p1.0");
    worker.release(admission);
    let reply = worker.refuse(&FakeRequest::acme(0));
    assert_eq!((reply.status, reply.code), (503, "limiter_unavailable"));
    worker.tick();
    assert_eq!(value(&worker, "tiergate/p1.0"), NEWER);
}

#[test]
fn it_is_said_once_in_a_vm_with_the_remedy() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    let beside = worker.beside(config().with(json!({"mode": "shadow"})));
    for key in ["tiergate/vms", "tiergate/p1.0", "tiergate/refusals"] {
        world.overwrite(key, NEWER);
    }
    let mut lines = Vec::new();
    for _ in 0..10 {
        world.pass_ms(500);
        for worker in [&worker, &beside] {
            worker.check(&FakeRequest::acme(0));
            lines.extend(worker.tick_log());
        }
    }
    let [line] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert!(line.contains("load the newer module again"), "{line}");
}

#[test]
fn a_directory_is_neither_read_nor_written() {
    let world = World::new();
    let worker = Worker::new(&world, config().with(json!({"tier": ["directory"]})));
    assert_eq!(worker.put("acme", r#"{"tier": "t"}"#).0, 200);
    worker.admission(&FakeRequest::acme(0));
    take_over(&world, "tiergate/e0");
    assert_eq!(worker.put("acme", r#"{"tier": "t"}"#).0, 503);
    assert_eq!(worker.call(&Call::Get(b"acme".to_vec()), "").0, 503);
    assert_eq!(worker.refuse(&FakeRequest::acme(0)).status, 503);
    assert_eq!(value(&worker, "tiergate/e0"), NEWER);
}

#[test]
fn no_tick_writes_over_a_value_of_newer_code() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    for _ in 0..101 {
        worker.check(&FakeRequest::acme(0));
    }
    worker.tick();
    let mut keys = world.keys();
    keys.retain(|key| !key.ends_with("/directory"));
    for key in &keys {
        take_over(&world, key);
    }
    for _ in 0..4 {
        world.pass_ms(1_000);
        worker.check(&FakeRequest::of("other", "t", 0));
        worker.observe("503", None);
        worker.tick();
    }
    for key in &keys {
        assert_eq!(value(&worker, key), NEWER, "{key}");
    }
}

#[test]
fn a_config_is_refused_where_newer_code_keeps_the_ledger_or_the_directory() {
    for key in ["tiergate/vms", "tiergate/directory"] {
        let world = World::new();
        Worker::new(&world, config());
        take_over(&world, key);
        let refused = Worker::open(&world, config()).err();
        let refused = refused.expect(key).to_string();
        assert!(refused.contains("newer layout"), "{refused}");
    }
}
