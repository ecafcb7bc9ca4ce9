//! Feeds that are broken, cut or past a bound, and what is left of a load when things fail.

use super::{CAPACITY, Vm, accounts, failure, page, status};
use crate::harness::World;
use proptest::prelude::*;
use tiergate::directory::Directory;
use tiergate::directory::feed::page::{PAGE_BYTES, PageItem, PageReader};
use tiergate::directory::feed::{FeedError, FetchResult, ImportOutcome, Step};

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
            r#"{"accounts":[{"id":"a","tier":"t","limits":{"A":1}}]}"#,
            "accounts[0].limits.A: a name has 1 to 32",
        ),
        (
            r#"{"accounts":[{"id":"a","tier":"t","limits":{"rpm":{"unit":"tokens","per":"day","limit":1}}}]}"#,
            "accounts[0].limits.rpm: rpm counts requests per minute",
        ),
        (
            r#"{"accounts":[{"id":"a","tier":"t","limits":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1}}]}"#,
            "accounts[0].limits: 13 limits: at most 12",
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
        (
            r#"{"accounts":[{"id":"k","account":"a","limits":{"rpm":1}}]}"#,
            "accounts[0].limits: not of an alias",
        ),
        (r#"{"accounts":[{"account":"a"}]}"#, "missing field `id`"),
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
        assert!(matches!(step, Step::PageRequest(_)));
        assert_eq!(vm.takes(answer), Step::Rest);
        let error = failure(vm.sync.take_outcome().unwrap());
        assert!(error.to_string().starts_with("page 2"), "{error}");
        world.pass_ms(60_000);
    }
    assert_eq!((vm.count(), vm.is_ready()), (0, false));
}

#[test]
fn feeds_past_the_bounds_change_nothing() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    let long = FetchResult {
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
    while let Step::PageRequest(_) =
        vm.takes(page(&format!(r#"{{"accounts":[],"next":"/{pages}"}}"#)))
    {
        pages += 1;
    }
    assert_eq!(pages, 999);
    assert_eq!(
        failure(vm.sync.take_outcome().unwrap()),
        FeedError::TooManyPages
    );
    assert_eq!(vm.count(), 0);
}

#[test]
fn a_directory_without_room_keeps_what_it_has_and_counts() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.directory = Directory::open(&vm.host, "small", Some(8)).unwrap();
    let news = vm.loads(accounts(0, 100, ""));
    let ImportOutcome::Imported(tally) = news else {
        panic!("{news:?}")
    };
    assert_eq!((tally.written, tally.refused), (32, 68));
    assert_eq!(vm.metrics().get("feed_accounts", "outcome.refused"), 68);
    assert_eq!(vm.directory.take_health().full, 68);
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
        failures += usize::from(matches!(
            vm.sync.take_outcome(),
            Some(ImportOutcome::Failed(_))
        ));
        world.pass_ms(60_000);
        vm.loads(accounts(0, 2_000, ""));
        assert_eq!((vm.count(), vm.is_ready()), (2_000, true));
    }
    assert!(failures > 5, "{failures}");
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
    let mut reader = PageReader::new(bytes);
    for _ in 0..=longest {
        match reader.item() {
            Ok(PageItem::End(_)) | Err(_) => return,
            Ok(_) => {}
        }
    }
    panic!("no end");
}
