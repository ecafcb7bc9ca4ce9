//! One change of an account's record: the page is read, edited in place and written back.

use super::joined::{Around, JoinedChanges, apply_others, apply_own};
use super::page::{self, Head, OVERFLOW, Page, PageState, StoredRecord};
use super::{AccountKey, Fault, Ledger, fill, page_name};
use crate::host::Host;
use crate::limits::Terms;
use crate::limits::lease::Liveness;
use crate::limits::record::Record;
use crate::shared::{self, Changed, StoreError, Target};
use crate::time::Now;

/// Tries to write a page before the ledger counts as unusable.
const TRIES: u32 = 100;
/// The number of sizes of the ledger that one change looks at.
const LAPS: u32 = 16;

/// A record of an account's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// The account.
    pub account: AccountKey,
    /// The record.
    pub which: Which,
}

/// The choice among an account's own record and the overflow record of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The one that counts the next request.
    Counting,
    /// The account's own; an empty one if the account has none.
    Own,
    /// The overflow record.
    Overflow,
}

impl From<AccountKey> for RecordKey {
    fn from(account: AccountKey) -> Self {
        Self {
            account,
            which: Which::Counting,
        }
    }
}

/// The outcome of an update of a record.
#[derive(Debug)]
pub enum RecordChange<T> {
    /// Write the record back.
    Write(T),
    /// Keep the stored record, unless it is ahead of the clock.
    Keep(T),
}

/// An update of a record; true to write it back.
type Update<'a> = &'a mut dyn FnMut(&mut Record, Now) -> bool;

/// Observations of one write to a page.
#[derive(Clone, Copy, Debug, Default)]
struct Noticed {
    corrupt: bool,
    stale: u64,
    evicted: u64,
    overflow: bool,
    /// True when the page got its records of the size before.
    filled: bool,
    /// The page's fill, in percent.
    fill: u8,
}

/// A record that was read from its page.
pub(super) struct Loaded {
    key: [u8; page::KEY],
    /// True when the page had the record.
    is_found: bool,
    /// True when the account may have leases in the overflow record.
    shares: bool,
    /// True for a new account that the overflow record counts.
    is_newcomer: bool,
    /// Leases of lost VMs that were dropped.
    pub(super) stale: u64,
}

impl Ledger {
    /// Runs `update` on the account's record and stores a changed record.
    ///
    /// The clocks are read after the record, so a record is ahead only of a clock that stepped
    /// back. The wall clock, which is that of a fleet's store where there is one, is read only where the
    /// terms or the record need it. `update` runs again
    /// each time another writer was faster. A record ahead of the clock is always written back, so
    /// the rule moves the record to the clock only once.
    ///
    /// # Errors
    /// [`Fault`] when the page can't be used, or other writers were faster too often.
    pub fn change<T>(
        &self,
        host: &dyn Host,
        key: impl Into<RecordKey>,
        terms: &Terms<'_>,
        liveness: &dyn Liveness,
        update: impl FnMut(&mut Record, Now) -> RecordChange<T>,
    ) -> Result<T, Fault> {
        let key = key.into();
        self.change_joined(host, key, terms, (liveness, &()), update)
            .map(|(result, _)| result)
    }

    /// Runs `update` as [`Self::change`] does. Changes of other records of the page join the write, if
    /// there is one; those of this record are made before `update`. Returns true when all of them were
    /// stored, and else none was.
    ///
    /// # Errors
    /// The errors of [`Self::change`]; then nothing was stored.
    pub fn change_joined<T>(
        &self,
        host: &dyn Host,
        key: RecordKey,
        terms: &Terms<'_>,
        around: Around<'_>,
        mut update: impl FnMut(&mut Record, Now) -> RecordChange<T>,
    ) -> Result<(T, bool), Fault> {
        let mut result = None;
        let mut update = |record: &mut Record, now: Now| {
            let (last, writes) = match update(record, now) {
                RecordChange::Write(last) => (last, true),
                RecordChange::Keep(last) => (last, false),
            };
            result = Some(last);
            writes
        };
        let clock = self.clock(host);
        let joined = self.change_stored(&clock, key, terms, around, &mut update)?;
        // Nothing is stored without an update.
        let never_ran = StoreError::Contended(page::LAYOUT.name, 0);
        result
            .map(|result| (result, joined))
            .ok_or_else(|| never_ran.into())
    }

    /// Runs `update` on the record, which says whether to write it back. Once for all kinds of results,
    /// since the module would have it as often as there are.
    fn change_stored(
        &self,
        host: &dyn Host,
        key: RecordKey,
        terms: &Terms<'_>,
        (liveness, joined): Around<'_>,
        update: Update<'_>,
    ) -> Result<bool, Fault> {
        let mut record = self.scratch.take();
        let mut changed = Err(Moved::Sealed);
        let none: &dyn JoinedChanges = &();
        let (mut around, mut joins) = ((liveness, joined), true);
        // Each lap knows of one more growth.
        for _ in 0..LAPS {
            changed = self.change_page(host, key, terms, around, &mut record, update);
            if !matches!(changed, Err(Moved::Sealed)) {
                break;
            }
            // The records of a page go to several pages of the next size.
            (around, joins) = ((liveness, none), false);
            self.refresh_sizes(host)?;
        }
        let changed = changed.map_err(|moved| match moved {
            Moved::Sealed => StoreError::Contended(page::LAYOUT.name, LAPS),
            Moved::Store(error) => error,
        });
        self.scratch.replace(record);
        let changed = changed.inspect_err(|error| {
            if let StoreError::Contended(_, tries) = error {
                self.note(|h| h.cas_retries = h.cas_retries.saturating_add(u64::from(*tries)));
            }
        })?;
        let noticed = changed.result;
        if noticed.filled && changed.written {
            let pages = self.pages();
            // The change is stored: an old page that keeps its bytes is no fault of it.
            let _emptied = self.empty_old(host, pages, key.account.page(pages));
        }
        self.fill_gauge.raise(noticed.fill);
        self.note(|h| {
            let add = |n: &mut u64, more: u64| *n = n.saturating_add(more);
            add(&mut h.cas_retries, changed.retries.into());
            add(&mut h.corrupt, noticed.corrupt.into());
            add(&mut h.evicted, noticed.evicted);
            add(&mut h.overflow, noticed.overflow.into());
            add(&mut h.stale_leases, noticed.stale);
        });
        Ok(changed.written && joins)
    }

    /// Runs `update` on the account's record, on its page of the size in use.
    fn change_page(
        &self,
        host: &dyn Host,
        key: RecordKey,
        terms: &Terms<'_>,
        (liveness, joined): Around<'_>,
        record: &mut Record,
        update: Update<'_>,
    ) -> Result<Changed<Noticed>, Moved> {
        let pages = self.pages();
        let number = key.account.page(pages);
        let name = page_name(&self.prefix, pages, number);
        let target = Target {
            key: &name,
            layout: page::LAYOUT,
            tries: TRIES,
        };
        shared::update(host, &target, |bytes| {
            if bytes.is_none() {
                self.note(|h| h.lost_pages = h.lost_pages.saturating_add(1));
            }
            let mut page = Page::open(bytes.unwrap_or_default());
            let filled = match page.state() {
                PageState::Open => false,
                PageState::Sealed => return Err(Moved::Sealed),
                PageState::Unfilled => {
                    page = self.take_over(host, pages, number)?;
                    true
                }
            };
            let mut now = Now {
                mono: host.mono(),
                wall: None,
            };
            let loaded = load(&mut page, (key, self.awake), host, now, liveness, record);
            if terms.needs_wall_clock() || record.has_period() {
                now.wall = Some(host.wall());
            }
            let must_write = filled || record.newest() > now.mono;
            let is_own = loaded.is_found && loaded.key == *key.account.bytes();
            if is_own {
                apply_own(joined, key.account, host, record, &mut now);
            }
            if !update(record, now) && !must_write {
                return Ok(shared::Change::Keep(Noticed::default()));
            }
            let mut noticed = write(&mut page, &loaded, record, host, now, liveness);
            debug_assert!(record.is_valid(), "a record that was written");
            if joined.account(0).is_some() {
                let done = (key.which != Which::Overflow).then_some(key.account);
                let around = (now, liveness);
                let (evicted, stale) = apply_others(joined, done, &mut page, host, around, record);
                noticed.evicted = noticed.evicted.saturating_add(evicted);
                noticed.stale = noticed.stale.saturating_add(stale);
            }
            let fill = fill::percent(&page, self.awake);
            let noticed = Noticed {
                filled,
                fill,
                ..noticed
            };
            Ok(shared::Change::Write(page.into_bytes(), noticed))
        })
    }
}

/// The reason why a page could not be changed.
#[derive(Debug)]
enum Moved {
    /// The ledger has grown: the record is on a page of the next size.
    Sealed,
    /// The page can't be used.
    Store(StoreError),
}

impl From<StoreError> for Moved {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Reads the record that counts for `key`: the account's own; where the page has room, a new one;
/// else the overflow record.
///
/// While there is an overflow record, a new account may have used of it what the record has. So a
/// new record begins as a copy, and counts its leases too.
pub(super) fn load(
    page: &mut Page,
    (key, awake): (RecordKey, usize),
    host: &dyn Host,
    now: Now,
    liveness: &dyn Liveness,
    record: &mut Record,
) -> Loaded {
    let own = key.account.bytes();
    let mut loaded = Loaded {
        key: if key.which == Which::Overflow {
            OVERFLOW
        } else {
            *own
        },
        is_found: false,
        shares: false,
        is_newcomer: false,
        stale: 0,
    };
    let found = page.find(&loaded.key);
    let found = found.map(|stored| read(stored, &mut loaded, record));
    loaded.is_found = found.is_some();
    let is_counting = key.which == Which::Counting;
    if found.is_none() && is_counting {
        loaded.stale = page.clean(own, now.mono, &mut || host.wall(), liveness);
        if page.awake_size(awake) >= page::newcomers(awake) {
            loaded.key = OVERFLOW;
            loaded.is_newcomer = true;
        }
    }
    let is_record = found.unwrap_or_else(|| match page.find(&loaded.key) {
        Some(stored) => read(stored, &mut loaded, record),
        None => record.load(&[]),
    });
    page.corrupt |= !is_record;
    record.set_overflow(loaded.key == OVERFLOW);
    loaded.stale = loaded.stale.saturating_add(record.forget_stale(liveness));
    let is_new = found.is_none() && is_counting && loaded.key != OVERFLOW;
    if is_new || loaded.shares {
        loaded.shares = share(page, is_new, liveness, record);
    }
    if page.size() >= page::CROWDED {
        record.crowd();
    }
    if page.size() >= page::FULL {
        record.fill_up();
    }
    loaded
}

/// Reads a stored record; false, and an empty one, for corrupt bytes.
fn read(stored: StoredRecord<'_>, loaded: &mut Loaded, record: &mut Record) -> bool {
    loaded.shares = stored.shares();
    record.load(stored.body())
}

/// Counts the overflow record's leases in `record`; a new one begins as its copy. Returns true
/// while there are such leases.
fn share(page: &Page, is_new: bool, liveness: &dyn Liveness, record: &mut Record) -> bool {
    let Some(overflow) = page.find(&OVERFLOW) else {
        return false;
    };
    if is_new {
        let _ = record.load(overflow.body());
        record.drop_leases();
    }
    record.share_leases(overflow.body(), liveness) > 0
}

fn write(
    page: &mut Page,
    loaded: &Loaded,
    record: &Record,
    host: &dyn Host,
    now: Now,
    liveness: &dyn Liveness,
) -> Noticed {
    let stale = page.clean(&loaded.key, now.mono, &mut || host.wall(), liveness);
    Noticed {
        evicted: store(page, loaded, record, now),
        corrupt: page.corrupt,
        stale: stale.saturating_add(loaded.stale),
        overflow: loaded.is_newcomer,
        ..Noticed::default()
    }
}

/// Puts a record into its page; returns the number of records that were given up for it.
pub(super) fn store(page: &mut Page, loaded: &Loaded, record: &Record, now: Now) -> u64 {
    let mut expiry = record.expiry(now);
    if record.has_unknown() {
        // A section of newer code may live longer than what this code knows.
        let stored = page.find(&loaded.key).map(|stored| stored.expires_at());
        expiry.all = expiry.all.max(stored.unwrap_or_default());
    }
    let head = Head {
        now: now.mono,
        expiry,
        shares: loaded.shares,
    };
    page.put(&loaded.key, record, &head)
}
