//! The account directory in shared data: pages like the ledger's, but without eviction. A write to
//! a full page is refused and counted, and no stored entry is lost.
//!
//! Accounts hash to pages as in the ledger, with the ledger's secret. Pages have the keys
//! `{namespace}/e{n}`.

pub mod bytes;
pub mod entry;
pub mod feed;
pub mod head;
mod list;
mod page;
pub mod stored_entry;
pub mod written;

pub use list::{ListPage, Listed};

use crate::directory::entry::AccountEntry;
use crate::directory::head::DirectoryHead;
use crate::directory::stored_entry::{EntryId, StoredEntry};
use crate::host::{Host, HostError};
use crate::ledger::{AccountKey, OpenError};
use crate::shared::cell::SharedCell;
use crate::shared::{Change, Changed, Fill, StoreError, Target, update};
use page::{DirectoryPage, NoRoom};
use std::cell::Cell;

/// The number of accounts of a directory where no config says one.
const USUAL_ACCOUNTS: u32 = 65_536;
/// The average number of entries on a page of a full directory.
const ENTRIES_PER_PAGE: u32 = 8;
/// Tries to write a page before the directory counts as unusable.
const TRIES: u32 = 100;

/// The reason why an entry was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The account's page is full.
    #[error("the directory has no room for this account: raise capacity.directory, and restart")]
    Full,
    /// The entry is too large.
    #[error(
        "the entry is larger than {} bytes: give the account fewer limits of its own",
        page::ENTRY_BYTES
    )]
    TooLarge,
    /// Shared data can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoRoom> for WriteError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Page => Self::Full,
            NoRoom::Entry => Self::TooLarge,
        }
    }
}

/// Observations of the directory since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryHealth {
    /// Writes that were refused because a page was full.
    pub full: u64,
    /// Stored values that could not be read.
    pub corrupt: u64,
}

/// The directory of one namespace.
#[derive(Debug)]
pub struct Directory {
    prefix: String,
    head: SharedCell<DirectoryHead>,
    pages: u32,
    health: Cell<DirectoryHealth>,
}

impl Directory {
    /// Opens the directory, and creates it on the first start. No other VM may run at that time,
    /// as for the ledger. A directory of another size keeps its size.
    ///
    /// # Errors
    /// [`OpenError`] when shared data can't be used.
    pub fn open(
        host: &dyn Host,
        namespace: &str,
        accounts: Option<u32>,
    ) -> Result<Self, OpenError> {
        let head = SharedCell::of(namespace);
        head.create(host)?;
        let (stored, _): (DirectoryHead, _) = head.read(host)?;
        let pages = match stored.pages {
            0 => pages_for(accounts.unwrap_or(USUAL_ACCOUNTS)),
            pages => pages,
        };
        let directory = Self {
            prefix: namespace.to_owned(),
            head,
            pages,
            health: Cell::default(),
        };
        if stored.pages == 0 {
            for page in 0..pages {
                let name = directory.page_name(page);
                if host.get(&name)?.is_none() {
                    host.set(&name, &page::LAYOUT.prefix(), None)?;
                }
            }
            directory.head.change(host, |head, _| head.pages = pages)?;
        }
        Ok(directory)
    }

    /// Returns the number of pages.
    pub const fn pages(&self) -> u32 {
        self.pages
    }

    /// Returns the number of accounts for which the directory is laid out.
    pub const fn accounts(&self) -> u32 {
        self.pages.saturating_mul(ENTRIES_PER_PAGE)
    }

    /// True when the directory has the size that a config asks for, if it asks for one.
    pub fn has_size_for(&self, accounts: Option<u32>) -> bool {
        accounts.is_none_or(|accounts| self.pages == pages_for(accounts))
    }

    /// Returns the head.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn head(&self, host: &dyn Host) -> Result<DirectoryHead, StoreError> {
        self.head.read(host).map(|(head, _)| head)
    }

    /// True once the directory is complete: an operator said so, or a complete feed was imported.
    ///
    /// # Errors
    /// [`StoreError`] when the head can't be read.
    pub fn is_ready(&self, host: &dyn Host) -> Result<bool, StoreError> {
        self.head(host).map(|head| head.ready)
    }

    /// Marks the directory as complete.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be written.
    pub fn set_ready(&self, host: &dyn Host) -> Result<(), StoreError> {
        self.change_head(host, |head| head.ready = true)?;
        Ok(())
    }

    /// Changes the head. One that was lost or damaged gets the directory's size again.
    fn change_head<T>(
        &self,
        host: &dyn Host,
        mut f: impl FnMut(&mut DirectoryHead) -> T,
    ) -> Result<(DirectoryHead, T), StoreError> {
        self.head.change(host, |head, _| {
            if head.pages == 0 {
                head.pages = self.pages;
            }
            f(head)
        })
    }

    /// Finds the entry of an account.
    ///
    /// # Errors
    /// [`StoreError`] when the page or the head can't be read.
    pub fn find(
        &self,
        host: &dyn Host,
        key: AccountKey,
    ) -> Result<Option<AccountEntry>, StoreError> {
        let found = self.find_with_id(host, key)?;
        Ok(found.map(|(_, entry)| entry))
    }

    /// Finds the entry of an account, and its id.
    ///
    /// # Errors
    /// [`StoreError`] when the page or the head can't be read.
    pub fn find_with_id(
        &self,
        host: &dyn Host,
        key: AccountKey,
    ) -> Result<Option<(EntryId, AccountEntry)>, StoreError> {
        let Some(bytes) = self.page_bytes(host, self.page_of(&key))? else {
            return Ok(None);
        };
        let found = page::find(&bytes, key.bytes()).unwrap_or_else(|()| {
            self.note(|h| h.corrupt = h.corrupt.saturating_add(1));
            None
        });
        let Some(place) = found else {
            return Ok(None);
        };
        let in_force = self.generation_for(host, &place)?;
        let entry = place.current(in_force).cloned();
        Ok(entry.map(|entry| (place.id, entry)))
    }

    /// Returns the generation in force if a place needs it: reads the head only then.
    fn generation_for(&self, host: &dyn Host, place: &StoredEntry) -> Result<u32, StoreError> {
        match place.staged {
            None => Ok(0),
            Some(_) => self.head(host).map(|head| head.in_force),
        }
    }

    /// Runs `f` on an account's entry and stores the returned entry; `None` removes the entry. What
    /// an import has staged for the account is dropped: the later write wins.
    ///
    /// `f` runs again each time another writer was faster.
    ///
    /// # Errors
    /// [`WriteError`] when the page is full, or shared data can't be used.
    pub fn change<T>(
        &self,
        host: &dyn Host,
        (key, id): (AccountKey, &[u8]),
        mut f: impl FnMut(Option<AccountEntry>) -> (Option<AccountEntry>, T),
    ) -> Result<T, WriteError> {
        let changed = self.edit(host, self.page_of(&key), |page| {
            let found = page.get(key.bytes());
            let mut place = found.unwrap_or_else(|| StoredEntry::new(EntryId::of(id)));
            place.settle(self.generation_for(host, &place)?);
            let (entry, result) = f(place.entry.take());
            let now = host.mono();
            place.entry = entry;
            place.written = Some(now);
            page.put(key.bytes(), &place, now)?;
            Ok(result)
        });
        if matches!(changed, Err(WriteError::Full)) {
            self.note(|h| h.full = h.full.saturating_add(1));
        }
        changed
    }

    /// Runs `f` on a page and stores a changed one; nothing is stored where `f` fails.
    fn edit<T, E: From<StoreError>>(
        &self,
        host: &dyn Host,
        page: u32,
        mut f: impl FnMut(&mut DirectoryPage) -> Result<T, E>,
    ) -> Result<T, E> {
        let name = self.page_name(page);
        let target = Target {
            key: &name,
            layout: page::LAYOUT,
            tries: TRIES,
        };
        let changed: Changed<T> = update(host, &target, |bytes| {
            let mut page = DirectoryPage::read(&bytes.unwrap_or_default());
            let result = f(&mut page)?;
            let corrupt = page.corrupt();
            self.note(|h| h.corrupt = h.corrupt.saturating_add(corrupt));
            Ok::<_, E>(match page.changed_bytes() {
                Some(bytes) => Change::Write(bytes, result),
                None => Change::Keep(result),
            })
        })?;
        Ok(changed.result)
    }

    /// Returns the page of an account.
    fn page_of(&self, key: &AccountKey) -> u32 {
        key.page(self.pages)
    }

    /// Reads a page; `None` for one that the host lost.
    fn page_bytes(&self, host: &dyn Host, page: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = |error| StoreError::Host(page::LAYOUT.name, error);
        let stored = host.get(&self.page_name(page)).map_err(failed)?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        page::LAYOUT.check(&stored.value)?;
        Ok(Some(stored.value))
    }

    /// Measures the fill of the pages on a sample of the first pages.
    ///
    /// # Errors
    /// The host's status when it can't read.
    pub fn fill(&self, host: &dyn Host) -> Result<Fill, HostError> {
        let in_force = self.head(host).map_or(0, |head| head.in_force);
        let count = |bytes: &[u8]| {
            let mut page = DirectoryPage::read(bytes);
            let keys = page.keys().into_iter();
            let places = keys.filter_map(|key| page.get(&key));
            places
                .filter(|place| place.current(in_force).is_some())
                .count()
        };
        Fill::of(host, self.pages, |page| self.page_name(page), count)
    }

    /// Takes the observations since the last call.
    pub fn take_health(&self) -> DirectoryHealth {
        let mut health = self.health.take();
        health.corrupt = health.corrupt.saturating_add(self.head.take_corrupt());
        health
    }

    fn note(&self, change: impl FnOnce(&mut DirectoryHealth)) {
        let mut health = self.health.get();
        change(&mut health);
        self.health.set(health);
    }

    fn page_name(&self, page: u32) -> String {
        format!("{}/e{page:x}", self.prefix)
    }
}

const fn pages_for(accounts: u32) -> u32 {
    accounts.div_ceil(ENTRIES_PER_PAGE)
}

/// Returns the maximum size of a directory's pages, in bytes.
pub fn memory_bound(pages: u32) -> u64 {
    let page = u64::try_from(page::PAGE_BYTES).unwrap_or(u64::MAX);
    u64::from(pages).saturating_mul(page)
}
