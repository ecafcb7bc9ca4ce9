//! Pages: bounded memory whatever keys clients send.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use serde_json::json;
use tiergate::ledger::page::MAX_BYTES;
use tiergate::ledger::pages_for;

/// The pages at their maximum, and the other values.
fn memory_bound(accounts: u32) -> u64 {
    u64::from(pages_for(accounts)) * MAX_BYTES as u64 + 8_192
}

fn of_capacity(accounts: u64) -> Config {
    Config::new().with(json!({"capacity": {"accounts": accounts}}))
}

#[test]
fn twenty_thousand_accounts_through_a_capacity_of_4096_stay_in_bounds() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(4096));
    let keys = world.keys().len();
    for i in 0..20_000 {
        worker.check(&FakeRequest::of(&format!("account-{i}"), "tier5", 0));
    }
    assert_eq!(world.keys().len(), keys, "no key for an account");
    // The slot table, the sizes, the fill, the load, the configs, the one in force and the refusals.
    let others = 7;
    assert_eq!(keys, pages_for(4096) as usize + others);
    assert!((world.bytes() as u64) <= memory_bound(4096));
    assert_eq!(worker.tick().get("evicted_live", ""), 0);
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

/// One page, so that all accounts are neighbours.
fn one_page() -> Config {
    of_capacity(8)
}

fn fill(worker: &Worker, world: &World, from: usize, n: usize) {
    for i in from..from + n {
        world.pass_ms(10);
        worker.serves(
            &FakeRequest::of(&format!("noise-{i}"), "tier0", 0),
            Used::Unknown,
        );
    }
}

#[test]
fn noise_of_one_request_accounts_gives_a_full_account_no_fresh_minute() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let paying = FakeRequest::of("paying", "tier0", 0);
    for _ in 0..3 {
        assert!(worker.serves(&paying, Used::Unknown));
    }
    for i in 0..600 {
        world.pass_ms(10);
        worker.check(&FakeRequest::of(&format!("random-{i}"), "tier0", 0));
        worker.refuse(&paying);
    }
    let metrics = worker.tick();
    assert_eq!(metrics.get("evicted_live", ""), 0);
    assert!(metrics.get("overflow_requests", "") > 0, "more than fits");
}

#[test]
fn noise_of_unknown_keys_gives_nobody_a_second_day() {
    let world = World::new();
    let worker = Worker::new(
        &world,
        of_capacity(256).with(json!({
            "account": [{"header": "authorization", "digest": true}],
            "unknown_tier": "tier0",
        })),
    );
    let request = |key: &str, prompt: u64| {
        let length = (prompt * 4).to_string();
        FakeRequest::with(&[("authorization", key), ("content-length", &length)])
    };
    for _ in 0..7 {
        assert!(worker.serves(&request("Bearer known", 213_000), Used::Unknown));
        world.pass_ms(61_000);
    }
    worker.refuse(&request("Bearer known", 213_000));
    for i in 0..10_000 {
        world.pass_ms(83);
        worker.serves(&request(&format!("Bearer noise-{i}"), 10), Used::Unknown);
        if i % 1_000 == 0 {
            worker.refuse(&request("Bearer known", 213_000));
        }
    }
    assert!((world.bytes() as u64) <= memory_bound(256));
}

#[test]
fn a_page_keeps_as_many_accounts_as_its_bytes_hold() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let before = world.bytes();
    fill(&worker, &world, 0, 70);
    let metrics = worker.tick();
    assert_eq!(metrics.get("evicted_live", ""), 0);
    assert_eq!(metrics.get("overflow_requests", ""), 0);
    let bytes = (world.bytes() - before) / 70;
    assert!(bytes <= 160, "{bytes} for a slow account of default limits");
}

#[test]
fn records_with_dead_leases_go_before_newcomers_share() {
    let world = World::new();
    let (dies, lives) = (
        Worker::new(&world, one_page()),
        Worker::new(&world, one_page()),
    );
    for i in 0..200 {
        dies.check(&FakeRequest::of(&format!("lost-{i}"), "tier1", 0));
    }
    assert!(dies.tick().get("overflow_requests", "") > 0);
    drop(dies);
    for _ in 0..140 {
        world.pass_ms(500);
        lives.tick();
    }
    lives.admit(&FakeRequest::of("another", "tier1", 0));
    let metrics = lives.tick();
    assert_eq!(metrics.get("overflow_requests", ""), 0);
    assert!(metrics.get("stale_leases", "") > 100);
}

#[test]
fn a_day_with_nothing_used_is_not_kept_until_midnight() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let empty = world.bytes();
    for i in 0..10 {
        let request = FakeRequest::of(&format!("noise-{i}"), "tier0", 0);
        assert!(worker.serves(&request, Used::Tokens(0)), "a 401 upstream");
    }
    world.pass_ms(61_000);
    assert!(worker.serves(&FakeRequest::of("other", "tier1", 0), Used::Tokens(0)));
    let bytes = world.bytes() - empty;
    assert!(bytes < 160, "one record: {bytes}");
}

#[test]
fn an_upgraded_accounts_record_goes_with_its_day() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let empty = world.bytes();
    worker.serves(&FakeRequest::of("acme", "tier0", 0), Used::Unknown);
    worker.serves(&FakeRequest::of("acme", "tier1", 0), Used::Unknown);
    world.pass_ms(12 * 3_600_000); // the next day
    worker.serves(&FakeRequest::of("other", "tier1", 0), Used::Unknown);
    world.pass_ms(61_000);
    worker.serves(&FakeRequest::of("another", "tier1", 0), Used::Unknown);
    let bytes = world.bytes() - empty;
    assert!(bytes < 160, "one record: {bytes}");
}

#[test]
fn a_record_whose_minute_is_over_shrinks_to_its_day() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let empty = world.bytes();
    for i in 0..50 {
        let request = FakeRequest::of(&format!("account-{i}"), "tier0", 0);
        assert!(worker.serves(&request, Used::Tokens(900)));
    }
    world.pass_ms(61_000);
    worker.serves(&FakeRequest::of("other", "tier1", 0), Used::Unknown);
    let bytes = (world.bytes() - empty) / 51;
    assert!(bytes <= 80, "{bytes} for an account's day");
}

/// Newcomers of a full page share one record, and each has the limits of its own tier.
#[test]
fn newcomers_of_a_full_page_share_a_record_and_are_never_over() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let mut noise = 0;
    while worker.tick().get("overflow_requests", "") == 0 {
        fill(&worker, &world, noise, 10);
        noise += 10;
        assert!(noise < 300);
    }
    let served = |account: &str, tier: &str, n: usize| {
        let request = FakeRequest::of(account, tier, 0);
        (0..n)
            .filter(|_| worker.serves(&request, Used::Tokens(10)))
            .count()
    };
    assert!(served("new", "tier0", 5) <= 3);
    assert_eq!(served("other", "tier0", 5), 0, "the shared record is full");
    assert_eq!(served("third", "tier1", 5), 5, "200 in a minute");
    // The noise is over, but the shared record is not: what a newcomer used of it still counts.
    world.pass_ms(30_000);
    assert_eq!(served("new", "tier0", 5), 0);
    world.pass_ms(31_000);
    assert_eq!(served("new", "tier0", 5), 3, "a minute later");
}

#[test]
fn leases_of_the_shared_record_count_until_they_end() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let mut noise = 0;
    while worker.tick().get("overflow_requests", "") == 0 {
        fill(&worker, &world, noise, 10);
        noise += 10;
    }
    world.pass_ms(61_000);
    // The day of the noise still fills the page, but its leases are what counts here.
    let new = FakeRequest::of("new", "tier1", 0);
    let admissions: Vec<_> = (0..40).map(|_| worker.admission(&new)).collect();
    let refused = (0..20)
        .filter(|_| matches!(worker.check(&new).next, Next::Reply(_)))
        .count();
    assert!(refused >= 10, "50 at a time: {refused} of 20 refused");
    for admission in admissions {
        worker.release(admission);
    }
}

#[test]
fn neighbours_that_all_come_back_at_once_forgive_nobody() {
    let world = World::new();
    let workers = [0; 4].map(|_| Worker::new(&world, one_page()));
    let worker = &workers[0];
    let of = |i: usize| FakeRequest::of(&format!("noise-{i}"), "tier0", 0);
    let pass = || {
        for _ in 0..122 {
            world.pass_ms(500);
            for worker in &workers {
                worker.tick();
            }
        }
    };
    // Accounts of which only the day is left, until the page takes no more.
    let day = FakeRequest::of("day", "tier0", 0);
    assert!(worker.serves(&day, Used::Tokens(1_500_000)));
    let mut neighbours = 0;
    let mut shared = 0;
    while shared == 0 {
        for _ in 0..10 {
            worker.serves(&of(neighbours), Used::Tokens(5_000));
            neighbours += 1;
        }
        shared = worker.tick().get("overflow_requests", "");
        pass();
    }
    assert!(neighbours > 100, "{neighbours}");
    worker.refuse(&day);
    // Each has a request in flight, by any worker, and some more.
    let mut held = Vec::new();
    for worker in &workers {
        held.extend((0..neighbours).map(|i| (worker, worker.check(&of(i)))));
    }
    worker.refuse(&day);
    for (worker, one) in held {
        if let Next::Forward(forwarded) = one.next {
            worker.settle(forwarded.admission.unwrap(), Used::Tokens(1));
        }
    }
    worker.refuse(&day);
    let evicted = |worker: &Worker| worker.tick().get("evicted_live", "");
    assert_eq!(workers.iter().map(evicted).sum::<i64>(), 0);
    assert!((world.bytes() as u64) <= memory_bound(8));
}

#[test]
fn what_a_shared_request_used_beyond_its_reserve_counts_on_the_accounts_own_record() {
    let world = World::new();
    let worker = Worker::new(&world, one_page());
    let mut i = 0;
    while worker.tick().get("overflow_requests", "") == 0 {
        let noise = FakeRequest::of(&format!("noise-{i}"), "tier1", 0);
        worker.serves(&noise, Used::Tokens(0));
        i += 1;
    }
    let new = FakeRequest::of("new", "tier1", 0);
    let open: Vec<_> = (0..20).map(|_| worker.admission(&new)).collect();
    for _ in 0..122 {
        world.pass_ms(500);
        worker.tick();
    }
    // Now there is room for a record of its own.
    worker.admit(&new);
    for admission in open {
        worker.settle(admission, Used::Tokens(1_000_000));
    }
    let refused = worker.refuse(&new);
    assert_eq!(refused.code, "tpm");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// For any traffic of other accounts, one at a limit stays refused until its window says so.
    #[test]
    fn no_traffic_of_others_forgives_an_account(
        traffic in prop::collection::vec((0..300_usize, 0..6_usize, 0..60_000_u64, 0..400_u64), 100..400),
    ) {
        let world = World::new();
        let worker = Worker::new(&world, one_page());
        let full = FakeRequest::of("full", "tier0", 0);
        for _ in 0..3 {
            prop_assert!(worker.serves(&full, Used::Unknown));
        }
        let mut left = 60_000;
        for (account, tier, prompt, pass) in traffic {
            let request = FakeRequest::of(&format!("other-{account}"), &format!("tier{tier}"), prompt);
            worker.serves(&request, if prompt % 2 == 0 { Used::Unknown } else { Used::Tokens(prompt) });
            if pass >= left {
                break;
            }
            left -= pass;
            world.pass_ms(pass);
            worker.refuse(&full);
        }
        prop_assert_eq!(worker.tick().get("evicted_live", ""), 0);
        prop_assert!((world.bytes() as u64) <= memory_bound(8));
    }
}
