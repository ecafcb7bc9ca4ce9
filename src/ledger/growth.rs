//! Moves records from the pages of one size of the ledger to those of the next.

use super::page::{self, Head, OVERFLOW, Page, PageState};
use super::{Fault, Ledger, page_name, page_of};
use crate::host::{Host, SetError};
use crate::limits::record::{Expiry, Record};
use crate::shared::StoreError;
use crate::time::{Mono, Span};

/// Tries to seal a page: each lost one is a request of another VM that was counted there.
const TRIES: u32 = 100;

impl Ledger {
    /// Fills a new page with its records of the size before; the page is written by the caller.
    ///
    /// # Errors
    /// [`StoreError`] when a page of the size before can't be read or sealed.
    pub(super) fn take_over(
        &self,
        host: &dyn Host,
        pages: u32,
        number: u32,
    ) -> Result<Page, StoreError> {
        let mut page = Page::open(Vec::new());
        let Some(before) = self.sizes.borrow().before(pages) else {
            return Ok(page);
        };
        let old = self.seal(host, before, number.checked_rem(before).unwrap_or(0))?;
        page.corrupt = old.corrupt;
        let mut record = Record::default();
        for stored in old.records() {
            let Some(key) = stored.key().first_chunk() else {
                continue;
            };
            let is_shared = *key == OVERFLOW;
            if !(is_shared || page_of(key, pages) == number) || !record.load(stored.body()) {
                continue;
            }
            if is_shared {
                // Each new page has a copy: a lease would be given back in one of them alone.
                record.drop_leases();
            }
            let (_, touched) = stored.worth();
            let head = Head {
                now: Mono::from_millis(0).after(Span::from_secs(touched.into())),
                expiry: Expiry {
                    all: stored.expires_at(),
                    sliding: stored.sliding_until(),
                },
                shares: stored.shares(),
            };
            page.put(key, &record, &head);
        }
        Ok(page)
    }

    /// Returns a page that changes no more.
    fn seal(&self, host: &dyn Host, pages: u32, number: u32) -> Result<Page, StoreError> {
        let name = page_name(&self.prefix, pages, number);
        let failed = |error| StoreError::Host(page::LAYOUT.name, error);
        for _ in 0..TRIES {
            let stored = host.get(&name).map_err(failed)?;
            let cas = stored.as_ref().map(|stored| stored.cas);
            let bytes = stored.map(|stored| stored.value).unwrap_or_default();
            page::LAYOUT.check(&bytes)?;
            let mut page = Page::open(bytes);
            match page.state() {
                PageState::Sealed => return Ok(page),
                PageState::Open => {}
                PageState::Unfilled => page = self.take_over(host, pages, number)?,
            }
            page.set_state(PageState::Sealed);
            match host.set(&name, page.bytes(), cas) {
                Ok(()) => return Ok(page),
                Err(SetError::Conflict) => {}
                Err(SetError::Host(error)) => return Err(failed(error)),
            }
        }
        Err(StoreError::Contended(page::LAYOUT.name, TRIES))
    }

    /// Empties the old page of a new one once all new pages have their records.
    pub(super) fn empty_old(&self, host: &dyn Host, pages: u32, number: u32) -> Result<(), Fault> {
        let Some(before) = self.sizes.borrow().before(pages) else {
            return Ok(());
        };
        let old = number.checked_rem(before).unwrap_or(0);
        let mut sibling = old;
        while sibling < pages {
            let name = page_name(&self.prefix, pages, sibling);
            let stored = host.get(&name)?.map(|stored| stored.value);
            if Page::open(stored.unwrap_or_default()).state() == PageState::Unfilled {
                return Ok(());
            }
            sibling = sibling.saturating_add(before);
        }
        let name = page_name(&self.prefix, before, old);
        let cas = host.get(&name)?.map(|stored| stored.cas);
        let mut empty = Page::open(Vec::new());
        empty.set_state(PageState::Sealed);
        match host.set(&name, empty.bytes(), cas) {
            Ok(()) | Err(SetError::Conflict) => Ok(()),
            Err(SetError::Host(error)) => Err(error.into()),
        }
    }
}
