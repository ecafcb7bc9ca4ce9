//! Pages: bounded memory whatever keys clients send.

use crate::harness::{Config, FakeRequest, Worker, World};
use serde_json::json;
use tiergate::ledger::{memory_bound, pages_for};

fn of_capacity(accounts: u64) -> Config {
    Config::new().with(json!({"capacity": {"accounts": accounts}}))
}

#[test]
fn twenty_thousand_accounts_through_a_capacity_of_4096_stay_in_bounds() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(4096));
    let keys = world.keys().len();
    for i in 0..20_000 {
        worker.admit(&FakeRequest::of(&format!("account-{i}"), "tier5", 0));
    }
    assert_eq!(world.keys().len(), keys, "no key for an account");
    let others = 3; // the slot table, the load and the refusals
    assert_eq!(keys, pages_for(4096) as usize + others);
    assert!((world.bytes() as u64) <= memory_bound(4096));
    let evicted = worker.tick().get("evicted_live", "");
    assert!(
        evicted > 0,
        "more than fits, so some had to go, and are counted"
    );
    assert!(
        evicted < 20_000 - 4_096,
        "pages hold at least what was promised"
    );
}

#[test]
fn a_full_ledger_evicts_nobody() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(4096));
    for i in 0..4_096 {
        worker.admit(&FakeRequest::of(&format!("account-{i}"), "tier5", 0));
    }
    assert_eq!(worker.tick().get("evicted_live", ""), 0);
}

#[test]
fn accounts_that_are_done_leave_no_bytes() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(5));
    let empty = world.bytes();
    for i in 0..40 {
        worker.admit(&FakeRequest::of(&format!("account-{i}"), "t", 0));
    }
    assert!(world.bytes() > empty);
    world.pass_ms(61_000);
    // Each page is cleaned by the next write to it.
    for i in 0..400 {
        worker.admit(&FakeRequest::of(&format!("later-{i}"), "t", 0));
    }
    world.pass_ms(61_000);
    let before = worker.tick().get("evicted_live", "");
    worker.admit(&FakeRequest::of("last", "t", 0));
    assert_eq!(worker.tick().get("evicted_live", ""), 0, "after {before}");
}

#[test]
fn the_busiest_account_of_all_fits_a_page() {
    let world = World::new();
    let rest = json!({"windows": {"day": {"rolling": "24h"}}});
    let worker = Worker::new(
        &world,
        Config::tier("t")
            .concurrency(3_000)
            .rpm(1_000_000)
            .tpm(9_007_199_254_740_991)
            .tpd(9_007_199_254_740_991)
            .with(rest),
    );
    for _ in 0..2_000 {
        world.pass_ms(100);
        worker.admit(&FakeRequest::acme(1_000_000));
    }
    assert!(world.bytes() < 16_384 + 4_096, "{}", world.bytes());
}

#[test]
fn a_settlement_of_an_evicted_account_evicts_nobody() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(8));
    // All on the one page, which has room for 24.
    let admissions: Vec<_> = (0..25)
        .map(|i| {
            world.pass_ms(1);
            let request = FakeRequest::of(&format!("account-{i}"), "tier5", 0);
            worker.admission(&request)
        })
        .collect();
    assert_eq!(worker.tick().get("evicted_live", ""), 1);
    worker.release(admissions[0]);
    assert_eq!(worker.tick().get("evicted_live", ""), 0);
}
