//! The names of admitted accounts, written on ticks beside the ledger's pages (`usage_names`).

use super::Limiter;
use crate::host::Host;
use crate::ledger::{AccountKey, Ledger, NamedAccount};
use crate::shared::StoreError;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of accounts that a VM knows as noted, or holds until the next tick.
const MOST_KNOWN: usize = 16_384;
/// The maximum number of pages whose names one tick writes.
const AT_A_TICK: usize = 64;

/// The names that one limiter has seen.
#[derive(Debug, Default)]
pub(super) struct NamesSeen {
    /// The number of pages for which the names are known.
    pages: u32,
    known: BTreeSet<AccountKey>,
    waiting: BTreeMap<(u32, AccountKey), NamedAccount>,
}

impl NamesSeen {
    /// Notes an admitted account.
    pub fn note(&mut self, ledger: &Ledger, key: AccountKey, id: &[u8], tier: &str) {
        let (pages, page) = ledger.place(key);
        if pages != self.pages {
            *self = Self {
                pages,
                ..Self::default()
            };
        }
        if self.known.contains(&key) || self.waiting.len() >= MOST_KNOWN {
            return;
        }
        let name = NamedAccount::new(key, id, tier);
        self.waiting.extend(name.map(|name| ((page, key), name)));
    }

    /// Forgets that an account is noted.
    pub fn forget(&mut self, key: AccountKey) {
        self.known.remove(&key);
        self.waiting.retain(|(_, waiting), _| *waiting != key);
    }

    /// Writes the waiting names of some pages.
    fn write(&mut self, host: &dyn Host, ledger: &Ledger) -> Result<(), StoreError> {
        for _ in 0..AT_A_TICK {
            let Some(((page, _), _)) = self.waiting.first_key_value() else {
                break;
            };
            let page = *page;
            let of_page = self.waiting.iter().take_while(|((at, _), _)| *at == page);
            let names: Vec<NamedAccount> = of_page.map(|(_, name)| name.clone()).collect();
            let is_noted = ledger.note_names(host, page, &names)?;
            self.waiting.retain(|(at, _), _| *at != page);
            if self.known.len() >= MOST_KNOWN {
                self.known.clear();
            }
            if is_noted {
                self.known.extend(names.iter().map(NamedAccount::key));
            }
        }
        Ok(())
    }
}

impl Limiter {
    /// Notes the name of an admitted account, where the config asks for that.
    pub(super) fn note_name(&mut self, key: AccountKey, id: &[u8], tier: &str) {
        if self.config.usage_names {
            self.names.note(&self.ledger, key, id, tier);
        }
    }

    pub(super) fn write_names(&mut self, host: &dyn Host) {
        let written = self.names.write(host, &self.ledger);
        self.keep_fault(written);
    }

    /// Forgets the name of an account.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn forget_name(&mut self, host: &dyn Host, key: AccountKey) -> Result<(), StoreError> {
        self.names.forget(key);
        self.ledger.forget_name(host, key)
    }
}
