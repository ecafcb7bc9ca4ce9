//! The entries page by page, in the order of pages and keys: an order that entries which come and go do
//! not change.

use super::Directory;
use super::page::{DirectoryPage, Key};
use crate::directory::entry::AccountEntry;
use crate::directory::stored_entry::EntryId;
use crate::host::Host;
use crate::shared::StoreError;

/// The maximum number of pages that one call reads.
const MOST_READ: u32 = 256;

/// A place in the order of all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCursor {
    page: u32,
    /// The last key that was listed; `None` before the first of the page.
    behind: Option<Key>,
}

impl PageCursor {
    /// Reads a cursor as [`PageCursor::text`] writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (page, key) = text.split_once('-').unwrap_or((text, ""));
        let page = u32::from_str_radix(page, 16).ok()?;
        let behind = match key {
            "" => None,
            key => Some(u128::from_str_radix(key, 16).ok()?.to_be_bytes()),
        };
        Some(Self { page, behind })
    }

    /// Writes the cursor.
    pub fn text(&self) -> String {
        let page = self.page;
        match self.behind {
            None => format!("{page:x}"),
            Some(key) => format!("{page:x}-{:x}", u128::from_be_bytes(key)),
        }
    }
}

/// One listed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The account's id.
    pub id: EntryId,
    /// The entry.
    pub entry: AccountEntry,
}

/// Some entries, and the place from which to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The entries.
    pub entries: Vec<Listed>,
    /// The place behind them; `None` at the end.
    pub next: Option<PageCursor>,
}

impl Directory {
    /// Lists at most `limit` entries from a place on, from at most 256 pages. So a list can be short,
    /// or empty, and still go on.
    ///
    /// # Errors
    /// [`StoreError`] when a page can't be read.
    pub fn list(
        &self,
        host: &dyn Host,
        from: PageCursor,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let in_force = self.head(host)?.in_force;
        let mut entries = Vec::new();
        let mut cursor = from;
        for _ in 0..MOST_READ {
            if cursor.page >= self.pages {
                return Ok(ListPage {
                    entries,
                    next: None,
                });
            }
            let bytes = self.page_bytes(host, cursor.page)?.unwrap_or_default();
            let mut page = DirectoryPage::read(&bytes);
            let behind = cursor.behind;
            let keys = page.keys().into_iter();
            for key in keys.filter(|key| behind.is_none_or(|behind| *key > behind)) {
                if entries.len() >= limit {
                    let next = Some(cursor);
                    return Ok(ListPage { entries, next });
                }
                cursor.behind = Some(key);
                let Some(place) = page.get(&key) else {
                    continue;
                };
                let entry = place.current(in_force).cloned();
                entries.extend(entry.map(|entry| Listed {
                    id: place.id,
                    entry,
                }));
            }
            cursor = PageCursor {
                page: cursor.page.saturating_add(1),
                behind: None,
            };
        }
        let next = (cursor.page < self.pages).then_some(cursor);
        Ok(ListPage { entries, next })
    }
}
