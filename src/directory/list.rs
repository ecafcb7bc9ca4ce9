//! The entries page by page, in the order of pages and keys: an order that entries which come and go do
//! not change.

use super::Directory;
use super::page::DirectoryPage;
use crate::directory::entry::AccountEntry;
use crate::directory::stored_entry::EntryId;
use crate::host::Host;
use crate::shared::{PageCursor, StoreError};

/// The maximum number of pages that one call reads.
const MOST_READ: u32 = 256;

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
            cursor = cursor.next_page();
        }
        let next = (cursor.page < self.pages).then_some(cursor);
        Ok(ListPage { entries, next })
    }
}
