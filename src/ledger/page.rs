//! A page: the records of the accounts that hash to it, as one value of shared data.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (LAYOUT)
//! 1       1      'P'
//! 2       1      state: 0 open, 1 unfilled, 2 sealed (sizes.rs)
//! 3       1      unused, 0
//! 4       ...    records, one after the other:
//!         16     account key
//!         2      length of the record with this head
//!         1      worth: about the binary logarithm of what would be forgiven, in tokens
//!         1      flags
//!         4      touched: time of the last write, monotonic s
//!         8      expires_at: moment from which the windows are empty, monotonic ms
//!         8      sliding_until: moment from which the sliding windows are empty, same form
//!         ...    body (limits/record)
//! ```
//! Numbers are little endian. The head of a record tells all that other accounts' writes need, so
//! they decode nothing. Each write drops the records that are over, and the sliding windows of those
//! of which only a calendar period is left.
//!
//! No account's traffic forgives another account anything. A page whose records would have
//! [`newcomers`] bytes, if all accounts sent requests, takes no new account: those share the page's
//! overflow record, each under its own limits. From [`CROWDED`] bytes on, events join the newest
//! grain of their log. From [`FULL`] bytes on, no lease is counted. A config that adds limits can
//! still take a page to [`MAX_BYTES`]. Such a page gives up the record of least worth.

use crate::limits::lease::Liveness;
use crate::limits::record::{self, Expiry, Record};
use crate::shared::Layout;
use crate::shared::fields::{insert, put, remove, u16_at, u32_at, u64_at};
use crate::time::{Mono, Wall};

/// The layout of a page.
pub const LAYOUT: Layout = Layout {
    name: "a page of the ledger",
    version: 2,
    kind: b'P',
};
/// The largest size, with all records awake, from which a page takes no new account.
pub const NEWCOMERS: usize = 18_432;
/// Bytes for leases of further VMs, and for grains, beyond the records of a full page.
const SPARE: usize = 1_536;
/// The size from which logs grow no more.
pub const CROWDED: usize = 16_384;
/// The size from which a page counts no further lease.
pub const FULL: usize = 19_968;
/// The maximum size of a page in bytes.
pub const MAX_BYTES: usize = 20_480;
/// A page without records.
pub const EMPTY: [u8; 4] = without_records(PageState::Open);
/// A page of a new size, before its records were moved.
pub const UNFILLED: [u8; 4] = without_records(PageState::Unfilled);

const fn without_records(state: PageState) -> [u8; 4] {
    let [version, kind] = LAYOUT.prefix();
    [version, kind, state as u8, 0]
}

/// Bytes of an account key.
pub const KEY: usize = 16;
/// The key of the record that new accounts of a full page share.
pub const OVERFLOW: [u8; KEY] = [0xff; KEY];

const LENGTH: usize = 16;
const WORTH: usize = 18;
const FLAGS: usize = 19;
const TOUCHED: usize = 20;
const EXPIRES_AT: usize = 24;
const SLIDING_UNTIL: usize = 32;
/// Bytes of a record before its body.
const HEAD: usize = 40;

/// The size of a record of the default limits with one request in flight, in bytes.
pub const AWAKE: usize = awake(56 + 36 + 28);

/// Returns the size of a record: its head and its sections.
pub const fn awake(sections: usize) -> usize {
    sections.saturating_add(HEAD)
}

/// Returns the size, with all records awake, from which a page takes no new account: there is room
/// for the overflow record, which is one more.
pub const fn newcomers(awake: usize) -> usize {
    let left = (MAX_BYTES - SPARE).saturating_sub(awake);
    if left < NEWCOMERS { left } else { NEWCOMERS }
}

/// The record has leases.
const LEASED: u8 = 1;
/// The record has sliding windows.
const SLIDES: u8 = 2;
/// The record has a calendar period.
const PERIODIC: u8 = 4;
/// The account may have leases in the overflow record.
const SHARES: u8 = 8;

const STATE: usize = 2;

/// The state of a page while the ledger grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// In use.
    Open = 0,
    /// New: its records are on a page of the size before.
    Unfilled = 1,
    /// Left: it changes no more.
    Sealed = 2,
}

/// The place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: usize,
    len: usize,
}

impl Place {
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let len = usize::from(u16_at(bytes, at.saturating_add(LENGTH)));
        let end = at.checked_add(len)?;
        (len >= HEAD && end <= bytes.len()).then_some(Self { at, len })
    }

    const fn end(&self) -> usize {
        self.at.saturating_add(self.len)
    }

    fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.at..self.end()).unwrap_or_default()
    }
}

/// A stored record.
#[derive(Clone, Copy, Debug)]
pub struct StoredRecord<'a>(&'a [u8]);

impl<'a> StoredRecord<'a> {
    /// Returns the account's key.
    pub fn key(&self) -> &'a [u8] {
        self.0.get(..KEY).unwrap_or_default()
    }

    /// Returns the sections.
    pub fn body(&self) -> &'a [u8] {
        self.0.get(HEAD..).unwrap_or_default()
    }

    /// True when the account may have leases in the overflow record.
    pub fn shares(&self) -> bool {
        self.has(SHARES)
    }

    /// Returns the moment from which the windows are empty.
    pub fn expires_at(&self) -> Mono {
        Mono::from_millis(u64_at(self.0, EXPIRES_AT))
    }

    /// Returns the moment from which the sliding windows are empty.
    pub fn sliding_until(&self) -> Mono {
        Mono::from_millis(u64_at(self.0, SLIDING_UNTIL))
    }

    /// Returns the worth and the time of the last write.
    pub fn worth(&self) -> (u8, u32) {
        let worth = self.0.get(WORTH).copied().unwrap_or(0);
        (worth, u32_at(self.0, TOUCHED))
    }

    fn has(&self, flag: u8) -> bool {
        self.0.get(FLAGS).is_some_and(|flags| flags & flag != 0)
    }
}

/// The head of a written record.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The moment of the write.
    pub now: Mono,
    /// The moments from which the windows are empty.
    pub expiry: Expiry,
    /// True when the account may have leases in the overflow record.
    pub shares: bool,
}

/// A page that was read, and is edited in place.
#[derive(Debug)]
pub struct Page {
    bytes: Vec<u8>,
    /// True when stored bytes were corrupt; corrupt bytes read as empty.
    pub corrupt: bool,
}

impl Page {
    /// Opens a stored page; bytes of another layout and corrupt bytes read as empty.
    pub fn open(bytes: Vec<u8>) -> Self {
        if is_page(&bytes) {
            return Self {
                bytes,
                corrupt: false,
            };
        }
        Self {
            corrupt: !bytes.is_empty(),
            bytes: EMPTY.to_vec(),
        }
    }

    /// Returns the stored form.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the stored form.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the state.
    pub fn state(&self) -> PageState {
        let stored = self.bytes.get(STATE).copied();
        let mut others = [PageState::Unfilled, PageState::Sealed].into_iter();
        let found = others.find(|state| stored == Some(*state as u8));
        found.unwrap_or(PageState::Open)
    }

    /// Changes the state.
    pub fn set_state(&mut self, state: PageState) {
        put(&mut self.bytes, STATE, [state as u8]);
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the size that the page has when each account sends requests: a record is then at
    /// least `awake` bytes.
    pub fn awake_size(&self, awake: usize) -> usize {
        let sizes = places(&self.bytes).map(|place| place.len.max(awake));
        sizes.fold(EMPTY.len(), usize::saturating_add)
    }

    /// Returns the records.
    pub fn records(&self) -> impl Iterator<Item = StoredRecord<'_>> {
        places(&self.bytes).map(|place| StoredRecord(place.of(&self.bytes)))
    }

    /// Finds the record of `key`.
    pub fn find(&self, key: &[u8; KEY]) -> Option<StoredRecord<'_>> {
        self.records().find(|stored| stored.key() == key)
    }

    /// Drops the records that are over, but for the one of `keep`, and shrinks those of which only
    /// a calendar period is left.
    ///
    /// `wall` is read only for a calendar period that is over by the monotonic clock: after a step
    /// back of the wall clock it may not be.
    pub fn clean(
        &mut self,
        keep: &[u8; KEY],
        now: Mono,
        wall: &mut dyn FnMut() -> Wall,
        liveness: &dyn Liveness,
    ) -> u64 {
        let mut stale: u64 = 0;
        let mut at = EMPTY.len();
        while let Some(place) = Place::read(&self.bytes, at) {
            let stored = StoredRecord(place.of(&self.bytes));
            at = place.end();
            if stored.key() == keep {
                continue;
            }
            if stored.expires_at() > now {
                if stored.sliding_until() <= now && stored.has(SLIDES) {
                    at = self.shrink(place);
                }
                continue;
            }
            if stored.has(PERIODIC) {
                let end = record::periods_end(stored.body()).unwrap_or_default();
                if end > wall() {
                    continue;
                }
            }
            let (live, lost) = match stored.has(LEASED) {
                true => record::count_leases(stored.body(), liveness),
                false => (0, 0),
            };
            if live == 0 {
                stale = stale.saturating_add(lost);
                remove(&mut self.bytes, place.at, place.len);
                at = place.at;
            }
        }
        stale
    }

    /// Drops the sliding windows of a record; returns its new end.
    fn shrink(&mut self, place: Place) -> usize {
        let mut body = StoredRecord(place.of(&self.bytes)).body().to_vec();
        record::shrink(&mut body);
        let flags = place.at.saturating_add(FLAGS);
        let without = self.bytes.get(flags).copied().unwrap_or(0) & !SLIDES;
        put(&mut self.bytes, flags, [without]);
        let mut record = Record::default();
        let _ = record.load(&body);
        let worth = place.at.saturating_add(WORTH);
        put(&mut self.bytes, worth, [record.worth()]);
        let place = self.resize(place, body.len().saturating_add(HEAD));
        self.write_body(place, &body);
        place.end()
    }

    /// Writes the record of `key` over the stored one; an empty record is dropped. Returns the
    /// number of live records that were given up for it.
    pub fn put(&mut self, key: &[u8; KEY], record: &Record, head: &Head) -> u64 {
        let is_key = |place: &Place| StoredRecord(place.of(&self.bytes)).key() == key;
        let stored = places(&self.bytes).find(is_key);
        let len = HEAD.saturating_add(record.bytes().len());
        if record.is_empty() || u16::try_from(len).is_err() {
            if let Some(place) = stored {
                remove(&mut self.bytes, place.at, place.len);
            }
            return u64::from(!record.is_empty());
        }
        let place = stored.unwrap_or(Place {
            at: self.bytes.len(),
            len: 0,
        });
        let place = self.resize(place, len);
        put(&mut self.bytes, place.at, *key);
        self.write_head(place, record, head);
        self.write_body(place, record.bytes());
        self.make_room(key)
    }

    fn write_head(&mut self, place: Place, record: &Record, head: &Head) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let leased = record.all_leases() > 0;
        let flags = flag(leased, LEASED)
            | flag(head.expiry.sliding > Mono::default(), SLIDES)
            | flag(record.has_period(), PERIODIC)
            | flag(head.shares, SHARES);
        let seconds = head.now.as_millis().div_euclid(1_000);
        let touched = u32::try_from(seconds).unwrap_or(u32::MAX);
        let at = |field: usize| place.at.saturating_add(field);
        let bytes = &mut self.bytes;
        put(bytes, at(WORTH), [record.worth(), flags]);
        put(bytes, at(TOUCHED), touched.to_le_bytes());
        let (all, sliding) = (head.expiry.all.as_millis(), head.expiry.sliding.as_millis());
        put(bytes, at(EXPIRES_AT), all.to_le_bytes());
        put(bytes, at(SLIDING_UNTIL), sliding.to_le_bytes());
    }

    fn write_body(&mut self, place: Place, body: &[u8]) {
        let target = place.at.saturating_add(HEAD)..place.end();
        let target = self.bytes.get_mut(target).unwrap_or_default();
        for (byte, new) in target.iter_mut().zip(body) {
            *byte = *new;
        }
    }

    /// Gives a record `len` bytes.
    fn resize(&mut self, place: Place, len: usize) -> Place {
        match len.checked_sub(place.len) {
            Some(more) => insert(&mut self.bytes, place.end(), more),
            None => remove(
                &mut self.bytes,
                place.at.saturating_add(len),
                place.len.saturating_sub(len),
            ),
        }
        let stored = u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes();
        put(&mut self.bytes, place.at.saturating_add(LENGTH), stored);
        Place { at: place.at, len }
    }

    /// Gives up records until the page has its maximum size: the one of least worth first, then
    /// the idlest. Returns their number.
    fn make_room(&mut self, keep: &[u8; KEY]) -> u64 {
        let mut evicted: u64 = 0;
        while self.bytes.len() > MAX_BYTES {
            let least = places(&self.bytes)
                .map(|place| (place, StoredRecord(place.of(&self.bytes))))
                .filter(|(_, stored)| stored.key() != keep && stored.key() != OVERFLOW)
                .min_by_key(|(_, stored)| stored.worth())
                .map(|(place, _)| place);
            let Some(place) = least else { break };
            remove(&mut self.bytes, place.at, place.len);
            evicted = evicted.saturating_add(1);
        }
        evicted
    }

    /// Checks the invariants that every change keeps.
    pub fn is_valid(&self) -> bool {
        let mut record = Record::default();
        is_page(&self.bytes)
            && self
                .records()
                .all(|stored| record.load(stored.body()) && record.is_valid())
    }
}

fn places(bytes: &[u8]) -> impl Iterator<Item = Place> {
    let mut at = EMPTY.len();
    std::iter::from_fn(move || {
        let place = Place::read(bytes, at)?;
        at = place.end();
        Some(place)
    })
}

/// True when the records fill the bytes.
fn is_page(bytes: &[u8]) -> bool {
    let end = places(bytes)
        .last()
        .map_or(EMPTY.len(), |place| place.end());
    LAYOUT.body(bytes).is_some() && end == bytes.len()
}

/// Returns the number of records of a stored page.
pub fn count(bytes: &[u8]) -> usize {
    match is_page(bytes) {
        true => places(bytes).count(),
        false => 0,
    }
}
