//! Stored values: what is read is what was written, and any bytes at all.

use crate::harness::{Config, FakeRequest, Worker, World};
use crate::model::{Log, LogColumn};
use proptest::prelude::*;
use tiergate::ledger::page::{Head, MAX_BYTES, Page};
use tiergate::ledger::slots::Slots;
use tiergate::limits::day::DayRule;
use tiergate::limits::lease::{Holder, Liveness};
use tiergate::limits::record::{FamilyKey, Record, Window, Windows};
use tiergate::limits::units::{Amounts, Unit, Units};
use tiergate::time::{Mono, Now, Span, Wall};
use tiergate::zone::{Calendar, Zone};

const WINDOW: Span = Span::from_secs(60);
const MINUTE: Window = Window {
    id: 2,
    length: WINDOW,
};
const ACCOUNT: FamilyKey = FamilyKey(0);
const DAY: DayRule = DayRule::Calendar { zone: Zone::UTC };

fn both() -> Units {
    Units::default().with(Unit::Requests).with(Unit::Tokens)
}

fn amounts(requests: u64, tokens: u64) -> Amounts {
    Amounts {
        requests,
        tokens,
        ..Amounts::default()
    }
}

struct AllAlive;
impl Liveness for AllAlive {
    fn is_alive(&self, _: Holder) -> bool {
        true
    }
}

/// One event of an account; times are milliseconds after the event before.
#[derive(Clone, Debug)]
enum Event {
    Admit(u64, u64),
    Refund(u64, prop::sample::Index, u64),
    Charge(u64, u64),
    StepBack(u64),
    Acquire(u16),
    Release(u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let gap = || prop_oneof![0..1_200_u64, 0..3_000_u64, 0..70_000_u64];
    let tokens = || prop_oneof![0..10_000_u64, Just(5_000_000_000), Just(1 << 53)];
    let event = prop_oneof![
        4 => (gap(), tokens()).prop_map(|(gap, tokens)| Event::Admit(gap, tokens)),
        2 => (gap(), any::<prop::sample::Index>(), tokens())
            .prop_map(|(gap, at, tokens)| Event::Refund(gap, at, tokens)),
        1 => (gap(), tokens()).prop_map(|(gap, tokens)| Event::Charge(gap, tokens)),
        1 => (0..90_000_u64).prop_map(Event::StepBack),
        1 => (0..4_u16).prop_map(Event::Acquire),
        1 => (0..4_u16).prop_map(Event::Release),
    ];
    prop::collection::vec(event, 1..120)
}

/// The stored record, and the model beside it.
struct Both {
    record: Record,
    log: Log,
    leases: [u64; 4],
    admitted: Vec<Mono>,
    now: Mono,
}

impl Both {
    fn new() -> Self {
        Self {
            record: Record::default(),
            log: Log::default(),
            leases: [0; 4],
            admitted: vec![Mono::from_millis(1)],
            now: Mono::from_millis(1_000_000_000),
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_millis(ms));
        self.advance();
    }

    fn advance(&mut self) {
        let now = Now {
            mono: self.now,
            wall: None,
        };
        self.record.advance(now, &windows());
        self.log.advance(self.now, WINDOW);
    }

    fn run(&mut self, event: &Event) {
        let holder = |slot: u16| Holder {
            slot,
            generation: 1,
        };
        match event {
            Event::Admit(gap, tokens) => {
                self.pass(*gap);
                let amounts = amounts(1, *tokens);
                self.record.add(self.now, ACCOUNT, MINUTE, both(), &amounts);
                self.log.add(self.now, WINDOW, 1, *tokens);
                self.admitted.push(self.now);
            }
            Event::Refund(gap, at, tokens) => {
                self.pass(*gap);
                let at = *at.get(&self.admitted);
                let amounts = amounts(0, *tokens);
                self.record
                    .refund(self.now, ACCOUNT, MINUTE, both(), (at, &amounts));
                self.log.refund(self.now, WINDOW, at, *tokens);
            }
            Event::Charge(gap, tokens) => {
                self.pass(*gap);
                let amounts = amounts(0, *tokens);
                self.record
                    .charge(self.now, ACCOUNT, MINUTE, both(), &amounts);
                self.log.charge(self.now, WINDOW, *tokens);
            }
            Event::StepBack(ms) => {
                self.now = self.now.before(Span::from_millis(*ms));
                self.advance();
            }
            Event::Acquire(slot) => {
                self.record.acquire(ACCOUNT, holder(*slot));
                self.leases[usize::from(*slot)] += 1;
            }
            Event::Release(slot) => {
                self.record.release(ACCOUNT, holder(*slot));
                let count = &mut self.leases[usize::from(*slot)];
                *count = count.saturating_sub(1);
            }
        }
    }

    /// What a decision sees of both.
    fn compare(&self) {
        let (now, log) = (self.now, self.record.log(ACCOUNT, MINUTE));
        for (unit, column) in [
            (Unit::Requests, LogColumn::Requests),
            (Unit::Tokens, LogColumn::Tokens),
        ] {
            let used = log.map_or(0, |log| log.used(now, WINDOW, unit));
            assert_eq!(used, self.log.used(column), "{unit:?}");
            let resets_in = log.map_or(Span::ZERO, |log| log.resets_in(now, WINDOW, unit));
            assert_eq!(resets_in, self.log.resets_in(now, WINDOW, column));
            for (need, limit) in [(1, used.max(1)), (1, used / 2), (3, 2)] {
                let wait = log.map(|log| log.wait(now, WINDOW, unit, need, limit));
                let alone = limit.checked_sub(need).map(|_| Span::ZERO);
                let model = self.log.wait(now, WINDOW, column, need, limit);
                assert_eq!(wait.unwrap_or(alone), model);
            }
        }
        assert_eq!(self.record.leases(ACCOUNT), self.leases.iter().sum::<u64>());
    }
}

fn windows() -> Windows {
    Windows {
        second: Span::from_secs(1),
        hour: Span::from_secs(3_600),
        minute: WINDOW,
        day: DAY,
    }
}

/// Uses every part of a record, whatever its bytes say.
fn touch(record: &mut Record) {
    let now = Now {
        mono: Mono::from_millis(1_000_000),
        wall: Some(Wall::from_millis(5)),
    };
    let (calendar, amounts) = ((Calendar::Day, DAY), amounts(1, 1 << 40));
    record.advance(now, &windows());
    record.add(now.mono, ACCOUNT, MINUTE, both(), &amounts);
    record.add_to_period(now, ACCOUNT, calendar, both(), &amounts);
    record.refund(now.mono, ACCOUNT, MINUTE, both(), (now.mono, &amounts));
    record.acquire(
        ACCOUNT,
        Holder {
            slot: 1,
            generation: 1,
        },
    );
    record.forget_stale(&AllAlive);
    let _ = (record.expiry(now), record.worth(), record.newest());
}

fn put(page: &mut Page, key: [u8; 16], record: &Record) -> u64 {
    let now = Now {
        mono: Mono::from_millis(1_000_000_000),
        wall: None,
    };
    let head = Head {
        now: now.mono,
        expiry: record.expiry(now),
        shares: false,
    };
    page.put(&key, record, &head)
}

fn record_of(events: &[Event]) -> Record {
    let mut both = Both::new();
    for event in events {
        both.run(event);
    }
    both.record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_stored_form_is_the_list_of_grains(events in events()) {
        let mut both = Both::new();
        for event in &events {
            both.run(event);
            both.compare();
            prop_assert!(both.record.is_valid());
            let mut again = Record::default();
            prop_assert!(again.load(both.record.bytes()));
        }
    }

    #[test]
    fn sections_of_newer_code_are_carried_over(events in events(), body in prop::collection::vec(any::<u8>(), 0..40)) {
        let length = u16::try_from(body.len() + 8).unwrap().to_le_bytes();
        let section = [&[200, 0], &length[..], &[0; 4], &body].concat();
        let mut both = Both::new();
        prop_assert!(both.record.load(&section));
        for event in &events {
            both.run(event);
        }
        prop_assert!(both.record.has_unknown() && both.record.is_valid());
        prop_assert_eq!(&both.record.bytes()[..section.len()], &section);
    }

    #[test]
    fn any_bytes_are_a_record_or_corrupt(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut record = Record::default();
        let _ = record.load(&bytes);
        touch(&mut record);
    }

    #[test]
    fn a_bent_record_never_panics(events in events(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = record_of(&events).bytes().to_vec();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = with;
        let mut record = Record::default();
        let _ = record.load(&bytes);
        touch(&mut record);
    }

    #[test]
    fn a_page_gives_back_each_record(all in prop::collection::btree_map(any::<[u8; 16]>(), events(), 1..4)) {
        let mut page = Page::open(Vec::new());
        let records: Vec<_> = all.iter().map(|(key, events)| (*key, record_of(events))).collect();
        for (key, record) in &records {
            put(&mut page, *key, &Record::default());
            prop_assert_eq!(put(&mut page, *key, record), 0);
        }
        prop_assert!(page.is_valid() && page.size() <= MAX_BYTES);
        let page = Page::open(page.into_bytes());
        for (key, record) in &records {
            let stored = page.find(key).map(|stored| stored.body());
            prop_assert_eq!(stored.unwrap_or_default(), record.bytes());
        }
        prop_assert!(!page.corrupt);
    }

    #[test]
    fn any_bytes_are_a_page_or_empty(bytes in prop::collection::vec(any::<u8>(), 0..600), v2 in any::<bool>()) {
        let mut bytes = bytes;
        if v2 {
            bytes.splice(0..0, [2, b'P', 0, 0]);
        }
        let mut page = Page::open(bytes.clone());
        prop_assert!(v2 || page.corrupt || bytes.is_empty() || bytes.starts_with(&[2, b'P']));
        let now = Mono::from_millis(9);
        page.clean(&[0; 16], now, &mut || Wall::from_millis(9), &AllAlive);
        put(&mut page, [0; 16], &record_of(&[Event::Admit(1, 1)]));
        prop_assert!(!Page::open(page.into_bytes()).corrupt);
    }

    #[test]
    fn any_bytes_are_a_slot_table_or_not(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let _ = Slots::decode(&bytes, Mono::from_millis(1));
    }

    #[test]
    fn a_slot_table_is_read_as_it_was_written(secret in any::<[u8; 16]>(), pages in 1..1_000_u32) {
        let table = Slots::new(secret, pages);
        prop_assert_eq!(Slots::decode(&table.encode(), Mono::default()), Ok(Some(table)));
    }
}

#[test]
fn a_log_of_more_than_49_days_still_counts() {
    let mut both = Both::new();
    for _ in 0..60_000 {
        both.run(&Event::Admit(59_000, 1));
        both.run(&Event::Admit(59_500, 1));
    }
    both.compare();
    assert!(both.record.is_valid());
}

#[test]
fn corrupt_pages_read_as_empty_and_are_counted() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1));
    let request = FakeRequest::acme(0);
    worker.admit(&request);
    worker.refuse(&request);
    for key in world.keys().iter().filter(|k| k.contains("/p")) {
        world.overwrite(key, b"\x02another kind");
    }
    worker.admit(&request);
    worker.refuse(&request);
    assert_eq!(worker.tick().get("damaged_values", ""), 1);
}

#[test]
fn a_value_that_the_host_lost_is_made_again() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").concurrency(1));
    worker.admit(&FakeRequest::acme(0));
    for key in world.keys() {
        world.forget(&key);
    }
    worker.tick();
    worker.admit(&FakeRequest::acme(0));
    worker.refuse(&FakeRequest::acme(0));
    assert_eq!(worker.tick().get("lost_pages", ""), 1);
}

#[test]
fn a_newer_layout_is_left_to_newer_code() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").concurrency(1));
    world.overwrite("tiergate/vms", b"\x02newer");
    worker.tick();
    assert_eq!(world.stored("tiergate/vms").unwrap(), b"\x02newer");
}

/// The bytes of each value that no request touches. When one of these changes, the value needs a
/// new version and a new key: code that drains reads what stands at the old one.
#[test]
fn the_bytes_of_stored_state_are_pinned() {
    use tiergate::directory::feed::leader::FeedState;
    use tiergate::ledger::fill::PageWalk;
    use tiergate::overload::{ManualScale, State};
    use tiergate::refusals::{Batch, Id, Reason, RefusalLog};
    use tiergate::shared::cell::{self, Content};

    fn hex<T: Content + PartialEq + std::fmt::Debug>(content: &T) -> String {
        let bytes = cell::encode(T::LAYOUT, content);
        assert_eq!(cell::decode(T::LAYOUT, &bytes).as_ref(), Some(content));
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    let scale = tiergate::limits::Scale::from_millionths;
    let state = State {
        manual: Some(ManualScale {
            scale: scale(500_000),
            tiers: vec![("tier0".to_owned(), scale(200_000))],
            set: Mono::from_millis(1_000),
            ends: Mono::from_millis(601_000),
        }),
        ..State::default()
    };
    let feed = FeedState {
        leader: 7,
        etag: b"\"9\"".to_vec(),
        ..FeedState::default()
    };
    let reason = Reason {
        tier: "tier0".to_owned(),
        code: "rpm".to_owned(),
        overloaded: true,
        shadowed: false,
    };
    let mut log = RefusalLog::default();
    let batch = Batch {
        totals: vec![(reason.clone(), 3)],
        accounts: vec![(Some(Id::of(b"acme")), reason, 3)],
    };
    log.add(&batch, Mono::from_millis(12_345));
    let walk = PageWalk {
        pages: 8_192,
        next: 12,
        fullest: 9,
        before: 98,
    };
    assert_eq!(
        [hex(&state), hex(&feed), hex(&log), hex(&walk)],
        [
            "024f01a0c21e01057469657230c09a0ce807a8d7240000000000000000000000000000000000000000",
            "014c0700000000000003223922",
            "0152010574696572300372706d010001010301010461636d65000574696572300372706d01000c03",
            "015780400c0962",
        ]
    );
}
