//! Ids of accounts beside the ledger's pages, so that usage can be listed by name (key
//! `{namespace}/n{pages}.{n}`, both in hex, for the page of the same numbers).
//!
//! Records have no ids: a key of 16 bytes is enough to count. The names of a page are bounded, and those
//! without a record go first.

use super::page::{KEY, Page, PageState};
use super::{AccountKey, Ledger, page_name, push_hex};
use crate::host::Host;
use crate::order::in_order;
use crate::shared::cell::{decode, encode};
use crate::shared::{Change, Layout, StoreError, Target, update};
use serde::{Deserialize, Serialize};

const LAYOUT: Layout = Layout {
    name: "the names of a page",
    version: 1,
    kind: b'N',
};
/// The maximum size of a page's names, in bytes.
const MOST_BYTES: usize = 32_768;
/// The longest id that is kept, in bytes.
const ID_BYTES: usize = 128;
/// The tries to write; another VM's write succeeds at each lost one.
const TRIES: u32 = 20;

/// The name of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedAccount {
    key: [u8; KEY],
    /// The account's id.
    pub id: Vec<u8>,
    /// The name of the tier in which it was admitted first.
    pub tier: String,
}

impl NamedAccount {
    /// Names an account; `None` for an id that is too long to keep.
    pub fn new(key: AccountKey, id: &[u8], tier: &str) -> Option<Self> {
        (id.len() <= ID_BYTES).then(|| Self {
            key: key.0,
            id: id.to_vec(),
            tier: tier.to_owned(),
        })
    }

    /// Returns the account's key.
    pub const fn key(&self) -> AccountKey {
        AccountKey(self.key)
    }

    fn size(&self) -> usize {
        self.id
            .len()
            .saturating_add(self.tier.len())
            .saturating_add(KEY + 4)
    }
}

impl Ledger {
    /// Returns the number of pages in use, and the page of an account.
    pub fn place(&self, key: AccountKey) -> (u32, u32) {
        (self.pages(), key.page(self.pages()))
    }

    /// Returns the keys of the accounts with a record on a page, in order; `None` past the last page.
    ///
    /// # Errors
    /// [`StoreError`] when the page can't be read.
    pub fn accounts_on(
        &self,
        host: &dyn Host,
        number: u32,
    ) -> Result<Option<Vec<AccountKey>>, StoreError> {
        self.accounts_where(host, number, |_| true)
    }

    /// Returns the keys of the accounts on a page whose record, as bytes, `is` one; in order, and
    /// `None` past the last page.
    ///
    /// # Errors
    /// [`StoreError`] when the page can't be read.
    pub fn accounts_where(
        &self,
        host: &dyn Host,
        number: u32,
        is: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<AccountKey>>, StoreError> {
        let pages = self.pages();
        if number >= pages {
            return Ok(None);
        }
        let name = page_name(&self.prefix, pages, number);
        let failed = |error| StoreError::Host(super::page::LAYOUT.name, error);
        let bytes = host.get(&name).map_err(failed)?.map(|stored| stored.value);
        let bytes = bytes.unwrap_or_default();
        super::page::LAYOUT.check(&bytes)?;
        let mut page = Page::open(bytes);
        if page.state() == PageState::Unfilled {
            page = self.take_over(host, pages, number)?;
        }
        let records = page.records().filter(|record| is(record.body()));
        let keys = records.map(|record| record.key().try_into());
        let mut keys: Vec<_> = keys.flatten().map(AccountKey).collect();
        keys.retain(|key| key.0 != super::page::OVERFLOW);
        Ok(Some(in_order(keys, |key| *key)))
    }

    /// Returns the names of a page.
    ///
    /// # Errors
    /// [`StoreError`] when they can't be read.
    pub fn names_on(&self, host: &dyn Host, number: u32) -> Result<Vec<NamedAccount>, StoreError> {
        let name = self.names_key(number);
        let failed = |error| StoreError::Host(LAYOUT.name, error);
        let stored = host.get(&name).map_err(failed)?;
        let bytes = stored.map(|stored| stored.value).unwrap_or_default();
        LAYOUT.check(&bytes)?;
        Ok(decode(LAYOUT, &bytes).unwrap_or_default())
    }

    /// Adds names to those of a page. Returns false when the value was created, which another VM may
    /// have done at the same time: the names have to be noted again.
    ///
    /// # Errors
    /// [`StoreError`] when they can't be written.
    pub fn note_names(
        &self,
        host: &dyn Host,
        number: u32,
        names: &[NamedAccount],
    ) -> Result<bool, StoreError> {
        let changed = self.change_names(host, number, |all| {
            all.retain(|one| !names.iter().any(|name| name.key == one.key));
            all.extend(names.iter().cloned());
            let size = |all: &[NamedAccount]| {
                all.iter()
                    .map(NamedAccount::size)
                    .fold(0, usize::saturating_add)
            };
            if size(all) > MOST_BYTES {
                let live = self.accounts_on(host, number)?.unwrap_or_default();
                all.retain(|one| live.contains(&one.key()));
            }
            while size(all) > MOST_BYTES {
                all.pop();
            }
            Ok(())
        })?;
        Ok(!changed)
    }

    /// Forgets the name of an account.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be written.
    pub fn forget_name(&self, host: &dyn Host, key: AccountKey) -> Result<(), StoreError> {
        let (_, number) = self.place(key);
        if self
            .names_on(host, number)?
            .iter()
            .any(|one| one.key() == key)
        {
            self.change_names(host, number, |all| {
                all.retain(|one| one.key() != key);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Changes the names of a page; true when there were none before.
    fn change_names(
        &self,
        host: &dyn Host,
        number: u32,
        mut change: impl FnMut(&mut Vec<NamedAccount>) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let key = self.names_key(number);
        let target = Target {
            key: &key,
            layout: LAYOUT,
            tries: TRIES,
        };
        let changed = update(host, &target, |bytes| {
            let created = bytes.is_none();
            let before: Vec<NamedAccount> =
                decode(LAYOUT, &bytes.unwrap_or_default()).unwrap_or_default();
            let mut all = before.clone();
            change(&mut all)?;
            Ok::<_, StoreError>(match all == before {
                true => Change::Keep(created),
                false => Change::Write(encode(LAYOUT, &all), created),
            })
        })?;
        Ok(changed.result)
    }

    fn names_key(&self, number: u32) -> String {
        let mut name = format!("{}/n", self.prefix);
        push_hex(&mut name, self.pages());
        name.push('.');
        push_hex(&mut name, number);
        name
    }
}
