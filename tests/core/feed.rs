//! The feed: one VM loads, nothing of a feed that is not whole is applied, another takes over.

use crate::fake_host::{FakeHost, Metrics, World};
use proptest::prelude::*;
use std::sync::Arc;
use tiergate::account::directory::Entry;
use tiergate::account::recharge::{SignedCents, VoucherRule};
use tiergate::feed::load::Terms;
use tiergate::feed::page::{Item, PAGE_BYTES, Reader};
use tiergate::feed::sync::Source;
use tiergate::feed::{Answer, Ask, FeedError, News, Place, Step, Sync, Tally};
use tiergate::limit::Limit;
use tiergate::store::directory::Directory;
use tiergate::store::ledger::Ledger;
use tiergate::time::Span;

const CAPACITY: u32 = 4_096;

/// One VM with its part of the feed.
struct Vm {
    host: FakeHost,
    ledger: Ledger,
    directory: Directory,
    sync: Sync,
}

impl Vm {
    fn new(world: &Arc<World>, nonce: u64) -> Self {
        Self::of(world, nonce, "/accounts")
    }

    fn of(world: &Arc<World>, nonce: u64, path: &str) -> Self {
        let host = FakeHost::new(world);
        let (ledger, _) = Ledger::open(&host, "tiergate", 64, || [7; 16]).unwrap();
        let directory = Directory::open(&host, "tiergate", CAPACITY).unwrap();
        let source = Source {
            path: path.to_owned(),
            identity: path.to_owned(),
            interval: Span::from_secs(60),
            terms: Terms {
                accounts: CAPACITY as usize,
                voucher: Some(VoucherRule::default()),
            },
        };
        let sync = Sync::open(&host, "tiergate", source, nonce).unwrap();
        Self {
            host,
            ledger,
            directory,
            sync,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Sync, &Place<'_>) -> T) -> T {
        let key = |id: &[u8]| self.ledger.key(id);
        let place = Place {
            host: &self.host,
            directory: &self.directory,
            key: &key,
        };
        f(&mut self.sync, &place)
    }

    fn tick(&mut self) -> Step {
        self.with(|sync, place| sync.tick(place))
    }

    fn answered(&mut self, answer: Answer) -> Step {
        self.with(|sync, place| sync.answered(place, answer))
    }

    /// The page that it asks for now.
    fn asks(&mut self) -> Ask {
        match self.tick() {
            Step::Ask(ask) => ask,
            other => panic!("{other:?}"),
        }
    }

    /// Takes a page and goes on until it asks for more, or rests.
    fn takes(&mut self, answer: Answer) -> Step {
        let mut step = self.answered(answer);
        while step == Step::Soon {
            step = self.tick();
        }
        step
    }

    /// What becomes of a load whose only page is this.
    fn loads(&mut self, answer: Answer) -> News {
        self.asks();
        assert_eq!(self.takes(answer), Step::Rest);
        self.sync.take_news().unwrap()
    }

    fn find(&self, id: &str) -> Option<Entry> {
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
        self.sync.hand_over(&self.host, &mut metrics);
        metrics
    }
}

fn page(body: &str) -> Answer {
    Answer {
        status: 200,
        etag: b"\"1\"".to_vec(),
        size: body.len(),
        body: body.as_bytes().to_vec(),
    }
}

fn status(status: u16) -> Answer {
    Answer {
        status,
        ..Answer::default()
    }
}

/// A page of these numbered accounts.
fn accounts(from: usize, to: usize, next: &str) -> Answer {
    let all: Vec<_> = (from..to)
        .map(|i| format!(r#"{{"id":"a{i}","recharge":"{i}.5"}}"#))
        .collect();
    page(&format!(r#"{{"accounts":[{}]{next}}}"#, all.join(",")))
}

fn failure(news: News) -> FeedError {
    match news {
        News::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_feed_is_applied_with_all_that_it_says() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    let news = vm.loads(page(
        r#" { "accounts" : [ {"id": "a", "recharge": "20.00"} ,
        {"id": "b", "tier": "tier3", "limits": {"rpm": 20000, "tpd": "unlimited"}},
        {"id": "ü\n", "recharge": 4.99, "disabled": true}], "removed": ["c"], "next": null } "#,
    ));
    let tally = Tally {
        pages: 1,
        written: 3,
        removed: 1,
        refused: 0,
    };
    assert_eq!(news, News::Loaded(tally));
    assert!(vm.is_ready());
    let a = vm.find("a").unwrap();
    let history = a.history.unwrap();
    assert_eq!(history.cash, SignedCents::new(2_000));
    assert!(history.voucher_by.is_some(), "past $5");
    assert!(a.by_feed && !a.disabled && a.tier.is_none());
    let b = vm.find("b").unwrap();
    assert_eq!(b.tier.as_deref(), Some("tier3"));
    assert_eq!(b.limits.rpm.unwrap().finite(), Some(20_000));
    assert_eq!(b.limits.tpd, Some(Limit::Unlimited));
    assert!(vm.find("ü\n").unwrap().disabled);
    let metrics = vm.metrics();
    assert_eq!(metrics.get("feed_loads", "outcome.loaded"), 1);
    assert_eq!(metrics.get("feed_accounts", "outcome.written"), 3);
    assert_eq!(metrics.get("feed_accounts", "outcome.removed"), 1);
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
        let Step::Ask(ask) = vm.takes(accounts(from, from + 1000, &next(n))) else {
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
    assert!(slices > 60, "{slices}");
    assert!(most <= 2 * 128 + 4, "{most} calls in one slice");
}

#[test]
fn a_feed_that_is_broken_anywhere_changes_nothing_and_is_counted() {
    let account = r#"{"id":"a","recharge":"1"}"#;
    let rows = [
        ("", "page 1: $: the page ends too early"),
        ("[]", "page 1: $: wrong at byte 0: expected an object"),
        ("{}", "page 1: accounts: missing"),
        (r#"{"accounts":{}}"#, "expected a list"),
        (r#"{"accounts":[1]}"#, "accounts[0]: invalid type: integer"),
        (
            r#"{"accounts":[["a","1"]]}"#,
            "accounts[0]: invalid type: sequence",
        ),
        (r#"{"accounts":[{}]}"#, "accounts[0]: missing field `id`"),
        (
            r#"{"accounts":[{"id":"a"}]}"#,
            "accounts[0]: an account has exactly one",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":1,"tier":"t"}]}"#,
            "accounts[0]: an account has exactly one",
        ),
        (
            r#"{"accounts":[{"id":"","recharge":1}]}"#,
            "accounts[0].id: 0 bytes",
        ),
        (
            r#"{"accounts":[{"id":7,"recharge":1}]}"#,
            "accounts[0].id: invalid type",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":"1e3"}]}"#,
            "accounts[0].recharge: invalid",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":"-0.001"}]}"#,
            "accounts[0].recharge",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":-1}]}"#,
            "accounts[0].recharge",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":0.001}]}"#,
            "accounts[0].recharge",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":"NaN"}]}"#,
            "accounts[0].recharge",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":"٣"}]}"#,
            "accounts[0].recharge",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":1,"limits":{"rpm":0}}]}"#,
            "accounts[0].limits.rpm: invalid value",
        ),
        (r#"{"accounts":[{"id":"a","tier":""}]}"#, "accounts[0].tier"),
        (
            r#"{"accounts":[{"id":"a","recharge":1,"id":"b"}]}"#,
            "duplicate field `id`",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":1,"x":1}]}"#,
            "unknown field `x`",
        ),
        (
            r#"{"accounts":[],"removed":[1]}"#,
            "removed[0]: invalid type",
        ),
        (r#"{"accounts":[],"extra":1}"#, "extra: unknown field"),
        (r#"{"accounts":[],"accounts":[]}"#, "accounts: named twice"),
        (
            r#"{"accounts":[],"next":"http://elsewhere"}"#,
            "next: not a path",
        ),
        (r#"{"accounts":[],"next":"/a\r\nx: y"}"#, "next: not a path"),
        (r#"{"accounts":[],}"#, "$"),
        (r#"{"accounts":[]}}"#, "expected the end of the page"),
        (
            "{\"accounts\":[{\"id\":\"\u{0}\",\"recharge\":1}]}",
            "control character",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":1},{"id":"a","recharge":2}]}"#,
            "the 2. account",
        ),
        (
            r#"{"accounts":[{"id":"a","recharge":1}],"removed":["a"]}"#,
            "the 2. account",
        ),
        (r#"{"accounts":[],"next":"/accounts"}"#, "leads back"),
    ];
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    for (body, says) in rows {
        // Before what is broken there is something that is not.
        let body = body.replacen(
            "[{",
            &format!("[{account},{{"),
            usize::from(!body.contains("\"a\"")),
        );
        let says = match body.contains(account) {
            true => says.replace("accounts[0]", "accounts[1]"),
            false => says.to_owned(),
        };
        let error = failure(vm.loads(page(&body))).to_string();
        assert!(error.contains(&says), "{body}: {error}");
        assert_eq!(vm.metrics().get("feed_loads", "outcome.failed"), 1);
        world.pass_ms(60_000);
    }
    assert_eq!((vm.count(), vm.is_ready()), (0, false));
}

#[test]
fn a_page_that_is_cut_anywhere_changes_nothing() {
    let whole = r#"{"accounts":[{"id":"a","recharge":"1"},{"id":"b","tier":"t"}],"removed":["c"]}"#;
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    for end in 0..whole.len() {
        failure(vm.loads(page(whole.get(..end).unwrap())));
        world.pass_ms(60_000);
    }
    assert_eq!(vm.count(), 0);
    vm.loads(page(whole));
    assert_eq!(vm.count(), 2);
}

#[test]
fn a_feed_that_breaks_on_its_second_page_changes_nothing() {
    let answers = [
        status(0),
        status(404),
        status(503),
        status(304),
        page(r#"{"accounts":[{"id":"a1","recharge":1}]}"#),
        page(r#"{"accounts":[],"next":"/2"}"#),
        page(r#"{"accounts":["#),
    ];
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    for answer in answers {
        vm.asks();
        let step = vm.takes(accounts(0, 100, r#","next":"/2""#));
        assert!(matches!(step, Step::Ask(_)));
        assert_eq!(vm.takes(answer), Step::Rest);
        let error = failure(vm.sync.take_news().unwrap());
        assert!(error.to_string().starts_with("page 2"), "{error}");
        world.pass_ms(60_000);
    }
    assert_eq!((vm.count(), vm.is_ready()), (0, false));
}

#[test]
fn feeds_past_the_bounds_change_nothing() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    let long = Answer {
        size: PAGE_BYTES + 1,
        ..status(200)
    };
    let error = failure(vm.loads(long));
    assert!(matches!(error, FeedError::TooLong { page: 1, .. }));
    world.pass_ms(60_000);
    let most = CAPACITY as usize;
    let error = failure(vm.loads(accounts(0, most + 1, "")));
    assert_eq!(error, FeedError::TooManyAccounts(most));
    world.pass_ms(60_000);
    vm.asks();
    let mut pages = 0;
    while let Step::Ask(_) = vm.takes(page(&format!(r#"{{"accounts":[],"next":"/{pages}"}}"#))) {
        pages += 1;
    }
    assert_eq!(pages, 999);
    assert_eq!(
        failure(vm.sync.take_news().unwrap()),
        FeedError::TooManyPages
    );
    assert_eq!(vm.count(), 0);
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
    assert_eq!(other.sync.take_news(), Some(News::Unchanged));
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

#[test]
fn one_of_two_loads_and_the_other_takes_over_when_it_dies() {
    let world = World::new();
    let (mut dies, mut lives) = (Vm::new(&world, 1), Vm::new(&world, 2));
    dies.asks();
    assert_eq!(lives.tick(), Step::Rest);
    let next = r#","next":"/2""#;
    dies.takes(accounts(0, 1000, next));
    // It dies while it applies: some of the accounts are in.
    dies.answered(accounts(1000, 2000, ""));
    for _ in 0..12 {
        assert_eq!(dies.tick(), Step::Soon);
    }
    let applied = dies.count();
    assert!((1..2000).contains(&applied), "{applied}");
    drop(dies);
    assert!(!lives.is_ready());
    world.pass_ms(4_999);
    assert_eq!(lives.tick(), Step::Rest);
    world.pass_ms(1);
    let ask = lives.asks();
    assert_eq!((ask.path.as_str(), ask.if_none_match), ("/accounts", None));
    assert!(matches!(lives.takes(accounts(0, 1000, next)), Step::Ask(_)));
    assert_eq!(lives.takes(accounts(1000, 2000, "")), Step::Rest);
    assert_eq!((lives.count(), lives.is_ready()), (2_000, true));
}

#[test]
fn a_vm_that_slept_over_its_lease_gives_way() {
    let world = World::new();
    let (mut sleeps, mut lives) = (Vm::new(&world, 1), Vm::new(&world, 2));
    sleeps.asks();
    sleeps.answered(accounts(0, 1000, ""));
    world.pass_ms(5_000);
    lives.asks();
    // What it gathered is let go of in slices.
    for _ in 0..3 {
        sleeps.tick();
    }
    assert_eq!(sleeps.tick(), Step::Rest);
    assert_eq!(sleeps.sync.take_news(), Some(News::Failed(FeedError::Lost)));
    assert_eq!(sleeps.count(), 0);
    assert_eq!(lives.takes(accounts(0, 10, "")), Step::Rest);
    assert_eq!(lives.count(), 10);
}

#[test]
fn a_slow_load_keeps_its_lease() {
    let world = World::new();
    let (mut slow, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    slow.asks();
    for _ in 0..50 {
        world.pass_ms(500);
        assert_eq!(slow.tick(), Step::Rest);
        assert_eq!(other.tick(), Step::Rest);
    }
    assert_eq!(slow.takes(accounts(0, 10, "")), Step::Rest);
    assert_eq!(slow.count(), 10);
}

#[test]
fn an_answer_that_never_comes_is_a_failure() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.asks();
    for _ in 0..70 {
        world.pass_ms(500);
        vm.tick();
    }
    let error = failure(vm.sync.take_news().unwrap());
    assert_eq!(error, FeedError::NoAnswer { page: 1 });
}

#[test]
fn failures_are_tried_again_ever_later_and_not_at_the_same_moments() {
    let waits = |nonce: u64| {
        let world = World::new();
        let mut vm = Vm::new(&world, nonce);
        let mut waits = Vec::new();
        for _ in 0..10 {
            vm.answered(Answer::default());
            let mut waited = 0;
            while vm.tick() == Step::Rest {
                world.pass_ms(50);
                waited += 50;
            }
            waits.push(waited);
        }
        // The first was due at once.
        waits.split_off(1)
    };
    let (first, second) = (waits(1), waits(3));
    for (i, waited) in first.iter().enumerate() {
        let whole = (1_000 << i.min(10)).min(60_000);
        assert!((whole / 2..=whole + 50).contains(waited), "{i}: {waited}");
    }
    assert_ne!(first, second);
}

#[test]
fn a_failure_is_known_to_all_and_a_success_ends_the_waits() {
    let world = World::new();
    let (mut vm, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    for _ in 0..5 {
        vm.loads(status(500));
        assert_eq!(other.tick(), Step::Rest);
        world.pass_ms(60_000);
    }
    other.loads(accounts(0, 1, ""));
    world.pass_ms(60_000);
    vm.loads(status(500));
    world.pass_ms(1_000);
    vm.asks();
}

#[test]
fn the_newest_config_decides_where_the_feed_comes_from() {
    let world = World::new();
    let mut old = Vm::of(&world, 1, "/old");
    old.loads(accounts(0, 1, ""));
    world.pass_ms(1_000);
    let mut new = Vm::of(&world, 2, "/new");
    let ask = new.asks();
    assert_eq!((ask.path.as_str(), ask.if_none_match), ("/new", None));
    new.takes(accounts(1, 2, ""));
    for _ in 0..3 {
        world.pass_ms(60_000);
        assert_eq!(old.tick(), Step::Rest);
        new.loads(status(304));
    }
}

#[test]
fn a_directory_without_room_keeps_what_it_has_and_counts() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.directory = Directory::open(&vm.host, "small", 8).unwrap();
    let news = vm.loads(accounts(0, 100, ""));
    let News::Loaded(tally) = news else {
        panic!("{news:?}")
    };
    assert_eq!((tally.written, tally.refused), (32, 68));
    assert_eq!(vm.metrics().get("feed_accounts", "outcome.refused"), 68);
    assert_eq!(vm.count(), 32);
}

#[test]
fn a_host_that_fails_is_a_failure_and_the_next_load_mends_it() {
    let mut failures = 0;
    for healthy_ticks in 0..20 {
        let world = World::new();
        let mut vm = Vm::new(&world, 1);
        vm.asks();
        vm.answered(accounts(0, 2_000, ""));
        for _ in 0..healthy_ticks {
            vm.tick();
        }
        vm.host.failing.set(1);
        while vm.tick() == Step::Soon {}
        vm.host.failing.set(0);
        failures += usize::from(matches!(vm.sync.take_news(), Some(News::Failed(_))));
        world.pass_ms(60_000);
        vm.loads(accounts(0, 2_000, ""));
        assert_eq!((vm.count(), vm.is_ready()), (2_000, true));
    }
    assert!(failures > 5, "{failures}");
}

#[test]
fn the_age_is_a_gauge_that_all_move_together() {
    let world = World::new();
    let (mut vm, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    let mut age = 0;
    let mut show = |vms: [&mut Vm; 2]| {
        for vm in vms {
            age += vm.metrics().get("directory_age_seconds", "");
        }
        age
    };
    world.pass_ms(30_500);
    assert_eq!(show([&mut vm, &mut other]), 30);
    vm.loads(accounts(0, 1, ""));
    assert_eq!(show([&mut other, &mut vm]), 0);
    world.pass_ms(7_000);
    assert_eq!(show([&mut vm, &mut other]), 7);
    world.pass_ms(53_000);
    other.loads(status(304));
    assert_eq!(show([&mut vm, &mut other]), 0, "known to be whole");
}

#[test]
fn a_lease_that_is_damaged_is_written_anew_and_one_of_a_newer_layout_left_alone() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    world.overwrite("tiergate/feed", b"\x01Lnonsense");
    vm.loads(accounts(0, 1, ""));
    assert_eq!(vm.metrics().get("damaged_values", ""), 1);
    world.overwrite("tiergate/feed", b"\xffL");
    assert_eq!(vm.tick(), Step::Rest);
    let told = failure(vm.sync.take_news().unwrap()).to_string();
    assert!(told.contains("newer layout"));
    world.forget("tiergate/feed");
    vm.asks();
}

proptest! {
    #[test]
    fn any_bytes_are_a_page_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(bytes);
    }

    #[test]
    fn any_damage_to_a_page_is_read_or_refused(
        place in 0..80_usize, byte in any::<u8>(),
    ) {
        let mut page = br#"{"accounts":[{"id":"a","recharge":"1"},{"id":"b","tier":"t"}],"next":"/b"}"#.to_vec();
        let place = place % page.len();
        page[place] = byte;
        read_all(page);
    }
}

fn read_all(bytes: Vec<u8>) {
    let longest = bytes.len();
    let mut reader = Reader::new(bytes);
    for _ in 0..=longest {
        match reader.item() {
            Ok(Item::End(_)) | Err(_) => return,
            Ok(_) => {}
        }
    }
    panic!("no end");
}
