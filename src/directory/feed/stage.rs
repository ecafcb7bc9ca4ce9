//! The part of an import that writes: it stages the accounts of the feed on the directory's pages, and
//! settles them once the import is in force or has failed.

use crate::directory::Directory;
use crate::directory::entry::{AccountEntry, TierBasis};
use crate::directory::feed::FeedError;
use crate::directory::feed::page::Known;
use crate::directory::head::DirectoryHead;
use crate::directory::page::DirectoryPage;
use crate::directory::stored_entry::{EntryId, Staged, StoredEntry};
use crate::host::Host;
use crate::ledger::AccountKey;
use crate::shared::StoreError;
use crate::tiers::recharge::VoucherRule;
use crate::time::Mono;

/// The import that stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generation {
    /// Its number.
    pub number: u32,
    /// The generation in force meanwhile.
    pub in_force: u32,
    /// The time at which the import began: what an admin wrote since then stays.
    pub begun: Mono,
    /// The rule of the voucher.
    pub voucher: Option<VoucherRule>,
    /// True when each named account is marked, so that the others can be removed.
    pub marks: bool,
}

/// An account of the feed.
#[derive(Clone, Debug)]
pub(super) struct FeedItem {
    pub key: AccountKey,
    pub id: String,
    /// The feed's data; `None` for a removed account.
    pub known: Option<Known>,
}

/// The result for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staging {
    Written,
    Removed,
    Unchanged,
    /// The page has no room, or the entry is too large.
    Refused,
    /// The import has staged the account before.
    Twice,
}

impl Directory {
    /// Begins the generation of an import: its number, and the head as it was.
    pub(super) fn begin_generation(
        &self,
        host: &dyn Host,
    ) -> Result<(u32, DirectoryHead), StoreError> {
        let (after, before) = self.change_head(host, |head| {
            let before = *head;
            head.last = head.last.saturating_add(1);
            head.unsettled = true;
            before
        })?;
        Ok((after.last, before))
    }

    /// Brings an import into force.
    ///
    /// # Errors
    /// [`FeedError::LostLeadership`] when another import has begun since.
    pub(super) fn commit(&self, host: &dyn Host, generation: u32) -> Result<(), FeedError> {
        let (_, is_last) = self.change_head(host, |head| {
            let is_last = head.last == generation;
            if is_last {
                head.in_force = generation;
                head.ready = true;
            }
            is_last
        })?;
        is_last.then_some(()).ok_or(FeedError::LostLeadership)
    }

    /// Notes that no staged entry is left on any page.
    pub(super) fn note_settled(&self, host: &dyn Host, generation: u32) -> Result<(), FeedError> {
        self.change_head(host, |head| {
            if head.last == generation {
                head.unsettled = false;
            }
        })?;
        Ok(())
    }

    /// Stages the accounts of one page, with one read and at most one write.
    pub(super) fn stage(
        &self,
        host: &dyn Host,
        page: u32,
        items: &[FeedItem],
        generation: &Generation,
    ) -> Result<Vec<Staging>, FeedError> {
        let results: Result<Vec<Staging>, FeedError> = self.edit(host, page, |page| {
            let now = host.mono();
            let mut results = Vec::with_capacity(items.len());
            for item in items {
                let found = page.get(item.key.bytes());
                let before =
                    found.unwrap_or_else(|| StoredEntry::new(EntryId::of(item.id.as_bytes())));
                let (place, result) = generation.stage(before, item.known.as_ref());
                let put = place.map_or(Ok(()), |place| page.put(item.key.bytes(), &place, now));
                if put.is_err() && item.known.is_some() {
                    generation.mark(page, &item.key, now);
                }
                results.push(if put.is_ok() {
                    result
                } else {
                    Staging::Refused
                });
            }
            self.check_last(host, page, generation)?;
            Ok(results)
        });
        let results = results?;
        let refused = results.iter().filter(|one| **one == Staging::Refused);
        let refused = u64::try_from(refused.count()).unwrap_or(u64::MAX);
        self.note(|health| health.full = health.full.saturating_add(refused));
        Ok(results)
    }

    /// Checks that no other import has begun, before a changed page is written. The head is read after
    /// the page, so a page that another import has changed since is not written either.
    fn check_last(
        &self,
        host: &dyn Host,
        page: &DirectoryPage,
        generation: &Generation,
    ) -> Result<(), FeedError> {
        match !page.is_changed() || self.head(host)?.last == generation.number {
            true => Ok(()),
            false => Err(FeedError::LostLeadership),
        }
    }

    /// Settles one page: takes over what the generation in force staged, and drops what others did. With
    /// `forgets`, it removes what the import did not name, and returns how many that were.
    pub(super) fn settle_page(
        &self,
        host: &dyn Host,
        page: u32,
        generation: &Generation,
        in_force: u32,
        forgets: bool,
    ) -> Result<u64, FeedError> {
        self.edit(host, page, |page| {
            let now = host.mono();
            let mut removed = 0_u64;
            for key in page.keys() {
                let Some(mut place) = page.get(&key) else {
                    continue;
                };
                let mut changed = place.settle(in_force);
                if forgets && generation.forgets(&mut place) {
                    removed = removed.saturating_add(1);
                    changed = true;
                }
                if changed || place.is_void(now) {
                    // An entry that was staged takes less room once it is settled.
                    let _ = page.put(&key, &place, now);
                }
            }
            self.check_last(host, page, generation)?;
            Ok(removed)
        })
    }
}

impl Generation {
    /// Returns the place with the feed's data staged; `None` where nothing is to be written.
    fn stage(&self, before: StoredEntry, known: Option<&Known>) -> (Option<StoredEntry>, Staging) {
        let ours = before.staged.as_ref();
        if ours.is_some_and(|staged| staged.generation == self.number) {
            return (None, Staging::Twice);
        }
        let mut place = before;
        let marked = self.marks && place.seen != self.number && known.is_some();
        if marked {
            place.seen = self.number;
        }
        let is_later = self.is_after_begin(place.written);
        let current = place.current(self.in_force);
        let wanted = match known {
            Some(known) => Some(over(known, current, self.voucher.as_ref())),
            None => current.and_then(without_feed),
        };
        if is_later || wanted.as_ref() == current {
            return (marked.then_some(place), Staging::Unchanged);
        }
        let result = match known {
            Some(_) => Staging::Written,
            None => Staging::Removed,
        };
        place.staged = Some(Staged {
            generation: self.number,
            entry: wanted,
        });
        (Some(place), result)
    }

    /// Marks an account that has no room for what the feed says: its entry in force stays.
    fn mark(&self, page: &mut DirectoryPage, key: &AccountKey, now: Mono) {
        if !self.marks {
            return;
        }
        if let Some(mut place) = page.get(key.bytes()) {
            place.settle(self.in_force);
            place.seen = self.number;
            // An entry without room for the mark has no room at all.
            let _ = page.put(key.bytes(), &place, now);
        }
    }

    /// True when the admin API wrote after the import began.
    fn is_after_begin(&self, written: Option<Mono>) -> bool {
        written.is_some_and(|written| written >= self.begun)
    }

    /// Removes an entry that the import did not name; true when it did.
    fn forgets(&self, place: &mut StoredEntry) -> bool {
        if place.seen == self.number || self.is_after_begin(place.written) {
            return false;
        }
        let left = place.entry.as_ref().and_then(without_feed);
        let removed = place.entry.is_some() && left != place.entry;
        place.entry = left;
        removed
    }
}

/// Returns an account's entry with the feed's data. What the admin API decided stays, and so do the
/// vouchers and the remembered events, so that no voucher is due twice.
fn over(
    known: &Known,
    current: Option<&AccountEntry>,
    voucher: Option<&VoucherRule>,
) -> AccountEntry {
    let mut history = current.and_then(|entry| entry.history.clone());
    let (mut tier, mut alias_of) = (None, None);
    match &known.basis {
        TierBasis::Tier(name) => tier = Some(name.to_string()),
        TierBasis::Alias(target) => alias_of = Some(target.as_bytes().to_vec()),
        TierBasis::Recharge(paid) => {
            history.get_or_insert_default().set(*paid, voucher);
        }
    }
    AccountEntry {
        history,
        tier,
        alias_of,
        since: known.since,
        by_feed: true,
        feed: known.terms.as_deref().cloned().unwrap_or_default(),
        admin: current.map_or_else(Default::default, |entry| entry.admin.clone()),
    }
}

/// Returns what is left of an entry that the feed removes: the terms of the admin API.
fn without_feed(current: &AccountEntry) -> Option<AccountEntry> {
    let admin = &current.admin;
    (!admin.is_empty()).then(|| AccountEntry {
        admin: admin.clone(),
        ..AccountEntry::default()
    })
}
