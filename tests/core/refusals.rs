//! What was refused lately: seen by all, bounded whatever clients send, and no load on the host.

use crate::harness::{Call, Config, FakeRequest, Worker, World};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use tiergate::admin::status::{RefusedView, Status};
use tiergate::refusals;
use tiergate::refusals::RefusalLog;
use tiergate::shared::cell::{self, Content as _};

fn decode(bytes: &[u8]) -> Option<RefusalLog> {
    cell::decode(RefusalLog::LAYOUT, bytes)
}

const KEY: &str = "tiergate/refusal-log";
fn config() -> Config {
    let config = Config::tier("small")
        .rpm(1)
        .and_tier("large")
        .concurrency(1);
    config
        .open_admin()
        .with(json!({"capacity": {"directory": 64}}))
}

fn status(worker: &Worker) -> Status {
    let (status, body) = worker.call(&Call::Status, "");
    assert_eq!(status, 200);
    serde_json::from_value(body).unwrap()
}

/// The account's first request is admitted, and so many after it are refused.
fn refuse(worker: &Worker, account: &str, tier: &str, n: u32) {
    worker.admit(&FakeRequest::of(account, tier, 0));
    for _ in 0..n {
        worker.refuse(&FakeRequest::of(account, tier, 0));
    }
}

fn row(tier: &str, code: &str, last_minute: u64, last_5_minutes: u64) -> RefusedView {
    RefusedView {
        tier: tier.to_owned(),
        code: code.to_owned(),
        overloaded: false,
        shadowed: false,
        last_minute,
        last_5_minutes,
    }
}

fn stored(world: &World) -> Vec<u8> {
    world.stored(KEY).unwrap()
}

fn worker(world: &Arc<World>) -> Worker {
    Worker::new(world, config())
}

#[test]
fn what_two_workers_refuse_adds_up_and_each_shows_all_of_it() {
    let world = World::new();
    let (one, two) = (worker(&world), worker(&world));
    refuse(&one, "acme", "small", 3);
    refuse(&two, "other", "large", 2);
    two.refuse(&FakeRequest::of("acme", "small", 0));
    two.refuse(&FakeRequest::of("acme", "gold", 0));
    two.refuse(&FakeRequest::with(&[]));
    one.tick();
    two.tick();
    for worker in [&one, &two] {
        let refusals = status(worker).refusals;
        let wanted = [
            row("small", "rpm", 4, 4),
            row("large", "concurrency", 2, 2),
            row("none", "account_missing", 1, 1),
            row("none", "tier_unknown", 1, 1),
        ];
        assert_eq!(refusals.by_limit, wanted);
        let accounts: Vec<_> = refusals
            .accounts
            .iter()
            .map(|r| (r.account.as_deref(), &*r.tier, &*r.code, r.count))
            .collect();
        for wanted in [
            (Some("acme"), "small", "rpm", 4),
            (Some("other"), "large", "concurrency", 2),
            (Some("acme"), "none", "tier_unknown", 1),
            (None, "none", "account_missing", 1),
        ] {
            assert!(accounts.contains(&wanted), "{wanted:?} in {accounts:?}");
        }
        assert_eq!(accounts.len(), 4);
    }
}

#[test]
fn in_shadow_mode_what_would_be_refused_is_shown() {
    let world = World::new();
    let shadow = config().with(json!({"mode": "shadow"}));
    let shadows = Worker::new(&world, shadow);
    for _ in 0..3 {
        shadows.admit(&FakeRequest::of("acme", "small", 0));
    }
    shadows.admit(&FakeRequest::with(&[]));
    shadows.tick();
    let shadowed = |row| RefusedView {
        shadowed: true,
        ..row
    };
    let wanted = [
        shadowed(row("small", "rpm", 2, 2)),
        shadowed(row("none", "account_missing", 1, 1)),
    ];
    assert_eq!(status(&shadows).refusals.by_limit, wanted);
    // Another config of the namespace, which enforces, tells that nothing of it was refused.
    let other = worker(&world);
    refuse(&other, "other", "small", 1);
    other.tick();
    let refusals = status(&other).refusals;
    let all = [&[row("small", "rpm", 1, 1)], &wanted[..]].concat();
    assert_eq!(refusals.by_limit, all);
    let accounts = refusals.accounts.iter();
    let seen: Vec<_> = accounts
        .map(|r| (r.account.as_deref(), r.shadowed))
        .collect();
    assert_eq!(
        seen,
        [(Some("other"), false), (Some("acme"), true), (None, true)]
    );
}

#[test]
fn an_account_stands_in_the_list_once_however_long_it_is_refused() {
    let world = World::new();
    let worker = worker(&world);
    refuse(&worker, "acme", "small", 1);
    worker.tick();
    world.pass_ms(20_000);
    refuse(&worker, "other", "small", 2);
    worker.tick();
    world.pass_ms(20_000);
    worker.refuse(&FakeRequest::of("acme", "small", 0));
    worker.tick();
    let accounts = status(&worker).refusals.accounts;
    let rows: Vec<_> = accounts
        .iter()
        .map(|r| (r.account.as_deref().unwrap(), r.count, r.seconds_ago))
        .collect();
    assert_eq!(rows, [("acme", 2, 0), ("other", 2, 20)]);
}

#[test]
fn a_minute_later_it_is_not_of_the_last_minute_and_after_five_it_is_gone() {
    let world = World::new();
    let worker = worker(&world);
    refuse(&worker, "acme", "small", 2);
    worker.tick();
    world.pass_ms(49_000);
    let refusals = status(&worker).refusals;
    assert_eq!(refusals.by_limit, [row("small", "rpm", 2, 2)]);
    assert_eq!(refusals.accounts[0].seconds_ago, 49);
    world.pass_ms(11_000);
    assert_eq!(
        status(&worker).refusals.by_limit,
        [row("small", "rpm", 0, 2)]
    );
    world.pass_ms(229_000);
    assert_eq!(
        status(&worker).refusals.by_limit,
        [row("small", "rpm", 0, 2)]
    );
    world.pass_ms(11_000);
    let refusals = status(&worker).refusals;
    assert!(refusals.by_limit.is_empty() && refusals.accounts.is_empty());
    // What is gone takes no room either.
    let mut board = decode(&stored(&world)).unwrap();
    board.expire(world.mono());
    assert_eq!(board, RefusalLog::default());
}

#[test]
fn a_refusal_calls_no_host_for_it_and_a_worker_writes_at_most_once_a_second() {
    let world = World::new();
    let worker = worker(&world);
    // Its config is in force, which is looked at each 20 ticks.
    worker.refuse(&FakeRequest::with(&[]));
    worker.tick();
    world.pass_ms(1_000);
    worker.tick();
    worker.host.calls.set(0);
    worker.tick();
    let idle = worker.host.calls.replace(0);
    worker.refuse(&FakeRequest::with(&[]));
    assert_eq!(worker.host.calls.get(), 0, "on the way");
    let mut writes = 0;
    let claims = || world.stored("tiergate/configs");
    let mut before = stored(&world);
    for _ in 0..16 {
        let claimed = claims();
        worker.refuse(&FakeRequest::with(&[]));
        worker.host.calls.set(0);
        worker.tick();
        let calls = worker.host.calls.get();
        let now = stored(&world);
        let others = u32::from(claims() != claimed);
        let ours = if now == before { 0 } else { 2 };
        assert_eq!(calls, idle + ours + others);
        writes += u32::from(now != before);
        before = now;
        world.pass_ms(500);
    }
    assert_eq!(writes, 8, "within 8 s");
}

#[test]
fn what_the_host_did_not_take_is_written_later() {
    let world = World::new();
    let worker = worker(&world);
    refuse(&worker, "acme", "small", 2);
    worker.host.failing.set(100);
    worker.tick();
    worker.host.failing.set(0);
    refuse(&worker, "other", "small", 1);
    world.pass_ms(1_000);
    worker.tick();
    assert_eq!(
        status(&worker).refusals.by_limit,
        [row("small", "rpm", 3, 3)]
    );
}

#[test]
fn a_million_awkward_ids_are_counted_exactly_in_bounded_memory() {
    let world = World::new();
    let worker = worker(&world);
    let mut most = 0;
    for i in 0..1_000_000_u32 {
        let mut request = FakeRequest::default();
        let mut id = i.to_le_bytes().to_vec();
        id.extend_from_slice(b"\"><script>\xff\xe2\x80\xae");
        id.resize(4 + (i as usize % 200), 0xe2);
        id.retain(|b| *b != b',');
        request.headers.push(("x-account-id".to_owned(), id));
        worker.refuse(&request);
        if i % 1_000 == 0 {
            world.pass_ms(1_000);
            worker.tick();
            most = most.max(stored(&world).len());
        }
    }
    world.pass_ms(1_000);
    worker.tick();
    let refusals = status(&worker).refusals;
    // Each second had a thousand; the last five minutes are what is left.
    let in_all = refusals.by_limit[0].last_5_minutes;
    assert!((290_000..=300_000).contains(&in_all), "{in_all}");
    assert_eq!(refusals.by_limit.len(), 1);
    assert_eq!(refusals.accounts.len(), refusals::RING);
    let longest = refusals.accounts.iter().filter_map(|r| r.account.as_ref());
    assert!(longest.map(String::len).max().unwrap() < 600);
    assert!(most < 30_000, "{most} bytes");
    assert!(u64::try_from(most).unwrap() <= refusals::MOST_BYTES);
}

#[test]
fn corrupt_bytes_read_as_nothing_and_are_counted() {
    let world = World::new();
    let worker = worker(&world);
    refuse(&worker, "acme", "small", 1);
    worker.tick();
    world.overwrite(KEY, b"\x01R\x05nonsense");
    assert!(status(&worker).refusals.by_limit.is_empty());
    world.pass_ms(1_000);
    refuse(&worker, "other", "small", 1);
    assert_eq!(worker.tick().get("damaged_values", ""), 1);
    assert_eq!(
        status(&worker).refusals.by_limit,
        [row("small", "rpm", 1, 1)]
    );
    world.overwrite(KEY, b"\x02newer");
    world.pass_ms(1_000);
    refuse(&worker, "third", "small", 1);
    worker.tick();
    assert_eq!(stored(&world), b"\x02newer", "left to newer code");
}

#[test]
fn the_status_says_mode_tiers_limits_and_memory() {
    let world = World::new();
    let worker = worker(&world);
    let (_, status) = worker.call(&Call::Status, "");
    assert_eq!(status["mode"], "enforce");
    let limits = json!({"concurrency": "unlimited", "rpm": 1, "tpm": "unlimited",
        "tpd": "unlimited"});
    assert_eq!(
        status["tiers"][0],
        json!({"name": "small", "recharge": "1.00", "limits": limits,
            "in_force": limits, "scale": 1.0})
    );
    assert_eq!(status["refusals"]["window_s"], 300);
    let memory = &status["memory"];
    assert_eq!(memory["bytes"], 8 * (4 + 2), "eight empty pages of each");
    assert!(memory["bound"].as_u64().unwrap() >= world.bytes() as u64);
}

proptest! {
    #[test]
    fn any_bytes_are_a_log_or_corrupt(bytes in prop::collection::vec(any::<u8>(), 0..400), known in any::<bool>()) {
        let mut bytes = bytes;
        if known {
            bytes.splice(0..0, [1, b'R']);
        }
        if let Some(mut board) = decode(&bytes) && board.is_bounded() {
            let again = cell::encode(RefusalLog::LAYOUT, &board);
            prop_assert!(again.len() as u64 <= refusals::MOST_BYTES);
            prop_assert_eq!(decode(&again), Some(board.clone()));
            board.expire(tiergate::time::Mono::from_millis(5_000));
        }
    }
}
