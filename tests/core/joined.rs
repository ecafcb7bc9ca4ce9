//! `tokens.join`: settlements that wait for the next write of their page.

mod two_workers;

use crate::harness::{Admission, Call, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use tiergate::ledger::page::Page;

/// Accounts that share a page.
const ACCOUNTS: [&str; 4] = ["acme", "bolt", "coil", "dyne"];

fn joining(config: Config) -> Config {
    config.with(json!({"tokens": {"join": true}}))
}

/// Limits that are far away, on one page; a request reserves its prompt alone.
fn wide() -> Config {
    let config = Config::tier("t").concurrency(1_000).rpm(100_000);
    config
        .tpm(1_000_000)
        .tpd(10_000_000)
        .with(json!({"tokens": {"completion": 0, "prompt": 0}, "capacity": {"accounts": 8}}))
}

fn calls(worker: &Worker, f: impl FnOnce()) -> u32 {
    let before = worker.host.calls.get();
    f();
    worker.host.calls.get() - before
}

fn in_flight(worker: &Worker, account: &str) -> u64 {
    let usage = &worker.usage(&FakeRequest::of(account, "t", 0))["limits"];
    usage["concurrency"]["used"].as_u64().unwrap()
}

#[test]
fn a_request_on_a_busy_page_makes_one_get_and_set_less() {
    let serve = |config: Config| {
        let world = World::new();
        let worker = Worker::new(&world, config);
        let serve = || {
            for account in ACCOUNTS {
                assert!(worker.serves(&FakeRequest::of(account, "t", 100), Used::Tokens(40)));
            }
        };
        // The VM takes its slot.
        serve();
        calls(&worker, serve)
    };
    assert_eq!(serve(wide()), 4 * 4);
    assert_eq!(serve(joining(wide())), 4 * 2);
}

#[test]
fn a_tick_writes_each_page_once() {
    let world = World::new();
    let worker = Worker::new(&world, joining(wide()));
    let open: Vec<_> = ACCOUNTS
        .iter()
        .flat_map(|account| [*account; 5])
        .map(|account| worker.admission(&FakeRequest::of(account, "t", 100)))
        .collect();
    let settled = calls(&worker, || {
        for admission in open {
            worker.settle(admission, Used::Tokens(40));
        }
    });
    assert_eq!(settled, 0, "all wait");
    assert_eq!(calls(&worker, || worker.write_joined()), 2, "one page");
    assert_eq!(
        calls(&worker, || worker.write_joined()),
        0,
        "nothing is left"
    );
    let other = Worker::new(&world, wide());
    let usage = &other.usage(&FakeRequest::of("acme", "t", 0))["limits"];
    assert_eq!(
        (
            usage["concurrency"]["used"].as_u64(),
            usage["tpm"]["used"].as_u64()
        ),
        (Some(0), Some(5 * 40))
    );
}

#[test]
fn the_own_worker_sees_what_waits_and_another_one_is_cautious_till_the_tick() {
    let world = World::new();
    let worker = Worker::new(&world, joining(wide()));
    let other = Worker::new(&world, joining(wide()));
    let admission = worker.admission(&FakeRequest::of("acme", "t", 100));
    worker.settle(admission, Used::Tokens(40));
    assert_eq!(
        (in_flight(&worker, "acme"), in_flight(&other, "acme")),
        (0, 1)
    );
    worker.write_joined();
    assert_eq!(
        (in_flight(&worker, "acme"), in_flight(&other, "acme")),
        (0, 0)
    );
}

#[test]
fn near_a_limit_a_settlement_is_stored_at_once() {
    for config in [
        wide().concurrency(1),
        wide().rpm(1),
        wide().tpm(199),
        wide().tpd(199),
    ] {
        let world = World::new();
        let worker = Worker::new(&world, joining(config));
        let admission = worker.admission(&FakeRequest::acme(100));
        assert_eq!(
            calls(&worker, || worker.settle(admission, Used::Tokens(40))),
            2
        );
    }
}

#[test]
fn tokens_beyond_the_reserve_are_charged_at_once() {
    let world = World::new();
    let worker = Worker::new(&world, joining(wide()));
    let admission = worker.admission(&FakeRequest::acme(100));
    assert_eq!(
        calls(&worker, || worker.settle(admission, Used::Tokens(101))),
        2
    );
}

#[test]
fn a_thousand_settlements_wait_and_the_next_one_does_not() {
    let world = World::new();
    let config = wide()
        .concurrency(10_000)
        .with(json!({"capacity": {"accounts": 65_536}}));
    let worker = Worker::new(&world, joining(config));
    let request = |i: usize| FakeRequest::of(&format!("account-{i}"), "t", 100);
    let open: Vec<_> = (0..1_025).map(|i| worker.admission(&request(i))).collect();
    let settled = calls(&worker, || {
        for admission in open {
            worker.settle(admission, Used::Tokens(40));
        }
    });
    assert_eq!(settled, 2);
}

#[test]
fn a_write_that_fails_keeps_what_waits() {
    let world = World::new();
    let worker = Worker::new(&world, joining(wide()));
    let admission = worker.admission(&FakeRequest::acme(100));
    worker.settle(admission, Used::Tokens(40));
    worker.host.failing.set(1);
    let Next::Forward(forwarded) = worker.check(&FakeRequest::acme(100)).next else {
        panic!("on_fault allows");
    };
    assert!(forwarded.admission.is_none());
    worker.host.failing.set(1);
    worker.write_joined();
    worker.tick();
    let other = Worker::new(&world, wide());
    assert_eq!(in_flight(&other, "acme"), 0);
}

#[test]
fn a_config_that_ends_writes_what_waits() {
    let world = World::new();
    let old = Worker::new(&world, joining(wide()));
    let late = old.admission(&FakeRequest::acme(100));
    let admission = old.admission(&FakeRequest::acme(100));
    let new = old.beside(joining(wide().rpm(99_999)));
    old.settle(admission, Used::Tokens(40));
    old.close();
    let other = Worker::new(&world, wide());
    assert_eq!(in_flight(&other, "acme"), 1);
    // No tick of the old config follows.
    old.settle(late, Used::Tokens(40));
    assert_eq!(in_flight(&other, "acme"), 0);
    drop(new);
}

#[test]
fn what_waits_finds_its_page_after_the_ledger_has_grown() {
    let world = World::new();
    let worker = Worker::new(&world, joining(wide()));
    let open = ACCOUNTS.map(|account| worker.admission(&FakeRequest::of(account, "t", 100)));
    for admission in open {
        worker.settle(admission, Used::Tokens(40));
    }
    let grown = wide().with(json!({"capacity": {"accounts": 4_096}}));
    let other = Worker::new(&world, joining(grown));
    for account in ACCOUNTS {
        other.admit(&FakeRequest::of(account, "t", 100));
    }
    worker.write_joined();
    for account in ACCOUNTS {
        assert_eq!(in_flight(&other, account), 1, "{account}");
    }
}

/// Limits of the account and of a family, and reserves that follow the account's completions.
fn families() -> Config {
    wide().with(json!({
        "tiers": [{"name": "t", "recharge": 1,
            "limits": {"concurrency": 40, "rpm": 1_000, "tpm": 9_000, "tpd": 90_000},
            "models": {"all": {"concurrency": 30, "tpm": 8_000, "tpd": 80_000}}}],
        "models": [{"name": "all", "match": ["*"]}],
        "model": [{"header": "x-account-tier"}],
        "tokens": {"reserve": "adaptive", "completion": 200},
    }))
}

/// One thing that happens to an account.
#[derive(Clone, Debug)]
enum Act {
    /// A request that reserves this number of tokens.
    Ask(usize, u64),
    /// An open request ends, with this number of used tokens.
    End(Index, u64),
    /// The tick that writes what waits.
    Tick,
    /// The account's usage is cleared.
    Reset(usize),
}

fn acts() -> impl Strategy<Value = Vec<(u64, Act)>> {
    let account = 0..ACCOUNTS.len();
    let act = prop_oneof![
        6 => (account.clone(), 1..400_u64).prop_map(|(account, tokens)| Act::Ask(account, tokens)),
        6 => (any::<Index>(), 0..500_u64).prop_map(|(which, used)| Act::End(which, used)),
        1 => Just(Act::Tick),
        1 => account.prop_map(Act::Reset),
    ];
    let gap = prop_oneof![4 => 0..300_u64, 1 => 0..9_000_u64];
    prop::collection::vec((gap, act), 1..100)
}

/// The sections of a record: their order says which one was new first, and nothing else.
fn sections(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let [_, _, low, high, ..] = body {
        let (section, rest) = body.split_at(u16::from_le_bytes([*low, *high]).into());
        all.push(section.to_vec());
        body = rest;
    }
    all.sort();
    all
}

/// The records of a world in which nothing is open; each is touched first, so that none is older than
/// another one of its account.
fn records_of(world: &Arc<World>) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let reader = Worker::new(world, wide());
    for account in ACCOUNTS {
        reader.serves(&FakeRequest::of(account, "t", 1), Used::Tokens(2));
    }
    let pages = world.keys().into_iter().filter(|key| key.contains("/p"));
    let pages = pages.filter_map(|key| world.stored(&key)).map(Page::open);
    let mut records = BTreeMap::new();
    for page in pages {
        let own = page.records();
        records.extend(own.map(|one| (one.key().to_vec(), sections(one.body()))));
    }
    records
}

/// A worker in a world of its own.
struct Side {
    world: Arc<World>,
    worker: Rc<Worker>,
    open: Vec<Admission>,
}

impl Side {
    fn new(config: &Config) -> Self {
        let world = World::new();
        let worker = Rc::new(Worker::new(&world, config));
        Self {
            world,
            worker,
            open: Vec::new(),
        }
    }

    /// Runs an act; whether a request was admitted.
    fn run(&mut self, gap_ms: u64, act: &Act) -> Option<bool> {
        self.world.pass_ms(gap_ms);
        match act {
            Act::Ask(account, tokens) => {
                let request = FakeRequest::of(ACCOUNTS[*account], "t", *tokens);
                let Next::Forward(forwarded) = self.worker.check(&request).next else {
                    return Some(false);
                };
                self.open.extend(forwarded.admission);
                return Some(true);
            }
            Act::End(which, used) if !self.open.is_empty() => {
                let admission = self.open.swap_remove(which.index(self.open.len()));
                self.worker.settle(admission, Used::Tokens(*used));
            }
            Act::End(..) => {}
            Act::Tick => self.worker.write_joined(),
            Act::Reset(account) => {
                let call = Call::Reset(ACCOUNTS[*account].as_bytes().to_vec());
                self.worker.call(&call, "");
            }
        }
        None
    }

    /// Ends all.
    fn records(mut self) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
        for admission in self.open.drain(..) {
            self.worker.settle(admission, Used::Tokens(1));
        }
        self.worker.write_joined();
        records_of(&self.world)
    }
}

#[test]
fn requests_of_an_overflow_record_settle_at_once() {
    let world = World::new();
    let config = wide().with(json!({"tiers": [{"name": "t", "recharge": 1,
        "limits": {"concurrency": 100_000, "rpm": 1_000_000, "tpm": 90_000_000, "tpd": 900_000_000}}]}));
    let worker = Worker::new(&world, joining(config));
    let open: Vec<_> = (0..400)
        .map(|i| worker.admission(&FakeRequest::of(&format!("account-{i}"), "t", 10)))
        .collect();
    assert!(
        worker.tick().get("overflow_requests", "") > 0,
        "more than fits"
    );
    for admission in open {
        worker.settle(admission, Used::Tokens(4));
    }
    worker.write_joined();
    let (reader, mut left) = (Worker::new(&world, wide()), 0);
    for i in 0..400 {
        left += in_flight(&reader, &format!("account-{i}"));
    }
    assert_eq!(left, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// One worker decides the same, and once all is written the records are the same.
    #[test]
    fn what_joins_ends_as_what_is_stored_at_once(acts in acts()) {
        // A smoothed completion outlives all use by chance: till the next write cleans its page.
        let without_reset = acts.iter().filter(|(_, act)| !matches!(act, Act::Reset(_)));
        let without_reset: Vec<_> = without_reset.cloned().collect();
        for (narrow, acts) in [
            (wide(), &acts),
            (wide().concurrency(6).tpm(2_000).rpm(12), &acts),
            (families(), &without_reset),
        ] {
            let narrow = narrow.open_admin();
            let mut now = Side::new(&narrow);
            let mut late = Side::new(&joining(narrow.clone()));
            for (gap_ms, act) in acts {
                prop_assert_eq!(now.run(*gap_ms, act), late.run(*gap_ms, act));
            }
            prop_assert_eq!(now.records(), late.records());
        }
    }
}
