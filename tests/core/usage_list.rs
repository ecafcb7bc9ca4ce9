//! `GET usage`: accounts with usage page by page, by the names that the directory or the ledger has.

use crate::harness::{Call, Config, FakeRequest, Used, Worker, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn config() -> Config {
    Config::new().open_admin().with(json!({
        "usage_names": true,
        "capacity": {"accounts": 2_048, "directory": 64},
    }))
}

/// All pages of the list: the accounts by name, the unnamed ones, and the number of calls.
fn list(worker: &Worker, limit: &str) -> (BTreeMap<String, Value>, u64, u64, u32) {
    let (mut named, mut unnamed, mut rpm, mut calls) = (BTreeMap::new(), 0, 0, 0);
    let mut after = None;
    loop {
        let before = worker.host.calls.get();
        let call = Call::Usage {
            after,
            limit: Some(limit.as_bytes().to_vec()),
        };
        let (status, view) = worker.call(&call, "");
        assert_eq!(status, 200, "{view}");
        let cost = worker.host.calls.get() - before;
        assert!(
            cost <= 2 * 64 + 3 * limit.parse::<u32>().unwrap() + 8,
            "{cost} calls"
        );
        for one in view["accounts"].as_array().unwrap() {
            let id = one["id"].as_str().unwrap().to_owned();
            assert!(named.insert(id, one.clone()).is_none(), "{one} comes twice");
        }
        unnamed += view["unnamed"]["accounts"].as_u64().unwrap();
        rpm += view["unnamed"]["used"]["rpm"].as_u64().unwrap_or(0);
        calls += 1;
        match view["next"].as_str() {
            Some(next) => after = Some(next.as_bytes().to_vec()),
            None => return (named, unnamed, rpm, calls),
        }
    }
}

#[test]
fn accounts_are_listed_by_name_with_their_tier_and_usage() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    for i in 0..300 {
        let of = FakeRequest::of(&format!("a{i}"), "tier1", 100);
        assert!(worker.serves(&of, Used::Tokens(1_000 + i)));
    }
    let open = worker.admission(&FakeRequest::of("a7", "tier1", 100));
    for _ in 0..10 {
        worker.tick();
        world.pass_ms(500);
    }
    let (named, unnamed, _, calls) = list(&worker, "40");
    assert_eq!((named.len(), unnamed), (300, 0));
    assert!(calls >= 8, "{calls}");
    let a7 = &named["a7"];
    assert_eq!(
        (&a7["tier"], &a7["in_flight"]),
        (&json!("tier1"), &json!(1))
    );
    assert_eq!(
        (&a7["limits"]["rpm"]["used"], &a7["last_seen_s"]),
        (&json!(2), &json!(5))
    );
    worker.release(open);
    worker.call(&Call::Delete(b"a7".to_vec()), "");
    assert!(!list(&worker, "100").0.contains_key("a7"));
}

#[test]
fn without_names_the_rest_is_one_sum_and_the_directory_knows_some() {
    let world = World::new();
    let worker = Worker::new(&world, config().with(json!({"usage_names": false})));
    worker.put("known", r#"{"tier": "tier2", "limits": {"rpm": 77}}"#);
    for account in ["known", "x", "y", "y"] {
        worker.serves(&FakeRequest::of(account, "tier1", 0), Used::Tokens(10));
    }
    worker.tick();
    let (named, unnamed, rpm, _) = list(&worker, "100");
    assert_eq!(named.keys().collect::<Vec<_>>(), ["known"]);
    assert_eq!((unnamed, rpm), (2, 3));
    assert_eq!(named["known"]["limits"]["rpm"]["limit"], 77);
    assert!(
        world.keys().iter().all(|key| !key.contains("/n")),
        "nothing is kept"
    );
}

#[test]
fn names_cost_no_host_call_on_the_way_and_one_write_a_page() {
    let world = World::new();
    let (with, without) = (Worker::new(&world, config()), World::new());
    let plain = Worker::new(&without, config().with(json!({"usage_names": false})));
    let calls = |worker: &Worker, account: &str| {
        let before = worker.host.calls.get();
        worker.serves(&FakeRequest::of(account, "tier1", 0), Used::Tokens(10));
        worker.host.calls.get() - before
    };
    for account in ["a", "a", "b"] {
        assert_eq!(calls(&with, account), calls(&plain, account));
    }
    // The first write creates the value; the second is sure of it.
    for _ in 0..2 {
        with.tick();
        calls(&with, "a");
    }
    with.tick();
    with.host.calls.set(0);
    with.tick();
    let idle = with.host.calls.replace(0);
    calls(&with, "a");
    with.host.calls.set(0);
    with.tick();
    assert!(
        with.host.calls.get() <= idle + 2,
        "a known account is not written again"
    );
}

#[test]
fn names_are_bounded_and_those_without_a_record_go_first() {
    let world = World::new();
    let worker = Worker::new(&world, config().with(json!({"capacity": {"accounts": 8}})));
    for round in 0..20 {
        for i in 0..60 {
            let id = format!("{round:03}-{i:03}-{}", "x".repeat(100));
            worker.serves(&FakeRequest::of(&id, "tier1", 0), Used::Tokens(0));
        }
        worker.tick();
        world.pass_ms(120_000);
    }
    let stored = |key: &str| world.stored(key).map_or(0, |bytes| bytes.len());
    let names = world.keys().into_iter().filter(|key| key.contains("/n"));
    let bytes: Vec<usize> = names.map(|key| stored(&key)).collect();
    assert!(
        !bytes.is_empty() && bytes.iter().all(|bytes| *bytes < 34_000),
        "{bytes:?}"
    );
    let last = format!("019-000-{}", "x".repeat(100));
    worker.serves(&FakeRequest::of(&last, "tier1", 0), Used::Tokens(0));
    worker.tick();
    worker.tick();
    assert!(list(&worker, "1000").0.contains_key(&last));
}
