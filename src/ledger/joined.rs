//! Changes that join a write of their page: the page is read and written once for all of them.

use super::AccountKey;
use super::change::{Loaded, RecordKey, Which, load, store};
use super::page::Page;
use crate::host::Host;
use crate::limits::lease::Liveness;
use crate::limits::record::Record;
use crate::time::Now;

/// Changes of accounts' own records on one page, in the order of the accounts.
///
/// Like an update, a change runs again each time another writer was faster.
pub trait JoinedChanges {
    /// Returns the account of the change at `place`, from 0; `None` past the last.
    fn account(&self, place: usize) -> Option<AccountKey>;

    /// True when the change at `place` needs the wall clock.
    fn needs_wall_clock(&self, place: usize) -> bool;

    /// Makes the change at `place`.
    fn apply(&self, place: usize, record: &mut Record, now: Now);
}

/// The VMs that live, and the changes that join a write.
pub type Around<'a> = (&'a dyn Liveness, &'a dyn JoinedChanges);

/// No changes.
impl JoinedChanges for () {
    fn account(&self, _place: usize) -> Option<AccountKey> {
        None
    }

    fn needs_wall_clock(&self, _place: usize) -> bool {
        false
    }

    fn apply(&self, _place: usize, _record: &mut Record, _now: Now) {}
}

/// Makes the changes of `account` in its loaded record.
pub(super) fn apply_own(
    joined: &dyn JoinedChanges,
    account: AccountKey,
    host: &dyn Host,
    record: &mut Record,
    now: &mut Now,
) {
    for place in places(joined).filter(|place| joined.account(*place) == Some(account)) {
        if now.wall.is_none() && joined.needs_wall_clock(place) {
            now.wall = Some(host.wall());
        }
        joined.apply(place, record, *now);
    }
}

/// Makes the changes of all accounts but `done` in the page; returns the number of records that were
/// given up for it, and of leases of lost VMs that were dropped.
///
/// An account whose record has gone meanwhile has nothing left to change.
pub(super) fn apply_others(
    joined: &dyn JoinedChanges,
    done: Option<AccountKey>,
    page: &mut Page,
    host: &dyn Host,
    (now, liveness): (Now, &dyn Liveness),
    record: &mut Record,
) -> (u64, u64) {
    let (mut evicted, mut stale): (u64, u64) = (0, 0);
    let mut before = done;
    for account in places(joined).filter_map(|place| joined.account(place)) {
        if before.replace(account) == Some(account)
            || done == Some(account)
            || page.find(account.bytes()).is_none()
        {
            continue;
        }
        let key = RecordKey {
            account,
            which: Which::Own,
        };
        // Only a new account is refused for the page's size.
        let loaded: Loaded = load(page, (key, 0), host, now, liveness, record);
        let mut now = now;
        if now.wall.is_none() && record.has_period() {
            now.wall = Some(host.wall());
        }
        apply_own(joined, account, host, record, &mut now);
        evicted = evicted.saturating_add(store(page, &loaded, record, now));
        stale = stale.saturating_add(loaded.stale);
    }
    (evicted, stale)
}

/// Returns the places of the changes.
fn places(joined: &dyn JoinedChanges) -> impl Iterator<Item = usize> {
    (0..).take_while(|place| joined.account(*place).is_some())
}
