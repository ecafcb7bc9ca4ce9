//! The feed: one VM loads, nothing of a feed that is not whole is applied, another takes over.

mod admin;
mod broken;
mod in_force;
mod lease;

use crate::harness::{FakeHost, Metrics, World};
use std::num::NonZeroU64;
use std::sync::Arc;
use tiergate::claims::{Claim, ConfigId, Work};
use tiergate::directory::Directory;
use tiergate::directory::entry::AccountEntry;
use tiergate::directory::feed::import::ImportLimits;
use tiergate::directory::feed::schedule::Source;
use tiergate::directory::feed::{
    FeedError, FetchResult, ImportContext, ImportCounts, ImportOutcome, PageRequest, Step, Sync,
};
use tiergate::http::sha256::sha256_hex;
use tiergate::ledger::Ledger;
use tiergate::limits::Limit;
use tiergate::limits::own::Size;
use tiergate::tiers::{money::SignedCents, recharge::VoucherRule};
use tiergate::time::Span;

const CAPACITY: u32 = 4_096;

/// One VM with its part of the feed.
struct Vm {
    host: FakeHost,
    ledger: Ledger,
    directory: Directory,
    sync: Sync,
    claim: Claim,
}

impl Vm {
    fn new(world: &Arc<World>, nonce: u64) -> Self {
        Self::of(world, nonce, "/accounts")
    }

    fn of(world: &Arc<World>, nonce: u64, path: &str) -> Self {
        Self::every(world, nonce, path, 60)
    }

    /// A VM whose feed is loaded each so many seconds.
    fn every(world: &Arc<World>, nonce: u64, path: &str, seconds: u64) -> Self {
        Self::with_directory(world, nonce, (path, seconds), (CAPACITY, false))
    }

    /// A VM whose feed removes what it does not name.
    fn removes(world: &Arc<World>, nonce: u64) -> Self {
        Self::with_directory(world, nonce, ("/accounts", 60), (CAPACITY, true))
    }

    /// A VM with a directory for so many accounts.
    fn large(world: &Arc<World>, nonce: u64, capacity: u32) -> Self {
        Self::with_directory(world, nonce, ("/accounts", 60), (capacity, false))
    }

    /// A VM whose feed removes what it does not name, with a small directory for so many accounts.
    fn with_room(world: &Arc<World>, (room, accounts): (u32, usize)) -> Self {
        let mut vm = Self::with_directory(world, 1, ("/accounts", 60), (room, true));
        let source = Source {
            path: "/accounts".to_owned(),
            cache_key: "/accounts".to_owned(),
            interval: Span::from_secs(60),
            limits: ImportLimits {
                accounts,
                voucher: None,
                money: false,
                removes: true,
            },
        };
        vm.sync = Sync::open(&vm.host, "tiergate", source, 1).unwrap();
        vm
    }

    fn with_directory(
        world: &Arc<World>,
        nonce: u64,
        (path, seconds): (&str, u64),
        (capacity, removes): (u32, bool),
    ) -> Self {
        let host = FakeHost::new(world);
        let (ledger, _) = Ledger::open(&host, "tiergate", Some(64), || [7; 16]).unwrap();
        let directory = Directory::open(&host, "tiergate", Some(capacity)).unwrap();
        let source = Source {
            path: path.to_owned(),
            cache_key: path.to_owned(),
            interval: Span::from_secs(seconds),
            limits: ImportLimits {
                accounts: capacity as usize,
                voucher: Some(VoucherRule::default()),
                money: false,
                removes,
            },
        };
        let sync = Sync::open(&host, "tiergate", source, nonce).unwrap();
        let config = format!("{path} {seconds}");
        let id = ConfigId::of(&sha256_hex(config.as_bytes()), "");
        let claim = Claim::open(&host, "tiergate", id, &[Work::Feed]).unwrap();
        Self {
            claim,
            host,
            ledger,
            directory,
            sync,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Sync, &ImportContext<'_>) -> T) -> T {
        let key = |id: &[u8]| self.ledger.key(id);
        let place = ImportContext {
            host: &self.host,
            directory: &self.directory,
            key: &key,
            in_force: self.claim.holds(Work::Feed),
        };
        f(&mut self.sync, &place)
    }

    fn tick(&mut self) -> Step {
        // A failure is meant for the feed.
        if self.host.failing.get() == 0 {
            self.claim.tick(&self.host).unwrap();
        }
        self.with(|sync, place| sync.tick(place))
    }

    fn answered(&mut self, answer: FetchResult) -> Step {
        self.with(|sync, place| sync.fetched(place, answer))
    }

    /// The page that it asks for now.
    fn asks(&mut self) -> PageRequest {
        match self.tick() {
            Step::PageRequest(ask) => ask,
            other => panic!("{other:?}"),
        }
    }

    /// Takes a page and goes on until it asks for more, or rests.
    fn takes(&mut self, answer: FetchResult) -> Step {
        let mut step = self.answered(answer);
        while step == Step::Soon {
            step = self.tick();
        }
        step
    }

    /// What becomes of a load whose only page is this.
    fn loads(&mut self, answer: FetchResult) -> ImportOutcome {
        self.asks();
        assert_eq!(self.takes(answer), Step::Rest);
        self.sync.take_outcome().unwrap()
    }

    fn find(&self, id: &str) -> Option<AccountEntry> {
        let key = self.ledger.key(id.as_bytes());
        self.directory.find(&self.host, key).unwrap()
    }

    fn count(&self) -> u64 {
        let fill = self.directory.fill(&self.host).unwrap();
        assert_eq!(fill.looked_at, fill.pages, "all of them");
        fill.records
    }

    fn is_ready(&self) -> bool {
        self.directory.is_ready(&self.host).unwrap()
    }

    fn metrics(&mut self) -> Metrics {
        let mut metrics = Metrics::default();
        self.sync.flush(&self.host, &mut metrics);
        metrics
    }
}

fn page(body: &str) -> FetchResult {
    FetchResult {
        status: 200,
        etag: b"\"1\"".to_vec(),
        size: body.len(),
        body: body.as_bytes().to_vec(),
    }
}

fn status(status: u16) -> FetchResult {
    FetchResult {
        status,
        ..FetchResult::default()
    }
}

/// A page of these numbered accounts.
fn accounts(from: usize, to: usize, next: &str) -> FetchResult {
    let all: Vec<_> = (from..to)
        .map(|i| format!(r#"{{"id":"a{i}","recharge":"{i}.5"}}"#))
        .collect();
    page(&format!(r#"{{"accounts":[{}]{next}}}"#, all.join(",")))
}

fn failure(news: ImportOutcome) -> FeedError {
    match news {
        ImportOutcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_feed_is_applied_with_all_that_it_says() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    let before = vm.metrics();
    for outcome in ["loaded", "unchanged", "failed"] {
        assert!(
            before.has("feed_loads", outcome),
            "a rate needs a value before"
        );
    }
    let news = vm.loads(page(
        r#" { "accounts" : [ {"id": "a", "recharge": "20.00"} ,
        {"id": "b", "tier": "tier3", "limits": {"rpm": 20000, "tpd": "unlimited"}},
        {"id": "ü\n", "recharge": 4.99, "disabled": true}], "removed": ["c"], "next": null } "#,
    ));
    let tally = ImportCounts {
        pages: 1,
        written: 3,
        unchanged: 1,
        removed: 0,
        refused: 0,
    };
    assert_eq!(news, ImportOutcome::Imported(tally));
    assert!(vm.is_ready());
    let a = vm.find("a").unwrap();
    let history = a.history.clone().unwrap();
    assert_eq!(history.cash, SignedCents::new(2_000));
    assert!(history.voucher_by.is_some(), "past $5");
    assert!(a.by_feed && !a.is_disabled() && a.tier.is_none());
    let b = vm.find("b").unwrap();
    assert_eq!(b.tier.as_deref(), Some("tier3"));
    let own = b.own_limits(|| unreachable!("nothing ends")).unwrap();
    let own: Vec<_> = own
        .account
        .0
        .iter()
        .map(|(name, own)| (&**name, own.size))
        .collect();
    let rpm = Limit::Finite(NonZeroU64::new(20_000).unwrap());
    let wanted = [
        ("rpm", Size::Whole(rpm)),
        ("tpd", Size::Whole(Limit::Unlimited)),
    ];
    assert_eq!(own, wanted);
    assert!(vm.find("ü\n").unwrap().is_disabled());
    let metrics = vm.metrics();
    assert_eq!(metrics.get("feed_loads", "outcome.loaded"), 1);
    assert_eq!(metrics.get("feed_accounts", "outcome.written"), 3);
    assert_eq!(
        metrics.get("feed_accounts", "outcome.unchanged"),
        1,
        "c was not there"
    );
}

#[test]
fn what_a_feed_does_not_name_stays_and_what_was_seen_is_not_forgotten() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.loads(page(
        r#"{"accounts":[{"id":"a","recharge":5},{"id":"b","recharge":1},{"id":"c","recharge":1}]}"#,
    ));
    let voucher = vm.find("a").unwrap().history.unwrap().voucher_by;
    world.pass_ms(60_000);
    vm.loads(page(
        r#"{"accounts":[{"id":"a","tier":"tier1"}],"removed":["c"]}"#,
    ));
    let a = vm.find("a").unwrap();
    assert_eq!(a.tier.as_deref(), Some("tier1"));
    assert_eq!(a.history.unwrap().voucher_by, voucher);
    assert!(vm.find("b").is_some());
    assert!(vm.find("c").is_none());
}

#[test]
fn pages_are_followed_and_nothing_is_applied_before_the_last() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    assert_eq!(vm.asks().path, "/accounts");
    let next = |n: usize| format!(r#","next":"/accounts?page={n}""#);
    for n in 1..4 {
        let from = n * 1000 - 1000;
        let Step::PageRequest(ask) = vm.takes(accounts(from, from + 1000, &next(n))) else {
            panic!("page {n}");
        };
        assert_eq!(ask.path, format!("/accounts?page={n}"));
        assert_eq!(ask.if_none_match, None);
        assert_eq!((vm.count(), vm.is_ready()), (0, false));
    }
    assert_eq!(vm.takes(accounts(3000, 4000, "")), Step::Rest);
    assert_eq!((vm.count(), vm.is_ready()), (4_000, true));
}

#[test]
fn slices_are_bounded() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.asks();
    let mut step = vm.answered(accounts(0, 4000, ""));
    let (mut slices, mut most) = (0, 0);
    while step == Step::Soon {
        let before = vm.host.calls.get();
        step = vm.tick();
        slices += 1;
        most = most.max(vm.host.calls.get() - before);
    }
    assert_eq!(vm.count(), 4_000);
    // 32 slices read, and eight settle the 512 pages.
    assert!(slices >= 40, "{slices}");
    assert!(most <= 3 * 128 + 4, "{most} calls in one slice");
}

#[test]
fn a_feed_that_did_not_change_is_not_loaded_again() {
    let world = World::new();
    let (mut vm, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    assert_eq!(vm.asks().if_none_match, None);
    vm.takes(accounts(0, 10, ""));
    world.pass_ms(53_999);
    assert_eq!(
        other.tick(),
        Step::Rest,
        "not due, with up to a tenth of jitter"
    );
    world.pass_ms(6_001);
    assert_eq!(other.asks().if_none_match.unwrap(), b"\"1\"");
    let calls = other.host.calls.get();
    other.answered(status(304));
    assert!(other.host.calls.get() - calls < 5);
    assert_eq!(other.sync.take_outcome(), Some(ImportOutcome::Unchanged));
    assert_eq!(other.metrics().get("feed_loads", "outcome.unchanged"), 1);
    assert_eq!(vm.count(), 10);
}

#[test]
fn an_etag_that_can_not_be_sent_back_is_not() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    for etag in [&b"\"a\r\nx: y\""[..], &[b'x'; 1025], b""] {
        vm.asks();
        let mut answer = accounts(0, 1, "");
        answer.etag = etag.to_vec();
        vm.takes(answer);
        world.pass_ms(60_000);
        assert_eq!(vm.asks().if_none_match, None);
        vm.answered(status(500));
        world.pass_ms(60_000);
    }
}
