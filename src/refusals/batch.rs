//! What one VM has refused since it last wrote that down: gathered without a call of the host, and
//! bounded whatever clients send.

use crate::host::Host;
use crate::identity::Account;
use crate::refusals::{Batch, Id, Reason, Refusals};
use crate::shared::StoreError;
use crate::tiers::table::NO_TIER;
use crate::tiers::{TierId, TierTable};
use crate::time::{Mono, Span};
use std::collections::BTreeMap;

/// Accounts that are told apart between two writes, by tier and code; the rest is only in the totals.
const MOST_ACCOUNTS: usize = 64;
/// The least time between two writes.
const MIN_WRITE_INTERVAL: Span = Span::from_secs(1);

/// The tier's place, the code, whether it is because of load, and whether it was let through.
type Key = (Option<TierId>, &'static str, bool, bool);

/// Refusals that are not written down yet.
#[derive(Debug, Default)]
pub struct RefusalBatch {
    totals: BTreeMap<Key, u64>,
    accounts: BTreeMap<(Key, Option<Id>), u64>,
    /// When they were last written down, or that was last tried.
    written: Option<Mono>,
}

impl RefusalBatch {
    /// Counts one more refusal of that `error.code`.
    ///
    /// `overloaded`: over a lowered limit, and under the base limit. `shadowed`: let through by a
    /// config in shadow mode.
    pub fn note(
        &mut self,
        shadowed: bool,
        account: Option<&Account>,
        tier: Option<TierId>,
        code: &'static str,
        overloaded: bool,
    ) {
        let key = (tier, code, overloaded, shadowed);
        add_one(self.totals.entry(key).or_default());
        let has_room = self.accounts.len() < MOST_ACCOUNTS;
        let by_account = (key, account.map(|account| Id::of(&account.id)));
        match self.accounts.get_mut(&by_account) {
            Some(n) => add_one(n),
            None if has_room => _ = self.accounts.insert(by_account, 1),
            None => {}
        }
    }

    /// Writes them down, unless there are none or the last time was just now.
    ///
    /// # Errors
    /// [`StoreError`] when that failed; they are kept for the next time.
    pub fn write_down(
        &mut self,
        host: &dyn Host,
        refusals: &Refusals,
        tiers: &TierTable,
    ) -> Result<(), StoreError> {
        if self.totals.is_empty() {
            return Ok(());
        }
        let now = host.mono();
        if self
            .written
            .is_some_and(|last| now.since(last) < MIN_WRITE_INTERVAL)
        {
            return Ok(());
        }
        self.written = Some(now);
        self.write_now(host, refusals, tiers)
    }

    /// Writes them down, unless there are none: there is no next time.
    ///
    /// # Errors
    /// [`StoreError`] when that failed.
    pub fn write_now(
        &mut self,
        host: &dyn Host,
        refusals: &Refusals,
        tiers: &TierTable,
    ) -> Result<(), StoreError> {
        if self.totals.is_empty() {
            return Ok(());
        }
        let batch = self.batch(tiers);
        refusals.change(host, |log, now| log.add(&batch, now))?;
        self.totals.clear();
        self.accounts.clear();
        Ok(())
    }

    fn batch(&self, tiers: &TierTable) -> Batch {
        let reason = |(tier, code, overloaded, shadowed): &Key| {
            let tier = tier.and_then(|place| tiers.get(place));
            Reason {
                tier: tier.map_or(NO_TIER, |t| t.name.as_str()).to_owned(),
                code: (*code).to_owned(),
                overloaded: *overloaded,
                shadowed: *shadowed,
            }
        };
        let totals = self.totals.iter();
        let accounts = self.accounts.iter();
        Batch {
            totals: totals.map(|(key, n)| (reason(key), *n)).collect(),
            accounts: accounts
                .map(|((key, account), n)| (account.clone(), reason(key), *n))
                .collect(),
        }
    }
}

fn add_one(n: &mut u64) {
    *n = n.saturating_add(1);
}
