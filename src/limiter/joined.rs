//! Settlements that wait for a write of their page, so that it is read and written once for both.
//!
//! Only those wait that give back, of accounts whose limits were half free at admission. So a late one
//! makes other workers see too much usage, never too little: until the next write of the page in this
//! VM, or until the next tick. This VM settles in what it reads, so its own
//! decisions are exact. What waits is lost with the VM alone; its leases lapse with the slot then.

use super::pending::Settlement;
use super::{Admission, Limiter};
use crate::host::Host;
use crate::ledger::{AccountKey, Around, Fault, JoinedChanges, RecordChange, RecordKey};
use crate::limits::Terms;
use crate::limits::record::Record;
use crate::time::Now;
use std::collections::BTreeMap;

/// The maximum number of waiting settlements in one VM; a further one does not wait.
const MOST_JOINED: usize = 1024;

/// The waiting settlements of one VM, by page.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The number of pages of the ledger by which they are sorted.
    pages: u32,
    /// Those of a page are in the order of their accounts, and of each account in that of arrival.
    by_page: BTreeMap<u32, Vec<Settlement>>,
    length: usize,
}

impl Joined {
    /// True when none waits.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// True when there is no room for a further one.
    pub const fn is_full(&self) -> bool {
        self.length >= MOST_JOINED
    }

    /// Adds a settlement, in a ledger of `pages`.
    pub fn add(&mut self, settlement: Settlement, pages: u32) {
        self.sort_by(pages);
        let account = settlement.key.account;
        let own = self.by_page.entry(account.page(pages)).or_default();
        let place = own.partition_point(|one| one.key.account <= account);
        own.insert(place, settlement);
        self.length = self.length.saturating_add(1);
    }

    /// Takes the settlements of the page of `account`, in a ledger of `pages`.
    pub fn take_near(&mut self, account: AccountKey, pages: u32) -> Vec<Settlement> {
        if self.is_empty() {
            return Vec::new();
        }
        self.sort_by(pages);
        let near = self.by_page.remove(&account.page(pages));
        let near = near.unwrap_or_default();
        self.length = self.length.saturating_sub(near.len());
        near
    }

    /// Returns one of them.
    pub fn first(&self) -> Option<&Settlement> {
        self.by_page.values().next()?.first()
    }

    /// Sorts all anew after the ledger has grown.
    fn sort_by(&mut self, pages: u32) {
        if std::mem::replace(&mut self.pages, pages) == pages {
            return;
        }
        let all = std::mem::take(&mut self.by_page);
        self.length = 0;
        for settlement in all.into_values().flatten() {
            self.add(settlement, pages);
        }
    }
}

/// Settlements of one page, as the ledger takes them.
struct OfPage<'a>(&'a [Settlement]);

impl JoinedChanges for OfPage<'_> {
    fn account(&self, place: usize) -> Option<AccountKey> {
        Some(self.0.get(place)?.key.account)
    }

    fn needs_wall_clock(&self, place: usize) -> bool {
        let settlement = self.0.get(place);
        settlement.is_some_and(|one| one.terms().plan.needs_wall_clock())
    }

    fn apply(&self, place: usize, record: &mut Record, now: Now) {
        if let Some(settlement) = self.0.get(place) {
            // Without a fleet, nobody waits.
            let _is_urgent = settlement.apply(record, now);
        }
    }
}

impl Limiter {
    /// True when a settlement may wait for the next write of its page.
    pub(super) fn joins(&self, admission: &Admission, settlement: &Settlement) -> bool {
        admission.joins
            && settlement.gives_back_alone()
            && !self.closed
            && !self.vm.borrow().joined.is_full()
    }

    /// True when settlements wait: a tick is due in 100 ms.
    pub fn has_joined(&self) -> bool {
        !self.vm.borrow().joined.is_empty()
    }

    /// Changes a record, and settles what waits for a write of its page.
    ///
    /// # Errors
    /// [`Fault`] when the page can't be used; what waits goes on waiting.
    pub(super) fn change<T>(
        &self,
        host: &dyn Host,
        key: RecordKey,
        terms: &Terms<'_>,
        update: impl FnMut(&mut Record, Now) -> RecordChange<T>,
    ) -> Result<T, Fault> {
        let pages = self.ledger.pages();
        let waiting = self.vm.borrow_mut().joined.take_near(key.account, pages);
        let vm = self.vm.borrow();
        let joined = OfPage(&waiting);
        let around: Around<'_> = (vm.table(), &joined);
        let changed = self.ledger.change_joined(host, key, terms, around, update);
        drop(vm);
        if !matches!(changed, Ok((_, true))) {
            let joined = &mut self.vm.borrow_mut().joined;
            for settlement in waiting {
                joined.add(settlement, self.ledger.pages());
            }
        }
        changed.map(|(result, _)| result)
    }

    /// Writes the settlements that wait, each page once; those of other configs in this VM too.
    ///
    /// Settlements that the ledger does not take are tried again by the next usual tick.
    pub fn write_joined(&mut self, host: &dyn Host) {
        while let Some(next) = self.next_joined() {
            let write = |_: &mut Record, _| RecordChange::Write(());
            let Err(fault) = self.change(host, next.key, &next.terms(), write) else {
                continue;
            };
            self.note_fault(fault);
            let vm = &mut *self.vm.borrow_mut();
            let failed = vm.joined.take_near(next.key.account, self.ledger.pages());
            for settlement in failed {
                vm.pending.add(settlement);
            }
        }
    }

    fn next_joined(&self) -> Option<Settlement> {
        self.vm.borrow().joined.first().cloned()
    }
}
