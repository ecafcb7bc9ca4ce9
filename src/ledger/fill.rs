//! The fill of the fullest page: a gauge that warns before new accounts share a record (key
//! `{namespace}/ledger-fill`).
//!
//! All VMs walk the pages together, a few at each tick, so they all report the same number. A fill
//! rises only by a change of a record. The VM of that change stores the higher number with its next
//! tick; only a fall waits for the walk.

use super::page::{self, Page};
use super::{Ledger, page_name};
use crate::host::Host;
use crate::limits::lease::Liveness;
use crate::shared::cell::{Content, SharedCell};
use crate::shared::{Layout, StoreError};
use crate::time::Mono;
use serde::{Deserialize, Serialize};
use std::cell::Cell;

/// The maximum number of pages that one tick reads.
const AT_A_TICK: u32 = 4;
/// The fill of a page that takes no new account, in percent.
const FULL: u8 = 100;
/// No account's key.
const NOBODY: [u8; page::KEY] = [0; page::KEY];

/// A walk over all pages, which the VMs do together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageWalk {
    /// The number of pages of the walk.
    pub pages: u32,
    /// The page to read next.
    pub next: u32,
    /// The largest fill of this walk until now, in percent.
    pub fullest: u8,
    /// The largest fill of the walk before, in percent.
    pub before: u8,
}

impl Content for PageWalk {
    const LAYOUT: Layout = Layout {
        name: "the fill of the ledger",
        version: 1,
        kind: b'W',
    };
    const KEY: &'static str = "ledger-fill";

    fn is_valid(&self) -> bool {
        self.next <= self.pages && self.fullest.max(self.before) <= FULL
    }
}

impl PageWalk {
    /// Returns the fill of the fullest page, in percent.
    const fn percent(&self) -> u8 {
        if self.fullest > self.before {
            self.fullest
        } else {
            self.before
        }
    }

    fn raise(&mut self, fill: u8) {
        self.fullest = self.fullest.max(fill);
    }

    /// Begins the next walk, over `pages`.
    fn restart(&mut self, pages: u32) {
        // A walk that was cut short says nothing of the pages that it did not reach.
        let whole = self.next >= self.pages;
        *self = Self {
            pages,
            next: 0,
            fullest: 0,
            before: if whole { self.fullest } else { self.percent() },
        };
    }
}

/// One VM's part in the walk.
#[derive(Debug)]
pub(super) struct FillGauge {
    stored: SharedCell<PageWalk>,
    /// The largest fill that own changes left since the last tick, in percent.
    raised: Cell<u8>,
    /// The number that all VMs report, as last read, in percent.
    known: Cell<u8>,
}

impl FillGauge {
    pub fn of(namespace: &str) -> Self {
        Self {
            stored: SharedCell::of(namespace),
            raised: Cell::default(),
            known: Cell::default(),
        }
    }

    pub const fn stored(&self) -> &SharedCell<PageWalk> {
        &self.stored
    }

    /// Notes the fill of a page that this VM wrote.
    pub fn raise(&self, fill: u8) {
        self.raised.set(self.raised.get().max(fill));
    }

    pub fn percent(&self) -> u8 {
        self.known.get().max(self.raised.get())
    }
}

/// Returns the fill of a page, in percent of [`page::newcomers`]: 100 when the next new account
/// shares the overflow record.
pub(super) fn percent(page: &Page, awake: usize) -> u8 {
    let hundredfold = page.awake_size(awake).saturating_mul(100);
    let percent = hundredfold.checked_div(page::newcomers(awake)).unwrap_or(0);
    u8::try_from(percent).unwrap_or(FULL).min(FULL)
}

impl Ledger {
    /// Does one step of the walk over the pages: reads at most four of them.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used; the step is done again with the next tick.
    pub fn walk(&self, host: &dyn Host, liveness: &dyn Liveness) -> Result<(), StoreError> {
        let raised = self.fill_gauge.raised.get();
        let mut read = None;
        let (walk, failed) = self.fill_gauge.stored.change(host, |walk, now| {
            walk.raise(raised);
            let failed = match walk.pages > self.pages() {
                true => self.refresh_sizes(host).err(),
                false => None,
            };
            if walk.pages != self.pages() {
                walk.restart(self.pages());
            }
            // Where another VM was faster, it has done this step.
            let (from, fullest) = *read.get_or_insert_with(|| {
                let measured = self.measure(host, walk.next, now, liveness);
                (walk.next, measured)
            });
            if from == walk.next {
                let fullest = match fullest {
                    Ok(fullest) => fullest,
                    Err(error) => return Some(error),
                };
                walk.raise(fullest);
                walk.next = from.saturating_add(AT_A_TICK).min(walk.pages);
            }
            if walk.next >= walk.pages {
                walk.restart(walk.pages);
            }
            failed
        })?;
        self.fill_gauge.raised.set(0);
        self.fill_gauge.known.set(walk.percent());
        failed.map_or(Ok(()), Err)
    }

    /// Returns the largest fill of the pages from `from`, as the next write to each leaves it.
    fn measure(
        &self,
        host: &dyn Host,
        from: u32,
        now: Mono,
        liveness: &dyn Liveness,
    ) -> Result<u8, StoreError> {
        let pages = self.pages();
        let mut wall = None;
        let mut fullest = 0;
        for number in from..from.saturating_add(AT_A_TICK).min(pages) {
            let stored = host.get(&page_name(&self.prefix, pages, number));
            let stored = stored.map_err(|error| StoreError::Host(page::LAYOUT.name, error))?;
            let bytes = stored.map(|stored| stored.value).unwrap_or_default();
            let mut page = Page::open(bytes);
            let mut wall = || *wall.get_or_insert_with(|| host.wall());
            page.clean(&NOBODY, now, &mut wall, liveness);
            fullest = fullest.max(percent(&page, self.awake));
        }
        Ok(fullest)
    }
}
