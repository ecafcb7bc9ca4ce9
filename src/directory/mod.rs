//! The account directory in shared data: pages like the ledger's, but without eviction. A write to
//! a full page is refused and counted, and no stored entry is lost.
//!
//! ```text
//! key {namespace}/dir     0  1  layout version
//!                         1  1  'M'
//!                         2  4  pages, little endian
//!                         6  1  1 once the directory is complete, 0 before
//! key {namespace}/d{n}    0  1  layout version
//!                         1  1  'D'
//!                         2  .. entries: key (16), length (2, little endian), body (bytes.rs)
//! ```
//! Accounts hash to pages as in the ledger, with the ledger's secret.

pub mod bytes;
pub mod entry;
pub mod feed;
mod own_limits;

use crate::directory::entry::AccountEntry;
use crate::host::{Host, HostError};
use crate::ledger::{AccountKey, OpenError};
use crate::shared::{Change, Fill, Layout, StoreError, Target, update};
use std::cell::Cell;

/// The average number of entries on a page of a full directory.
const ENTRIES_PER_PAGE: u32 = 8;
/// The maximum number of entries on a page: four times the average of a full directory.
const MAX_ENTRIES: usize = 32;
/// Tries to write a page before the directory counts as unusable.
const TRIES: u32 = 100;

const META: Layout = Layout {
    name: "the directory's head",
    version: 1,
    kind: b'M',
};
const PAGE: Layout = Layout {
    name: "a page of the directory",
    version: 1,
    kind: b'D',
};
const KEY: usize = 16;

/// The reason why an entry was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The account's page is full.
    #[error("the directory has no room for this account: raise capacity.directory, and restart")]
    Full,
    /// Shared data can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    pages: u32,
    health: Cell<DirectoryHealth>,
}

type RawEntry<'a> = (&'a [u8], &'a [u8]);

impl Directory {
    /// Opens the directory, and creates it on the first start. No other VM may run at that time,
    /// as for the ledger.
    ///
    /// # Errors
    /// [`OpenError`] when the stored size does not fit the config, or shared data can't be used.
    pub fn open(host: &dyn Host, namespace: &str, accounts: u32) -> Result<Self, OpenError> {
        let directory = Self {
            prefix: namespace.to_owned(),
            pages: accounts.div_ceil(ENTRIES_PER_PAGE),
            health: Cell::default(),
        };
        let stored = host.get(&directory.meta_name())?;
        if let Some(stored) = &stored {
            META.check(&stored.value)?;
        }
        let existing = stored.as_ref().and_then(|s| meta(&s.value));
        match existing {
            Some((existing, _)) if existing != directory.pages => Err(OpenError::Resized {
                existing,
                asked: directory.pages,
            }),
            Some(_) => Ok(directory),
            None => {
                for page in 0..directory.pages {
                    let name = directory.page_name(page);
                    if host.get(&name)?.is_none() {
                        host.set(&name, &PAGE.prefix(), None)?;
                    }
                }
                let cas = stored.map(|s| s.cas);
                host.set(&directory.meta_name(), &directory.meta(false), cas)?;
                Ok(directory)
            }
        }
    }

    /// True once the directory is complete: an entry was pushed, or a complete feed was imported.
    ///
    /// # Errors
    /// The host's status when it can't read.
    pub fn is_ready(&self, host: &dyn Host) -> Result<bool, HostError> {
        let stored = host.get(&self.meta_name())?;
        Ok(stored
            .and_then(|s| meta(&s.value))
            .is_some_and(|(_, ready)| ready))
    }

    /// Marks the directory as complete.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be written.
    pub fn set_ready(&self, host: &dyn Host) -> Result<(), StoreError> {
        let name = self.meta_name();
        let target = Target {
            key: &name,
            layout: META,
            tries: TRIES,
        };
        update(host, &target, |_| {
            Ok::<_, StoreError>(Change::Write(self.meta(true), ()))
        })?;
        Ok(())
    }

    /// Finds the entry of an account.
    ///
    /// # Errors
    /// [`StoreError`] when the page can't be read.
    pub fn find(
        &self,
        host: &dyn Host,
        key: AccountKey,
    ) -> Result<Option<AccountEntry>, StoreError> {
        let name = self.page_name(key.page(self.pages));
        let failed = |error| StoreError::Host(PAGE.name, error);
        let Some(stored) = host.get(&name).map_err(failed)? else {
            return Ok(None);
        };
        PAGE.check(&stored.value)?;
        let entries = self.entries(&stored.value);
        Ok(self.entry(&entries, key))
    }

    /// Runs `f` on an account's entry and stores the returned entry; `None` removes the entry.
    ///
    /// `f` runs again each time another writer was faster.
    ///
    /// # Errors
    /// [`WriteError`] when the page is full, or shared data can't be used.
    pub fn change<T>(
        &self,
        host: &dyn Host,
        key: AccountKey,
        mut f: impl FnMut(Option<AccountEntry>) -> (Option<AccountEntry>, T),
    ) -> Result<T, WriteError> {
        let name = self.page_name(key.page(self.pages));
        let target = Target {
            key: &name,
            layout: PAGE,
            tries: TRIES,
        };
        let changed = update(host, &target, |bytes| {
            let bytes = bytes.unwrap_or_default();
            let mut entries = self.entries(&bytes);
            let (changed, result) = f(self.entry(&entries, key));
            entries.retain(|(k, _)| *k != key.bytes());
            let body = changed.as_ref().map(bytes::encode);
            if let Some(body) = &body {
                if entries.len() >= MAX_ENTRIES {
                    self.note(|h| h.full = h.full.saturating_add(1));
                    return Err(WriteError::Full);
                }
                entries.push((key.bytes(), body));
            }
            Ok(Change::Write(write(&entries), result))
        })?;
        Ok(changed.result)
    }

    /// Measures the fill of the pages on a sample of the first pages.
    ///
    /// # Errors
    /// The host's status when it can't read.
    pub fn fill(&self, host: &dyn Host) -> Result<Fill, HostError> {
        let count = |bytes: &[u8]| self.entries(bytes).len();
        Fill::of(host, self.pages, |page| self.page_name(page), count)
    }

    /// Takes the observations since the last call.
    pub fn take_health(&self) -> DirectoryHealth {
        self.health.take()
    }

    fn note(&self, change: impl FnOnce(&mut DirectoryHealth)) {
        let mut health = self.health.get();
        change(&mut health);
        self.health.set(health);
    }

    /// Returns the entries of a page; bytes of another layout and corrupt bytes read as empty.
    fn entries<'a>(&self, bytes: &'a [u8]) -> Vec<RawEntry<'a>> {
        if bytes.is_empty() {
            return Vec::new();
        }
        let parsed = PAGE.body(bytes).and_then(parse);
        if parsed.is_none() {
            self.note(|h| h.corrupt = h.corrupt.saturating_add(1));
        }
        parsed.unwrap_or_default()
    }

    fn entry(&self, entries: &[RawEntry<'_>], key: AccountKey) -> Option<AccountEntry> {
        let (_, body) = entries.iter().find(|(k, _)| *k == key.bytes())?;
        let decoded = bytes::decode(body);
        if decoded.is_none() {
            self.note(|h| h.corrupt = h.corrupt.saturating_add(1));
        }
        decoded
    }

    fn meta_name(&self) -> String {
        format!("{}/dir", self.prefix)
    }

    fn page_name(&self, page: u32) -> String {
        format!("{}/d{page:x}", self.prefix)
    }

    fn meta(&self, ready: bool) -> Vec<u8> {
        let mut out = META.prefix().to_vec();
        out.extend_from_slice(&self.pages.to_le_bytes());
        out.push(u8::from(ready));
        out
    }
}

/// Reads the number of pages, and a flag that is true for a complete directory.
fn meta(bytes: &[u8]) -> Option<(u32, bool)> {
    let rest = META.body(bytes)?;
    let (pages, rest) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*pages), rest == [1]))
}

fn parse(mut rest: &[u8]) -> Option<Vec<RawEntry<'_>>> {
    let mut entries = Vec::with_capacity(MAX_ENTRIES);
    while !rest.is_empty() {
        let (key, after) = rest.split_at_checked(KEY)?;
        let (length, after) = after.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (body, after) = after.split_at_checked(length)?;
        entries.push((key, body));
        rest = after;
    }
    Some(entries)
}

fn write(entries: &[RawEntry<'_>]) -> Vec<u8> {
    let mut out = PAGE.prefix().to_vec();
    for (key, body) in entries {
        // No entry is that long: `MOST_BYTES` is under 1,400.
        let Ok(length) = u16::try_from(body.len()) else {
            continue;
        };
        out.extend_from_slice(key);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(body);
    }
    out
}

/// Returns the maximum size of a directory's pages, in bytes.
pub fn memory_bound(accounts: u32) -> u64 {
    let entry = KEY.saturating_add(2).saturating_add(bytes::MOST_BYTES);
    let page = entry
        .saturating_mul(MAX_ENTRIES)
        .saturating_add(PAGE.prefix().len());
    let pages = u64::from(accounts.div_ceil(ENTRIES_PER_PAGE));
    pages.saturating_mul(u64::try_from(page).unwrap_or(u64::MAX))
}
