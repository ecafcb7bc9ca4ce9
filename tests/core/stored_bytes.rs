//! Stored values: round trips, and any bytes at all.

use crate::harness::{Config, FakeRequest, Worker, World};
use proptest::prelude::*;
use tiergate::ledger::bytes;
use tiergate::ledger::page::{MAX_BYTES, Page, Update};
use tiergate::ledger::slots::Slots;
use tiergate::limits::day::DayUse;
use tiergate::limits::lease::{Holder, Leases, Liveness};
use tiergate::limits::record::Record;
use tiergate::limits::window::{Grain, Log};
use tiergate::time::Mono;

struct AllAlive;
impl Liveness for AllAlive {
    fn is_alive(&self, _: Holder) -> bool {
        true
    }
}

fn log() -> impl Strategy<Value = Log> {
    let entry = (0..1_000_000_u64, any::<u64>(), any::<u64>());
    let grains = prop::collection::vec(entry, 0..70);
    (grains, any::<u64>()).prop_map(|(mut grains, first)| {
        grains.sort_unstable();
        let newest_first = if grains.is_empty() { 0 } else { first };
        Log {
            newest_first: Mono::from_millis(newest_first),
            begun: Mono::from_millis(newest_first / 2),
            grains: grains
                .into_iter()
                .map(|(last, requests, tokens)| Grain {
                    last: Mono::from_millis(last),
                    requests,
                    tokens,
                })
                .collect(),
        }
    })
}

fn record() -> impl Strategy<Value = Record> {
    let day = prop_oneof![
        Just(DayUse::None),
        (any::<u32>(), any::<u64>()).prop_map(|(number, tokens)| DayUse::Calendar {
            number,
            tokens,
            begun: Mono::from_millis(tokens % 1_000),
        }),
        log().prop_map(DayUse::Rolling),
    ];
    let lease = (any::<u16>(), any::<u32>(), any::<u32>());
    let leases = prop::collection::vec(lease, 0..20);
    (log(), day, leases).prop_map(|(minute, day, leases)| Record {
        minute,
        day,
        leases: Leases {
            counts: leases
                .into_iter()
                .map(|(slot, generation, n)| (Holder { slot, generation }, n))
                .collect(),
        },
    })
}

fn written(records: &[([u8; 16], Record)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, record) in records {
        let update = Update {
            key: *key,
            record,
            now: Mono::from_millis(5),
            expires_at: Mono::from_millis(1_000),
        };
        bytes = Page::parse(&bytes).with(&update, &AllAlive).0;
    }
    bytes
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in record()) {
        let mut bytes = Vec::new();
        bytes::encode(&record, &mut bytes);
        prop_assert_eq!(bytes::decode(&bytes), Ok(record));
    }

    #[test]
    fn any_bytes_are_a_record_or_corrupt(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(record) = bytes::decode(&bytes) {
            let mut again = Vec::new();
            bytes::encode(&record, &mut again);
            prop_assert_eq!(bytes::decode(&again), Ok(record));
        }
    }

    #[test]
    fn a_page_gives_back_each_record(
        records in prop::collection::btree_map(any::<[u8; 16]>(), record(), 1..6),
    ) {
        let records: Vec<_> = records.into_iter().collect();
        let bytes = written(&records);
        let mut page = Page::parse(&bytes);
        for (key, record) in &records {
            prop_assert_eq!(&page.find(key), record);
        }
        prop_assert!(!page.corrupt);
        prop_assert!(bytes.len() <= MAX_BYTES);
    }

    #[test]
    fn any_bytes_are_a_page_or_empty(bytes in prop::collection::vec(any::<u8>(), 0..600), v1 in any::<bool>()) {
        let mut bytes = bytes;
        if v1 {
            bytes.splice(0..0, [1, b'P']);
        }
        let mut page = Page::parse(&bytes);
        let record = page.find(&[0; 16]);
        prop_assert!(v1 || page.corrupt || bytes.is_empty() || bytes.starts_with(&[1, b'P']));
        let update = Update { key: [0; 16], record: &record, now: Mono::from_millis(9), expires_at: Mono::from_millis(10) };
        let (again, _) = page.with(&update, &AllAlive);
        prop_assert!(!Page::parse(&again).corrupt);
    }

    #[test]
    fn a_cut_or_bent_page_never_panics(
        records in prop::collection::btree_map(any::<[u8; 16]>(), record(), 1..4),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let records: Vec<_> = records.into_iter().collect();
        let mut bytes = written(&records);
        let at = at.index(bytes.len());
        Page::parse(&bytes[..at]).find(&records[0].0);
        bytes[at] = with;
        for (key, _) in &records {
            Page::parse(&bytes).find(key);
        }
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
fn corrupt_pages_read_as_empty_and_are_counted() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1));
    let request = FakeRequest::acme(0);
    worker.admit(&request);
    worker.refuse(&request);
    for key in world.keys().iter().filter(|k| k.contains("/p")) {
        world.overwrite(key, b"\x01another kind");
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
    assert_eq!(
        [hex(&state), hex(&feed), hex(&log)],
        [
            "014f01a0c21e01057469657230c09a0ce807a8d72400000000000000000000000000000000000000",
            "014c0700000000000003223922",
            "0152010574696572300372706d010001010301010461636d65000574696572300372706d01000c03",
        ]
    );
}
