//! The feed and the admin API in one directory: who wins, and what lasts.

use super::{Vm, accounts, page};
use crate::harness::{Call, Config, FakeRequest, Worker, World};
use serde_json::json;
use tiergate::directory::entry::{AccountEntry, AccountTerms};
use tiergate::directory::feed::{ImportCounts, ImportOutcome, Step};

/// An operator writes an account's terms, and its tier.
fn put(vm: &Vm, id: &str, tier: &str, admin: AccountTerms) {
    let key = vm.ledger.key(id.as_bytes());
    let changed = vm
        .directory
        .change(&vm.host, (key, id.as_bytes()), |before| {
            let entry = AccountEntry {
                tier: Some(tier.to_owned()),
                by_feed: false,
                admin: admin.clone(),
                ..before.unwrap_or_default()
            };
            (Some(entry), ())
        });
    changed.unwrap();
}

fn disabled() -> AccountTerms {
    AccountTerms {
        disabled: Some(true),
        ..AccountTerms::default()
    }
}

fn goes_on(vm: &mut Vm) {
    while vm.tick() == Step::Soon {}
}

fn counts(vm: &mut Vm) -> ImportCounts {
    match vm.sync.take_outcome() {
        Some(ImportOutcome::Imported(counts)) => counts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn r18_what_an_admin_wrote_during_a_load_is_not_undone_by_it() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.asks();
    // The page was cut at the source before the operator acted.
    let step = vm.answered(page(
        r#"{"accounts":[{"id":"a","recharge":"20"},{"id":"b","tier":"t"}]}"#,
    ));
    assert_eq!(step, Step::Soon);
    put(&vm, "a", "tier0", disabled());
    goes_on(&mut vm);
    let a = vm.find("a").unwrap();
    assert!(
        a.is_disabled() && a.tier.as_deref() == Some("tier0"),
        "{a:?}"
    );
    assert!(vm.find("b").is_some());
}

/// The same, for a write and a deletion between the staging of an account and its coming into force.
#[test]
fn a_write_after_an_account_was_staged_survives_too() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.loads(accounts(0, 2_000, ""));
    world.pass_ms(60_000);
    vm.asks();
    vm.answered(page(&accounts_in_a_tier(2_000)));
    let before = world.bytes();
    while world.bytes() == before {
        assert_eq!(vm.tick(), Step::Soon);
    }
    let ids: Vec<String> = (0..2_000).map(|i| format!("a{i}")).collect();
    for id in &ids[..1_000] {
        put(&vm, id, "by-hand", disabled());
    }
    for id in &ids[1_000..1_500] {
        let key = vm.ledger.key(id.as_bytes());
        let gone = vm
            .directory
            .change(&vm.host, (key, id.as_bytes()), |_| (None, ()));
        gone.unwrap();
    }
    goes_on(&mut vm);
    for id in &ids[..1_000] {
        let entry = vm.find(id).unwrap();
        assert_eq!(entry.tier.as_deref(), Some("by-hand"), "{id}");
    }
    for id in &ids[1_000..1_500] {
        assert_eq!(vm.find(id), None, "{id}");
    }
    for id in &ids[1_500..] {
        assert_eq!(
            vm.find(id).unwrap().tier.as_deref(),
            Some("of-feed"),
            "{id}"
        );
    }
}

/// The write comes between the read and the compare-and-set of the page that is being staged, settled,
/// or whose import is brought into force: whichever write it is, one after the other.
#[test]
fn a_write_in_the_middle_of_any_write_of_an_import_survives() {
    // The generation, the page, the commit, the page again, the head, and the feed's state.
    for nth in 0..6 {
        let world = World::new();
        let mut vm = Vm::with_room(&world, (8, 64));
        vm.loads(accounts(0, 20, ""));
        world.pass_ms(60_000);
        vm.asks();
        vm.answered(page(&accounts_in_a_tier(20)));
        for _ in 0..nth {
            vm.host.intrude(|| {});
        }
        let other = Vm::with_room(&world, (8, 64));
        vm.host
            .intrude(move || put(&other, "a7", "by-hand", disabled()));
        goes_on(&mut vm);
        let a7 = vm.find("a7").unwrap();
        let by_hand = a7.tier.as_deref() == Some("by-hand") && a7.is_disabled();
        assert!(by_hand, "intruded at write {nth}: {a7:?}");
        for i in (0..20).filter(|i| *i != 7) {
            let of_feed = vm.find(&format!("a{i}")).unwrap();
            assert_eq!(
                of_feed.tier.as_deref(),
                Some("of-feed"),
                "a{i} at write {nth}"
            );
        }
    }
}

fn accounts_in_a_tier(n: usize) -> String {
    let all: Vec<_> = (0..n)
        .map(|i| format!(r#"{{"id":"a{i}","tier":"of-feed"}}"#))
        .collect();
    format!(r#"{{"accounts":[{}]}}"#, all.join(","))
}

#[test]
fn an_admins_terms_last_over_feeds_until_they_are_taken_back() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    put(&vm, "a", "tier0", disabled());
    world.pass_ms(1_000);
    vm.loads(page(
        r#"{"accounts":[{"id":"a","recharge":"20","disabled":false}]}"#,
    ));
    let a = vm.find("a").unwrap();
    assert!(a.is_disabled() && a.by_feed && a.tier.is_none(), "{a:?}");
    world.pass_ms(60_000);
    // The account is taken out of the feed: the switch stays, without a tier.
    let mut removed = page(r#"{"accounts":[],"removed":["a"]}"#);
    removed.etag = b"\"2\"".to_vec();
    vm.loads(removed);
    let a = vm.find("a").unwrap();
    assert!(a.is_disabled() && !a.has_basis(), "{a:?}");
    world.pass_ms(60_000);
    put(&vm, "a", "tier0", AccountTerms::default());
    assert!(!vm.find("a").unwrap().is_disabled());
}

#[test]
fn r19_accounts_that_did_not_change_are_read_page_by_page_and_not_written() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.loads(accounts(0, 3_000, ""));
    world.pass_ms(60_000);
    let bytes = world.bytes();
    vm.host.calls.set(0);
    let mut changed = accounts(0, 3_000, "");
    changed.etag = b"\"2\"".to_vec();
    let ImportOutcome::Imported(counts) = vm.loads(changed) else {
        panic!("not imported");
    };
    assert_eq!((counts.written, counts.unchanged), (0, 3_000));
    assert_eq!(world.bytes(), bytes);
    let calls = vm.host.calls.get();
    assert!(calls < 650, "{calls} calls for 3,000 accounts on 512 pages");
}

#[test]
fn a_whole_feed_with_removes_forgets_what_it_does_not_name() {
    let world = World::new();
    let mut vm = Vm::removes(&world, 1);
    put(&vm, "of-an-admin", "tier0", AccountTerms::default());
    put(&vm, "switched-off", "tier0", disabled());
    world.pass_ms(1_000);
    vm.loads(accounts(0, 1_000, ""));
    assert_eq!(vm.find("of-an-admin"), None);
    let left = vm.find("switched-off").unwrap();
    assert!(left.is_disabled() && !left.has_basis(), "{left:?}");
    world.pass_ms(60_000);
    // A feed that breaks off removes nothing.
    vm.asks();
    vm.takes(accounts(0, 10, r#","next":"/2""#));
    vm.takes(super::status(500));
    assert_eq!(vm.count(), 1_001);
    world.pass_ms(60_000);
    vm.asks();
    vm.answered(accounts(500, 1_100, ""));
    put(&vm, "just-now", "tier0", AccountTerms::default());
    goes_on(&mut vm);
    vm.sync.take_outcome();
    assert_eq!(
        vm.count(),
        602,
        "600 of the feed, one switch, and what was written meanwhile"
    );
    assert!(vm.find("a1099").is_some() && vm.find("a499").is_none());
    // And the same feed once more changes nothing.
    world.pass_ms(60_000);
    let mut again = accounts(500, 1_100, "");
    again.etag = b"\"3\"".to_vec();
    vm.asks();
    vm.takes(again);
    let counts = counts(&mut vm);
    assert_eq!(
        (counts.written, counts.unchanged, counts.removed),
        (0, 600, 1)
    );
}

/// A feed in three batches: none of it is in force before the last page, and all of it after.
#[test]
fn a_feed_of_several_batches_comes_into_force_at_once() {
    let world = World::new();
    let mut vm = Vm::large(&world, 1, 200_000);
    vm.asks();
    for n in 0..10 {
        let next = format!(r#","next":"/{n}""#);
        let next = if n < 9 { next } else { String::new() };
        let mut step = vm.answered(accounts(n * 15_000, n * 15_000 + 15_000, &next));
        while step == Step::Soon {
            let (some, ready) = (vm.find("a0").is_some(), vm.is_ready());
            assert_eq!(some, ready, "in force with the whole feed, and not before");
            step = vm.tick();
        }
    }
    assert!(vm.is_ready());
    for id in ["a0", "a65536", "a149999"] {
        assert!(vm.find(id).is_some(), "{id}");
    }
    // An account that is named again far from the first time.
    world.pass_ms(60_000);
    vm.asks();
    for n in 0..10 {
        let from = if n == 9 { 0 } else { n * 15_000 };
        let body = accounts_from(from, 15_000, n < 9, n);
        if vm.takes(page(&body)) == Step::Rest {
            break;
        }
    }
    let told = super::failure(vm.sync.take_outcome().unwrap()).to_string();
    assert!(told.contains("was named before"), "{told}");
    assert_eq!(vm.find("a0").unwrap().tier, None, "nothing changed");
}

fn accounts_from(from: usize, n: usize, more: bool, page: usize) -> String {
    let all: Vec<_> = (from..from + n)
        .map(|i| format!(r#"{{"id":"a{i}","tier":"t{page}"}}"#))
        .collect();
    let next = format!(r#","next":"/{page}""#);
    let next = if more { next } else { String::new() };
    format!(r#"{{"accounts":[{}]{next}}}"#, all.join(","))
}

#[test]
fn r23_readiness_does_not_depend_on_a_feed_that_once_was() {
    let world = World::new();
    drop(Vm::new(&world, 1)); // its feed never answers
    world.pass_ms(3_600_000);
    let config = Config::new().open_admin().with(json!({
        "capacity": {"accounts": 64, "directory": 4096},
        "tier": ["directory"],
        "unknown_tier": "tier0",
    }));
    let worker = Worker::new(&world, config);
    assert_eq!(worker.put("a", r#"{"recharge": "20"}"#).0, 200);
    worker.ready();
    worker.tick();
    let verdict = worker.check(&FakeRequest::with(&[("x-account-id", "new")]));
    assert_eq!(verdict.log_line(), "tier=tier0 outcome=admitted");
}

/// A billing queue that sends recharges one by one, beside a feed that sends totals: each recharge would
/// count twice, and the 65th again. They are refused while a feed is imported.
#[test]
fn recharges_beside_a_feed_are_refused() {
    let world = World::new();
    let config = Config::new().open_admin().with(json!({
        "capacity": {"accounts": 64, "directory": 4096},
        "tier": ["directory"],
    }));
    let worker = Worker::new(&world, config);
    let recharge = |n: usize| {
        let body = format!(r#"{{"id": "r-{n}", "amount": "1", "kind": "cash"}}"#);
        worker.call(&Call::Recharge(b"a".to_vec()), &body)
    };
    assert_eq!(recharge(0).0, 200, "without a feed");
    let mut vm = Vm::new(&world, 1);
    vm.loads(page(r#"{"accounts":[{"id":"a","recharge":"20"}]}"#));
    for n in (0..66).chain(0..66) {
        let (status, refused) = recharge(n);
        assert_eq!(
            (status, &refused["error"]["code"]),
            (409, &"feed_decides".into())
        );
    }
    let (_, written) = worker.put("a", r#"{"recharge": "30", "disabled": true}"#);
    assert_eq!(written["until_next_feed"][0], "recharge");
    assert_eq!(
        (&written["recharge"], &written["disabled"]),
        (&"30.00".into(), &true.into())
    );
    // The feed goes away.
    world.pass_ms(200_000);
    assert_eq!(recharge(1).0, 200);
}

/// The calls of docs/directory.md.
#[test]
#[ignore = "takes a minute: cargo test --release --test core -- --ignored --nocapture a_million"]
fn a_million_accounts_cost_so_many_shared_data_calls() {
    let world = World::new();
    let mut vm = Vm::large(&world, 1, 1_048_576);
    for (what, etag) in [("a first import", "1"), ("nothing changed", "2")] {
        vm.host.calls.set(0);
        vm.asks();
        for page in 0..100 {
            let next = format!(r#","next":"/{page}""#);
            let next = if page < 99 { next } else { String::new() };
            let mut accounts = accounts(page * 10_000, page * 10_000 + 10_000, &next);
            accounts.etag = etag.as_bytes().to_vec();
            vm.takes(accounts);
        }
        let counts = counts(&mut vm);
        let (calls, bytes) = (vm.host.calls.get(), world.bytes() >> 20);
        println!("{what}: {calls} calls, {bytes} MiB stored, {counts:?}");
        world.pass_ms(60_000);
    }
}

/// A staged entry has no room beside the one in force: the account is refused, not removed.
#[test]
fn an_account_that_the_feed_names_is_not_removed_for_want_of_room() {
    let world = World::new();
    let mut vm = Vm::with_room(&world, (8, 64));
    let large = |rpm: usize| {
        let name = |n: usize| format!("{}{n:02}", "x".repeat(30));
        let limit = json!({"unit": "requests", "per": "day", "limit": rpm});
        let limits: serde_json::Map<_, _> = (0..12).map(|n| (name(n), limit.clone())).collect();
        let all: Vec<_> = (0..30)
            .map(|n| {
                let models = json!({"k2": limits.clone().into_iter().take(6).collect::<serde_json::Map<_, _>>()});
                json!({"id": format!("a{n}"), "tier": "tier1", "limits": limits, "models": models})
            })
            .collect();
        page(&json!({"accounts": all}).to_string())
    };
    vm.loads(large(1_000_000));
    assert_eq!(vm.count(), 30);
    world.pass_ms(60_000);
    vm.loads(large(1_000_001));
    assert_eq!(vm.count(), 30, "all are named");
}

/// A leader stands still in the middle of a slice, for longer than its term, and wakes up.
#[test]
fn a_leader_that_wakes_in_a_slice_undoes_nothing_of_its_successor() {
    use std::cell::RefCell;
    use std::rc::Rc;
    let world = World::new();
    let mut first = Vm::new(&world, 1);
    first.asks();
    first.answered(accounts(0, 2_000, ""));
    while first.directory.head(&first.host).unwrap().in_force == 0 {
        assert_eq!(first.tick(), Step::Soon);
    }
    let second = Rc::new(RefCell::new(None));
    let (into, there) = (Rc::clone(&second), std::sync::Arc::clone(&world));
    first.host.intrude(move || {
        there.pass_ms(6_000);
        let mut vm = Vm::new(&there, 2);
        vm.asks();
        vm.answered(page(&accounts_in_a_tier(2_000)));
        let before = there.bytes();
        while there.bytes() <= before {
            assert_eq!(vm.tick(), Step::Soon);
        }
        vm.tick();
        vm.tick();
        assert_eq!(vm.directory.head(&vm.host).unwrap().in_force, 1);
        *into.borrow_mut() = Some(vm);
    });
    first.tick();
    let mut second = second.borrow_mut().take().expect("it stood still");
    first.tick();
    goes_on(&mut second);
    assert_eq!(counts(&mut second).written, 2_000);
    let lost = (0..2_000).filter(|i| {
        let entry = second.find(&format!("a{i}")).unwrap();
        entry.tier.as_deref() != Some("of-feed")
    });
    assert_eq!(lost.count(), 0);
}

/// An import that is in force, and fails while its pages are settled: the ETag of the feed before it is not
/// that of the directory any more.
#[test]
fn a_feed_that_goes_back_after_a_failure_is_not_taken_for_unchanged() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.loads(accounts(0, 2_000, ""));
    world.pass_ms(60_000);
    assert!(vm.asks().if_none_match.is_some());
    let mut changed = page(&accounts_in_a_tier(2_000));
    changed.etag = b"\"2\"".to_vec();
    vm.answered(changed);
    while vm.directory.head(&vm.host).unwrap().in_force == 1 {
        assert_eq!(vm.tick(), Step::Soon);
    }
    vm.host.failing.set(1);
    vm.tick();
    assert!(matches!(
        vm.sync.take_outcome(),
        Some(ImportOutcome::Failed(_))
    ));
    assert_eq!(vm.find("a7").unwrap().tier.as_deref(), Some("of-feed"));
    goes_on(&mut vm);
    world.pass_ms(60_000);
    assert_eq!(
        vm.asks().if_none_match,
        None,
        "the source may be back at it"
    );
}
