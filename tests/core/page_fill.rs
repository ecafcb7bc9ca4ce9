//! The gauge of the fullest page: it warns before new accounts share a record, and all workers
//! report the same number.

use crate::harness::{Config, FakeRequest, Used, Worker, World};
use serde_json::json;

fn of_capacity(accounts: u64) -> Config {
    Config::new().with(json!({"capacity": {"accounts": accounts}}))
}

fn of(account: usize) -> FakeRequest {
    FakeRequest::of(&format!("account-{account}"), "tier0", 0)
}

/// The gauge after a tick; it is always there.
fn fill(worker: &Worker) -> i64 {
    worker.tick().0["tiergate_page_fill.namespace.tiergate"]
}

/// Serves requests of new accounts until one of them shares a record. Returns the number of
/// accounts before it, and the fill after each.
fn fill_up(worker: &Worker) -> (usize, Vec<i64>) {
    let mut fills = Vec::new();
    loop {
        worker.serves(&of(fills.len()), Used::Tokens(10));
        let metrics = worker.tick();
        if metrics.get("overflow_requests", "") > 0 {
            return (fills.len(), fills);
        }
        fills.push(metrics.get("page_fill", ""));
        assert!(fills.len() < 200);
    }
}

#[test]
fn it_begins_at_0_and_is_100_when_the_next_new_account_shares() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(8));
    assert_eq!(fill(&worker), 0);
    let (accounts, fills) = fill_up(&worker);
    assert!(fills.is_sorted(), "{fills:?}");
    assert!(accounts > 100, "{accounts}");
    let full = fills.iter().filter(|fill| **fill == 100).count();
    assert_eq!(full, 1, "no sooner, and before anything is shared");
}

#[test]
fn it_falls_once_the_records_are_over() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(8));
    fill_up(&worker);
    world.pass_ms(61_000);
    // A day's record stays, and would wake.
    assert_eq!((fill(&worker), fill(&worker)), (100, 100));
    world.pass_ms(24 * 3_600_000);
    fill(&worker);
    assert_eq!(fill(&worker), 0, "though no write has cleaned the page");
}

#[test]
fn a_worker_without_traffic_reports_the_same_number_at_once() {
    let world = World::new();
    let workers = [0; 2].map(|_| Worker::new(&world, of_capacity(4096)));
    let (mut seen, mut written) = (0, 0);
    while written < 20 {
        workers[0].serves(&of(seen), Used::Tokens(10));
        seen += 1;
        written = fill(&workers[0]);
        assert_eq!(fill(&workers[1]), written);
        assert!(seen < 9_000);
    }
    assert!(seen > 4_096, "{seen}");
}

#[test]
fn two_workers_that_walk_together_see_a_fall_in_two_walks() {
    let world = World::new();
    let workers = [0; 2].map(|_| Worker::new(&world, of_capacity(512)));
    for i in 0..4_096 {
        workers[i % 2].serves(&of(i), Used::Tokens(10));
    }
    fill(&workers[0]);
    let high = fill(&workers[1]);
    assert!(high > 30, "{high}");
    world.pass_ms(25 * 3_600_000);
    // 64 pages are 16 steps, and the walk that has begun had seen the pages as they were.
    let ticks = (0..16).map(|_| [fill(&workers[0]), fill(&workers[1])]);
    let ticks: Vec<_> = ticks.collect();
    assert_eq!(ticks[0], [high, high]);
    assert_eq!(ticks[15], [0, 0], "{ticks:?}");
}

#[test]
fn a_tick_reads_four_pages_at_most() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(4096));
    let calls = |worker: &Worker| {
        worker.host.calls.set(0);
        worker.tick();
        worker.host.calls.get()
    };
    // Another worker is faster three times.
    let alone = calls(&worker);
    for _ in 0..3 {
        let rival = Worker::new(&world, of_capacity(4096));
        worker.host.intrude(move || drop(rival.tick()));
    }
    assert!(alone < 16, "{alone}");
    assert!(calls(&worker) <= alone + 2 * 3);
}

#[test]
fn it_follows_a_ledger_that_grows() {
    let world = World::new();
    let old = Worker::new(&world, of_capacity(8));
    let (accounts, _) = fill_up(&old);
    let new = Worker::new(&world, of_capacity(80));
    assert_eq!(fill(&new), 100, "no page has moved");
    for i in 0..accounts {
        new.serves(&of(i), Used::Tokens(10));
    }
    for _ in 0..8 {
        fill(&new);
    }
    let fallen = fill(&new);
    assert!((5..40).contains(&fallen), "{fallen}");
    for _ in 0..4 {
        assert_eq!(fill(&old), fallen, "its own config knows of no growth");
    }
}

#[test]
fn corrupt_bytes_start_the_walk_anew_and_are_counted() {
    let world = World::new();
    let worker = Worker::new(&world, of_capacity(8));
    for i in 0..30 {
        worker.serves(&of(i), Used::Tokens(10));
    }
    let fill = |worker: &Worker| {
        let metrics = worker.tick();
        let damaged = metrics.get("damaged_values", "");
        (metrics.get("page_fill", ""), damaged)
    };
    let (before, _) = fill(&worker);
    assert!((20..40).contains(&before), "{before}");
    // More than 100 %, and more pages than there are.
    for bytes in [&b"\x01W\x01\x00\x65\x00"[..], b"\x01Wother", b""] {
        world.overwrite("tiergate/ledger-fill", bytes);
        assert_eq!(fill(&worker), (before, i64::from(!bytes.is_empty())));
    }
    world.overwrite(
        "tiergate/ledger-fill",
        b"\x01W\xff\xff\xff\xff\x0f\x05\x64\x64",
    );
    assert_eq!(fill(&worker).0, before);
}
