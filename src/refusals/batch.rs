//! The refusals of one VM since its last write to the log: gathered without host calls, in bounded
//! memory.

use crate::host::Host;
use crate::identity::Account;
use crate::refusals::{Batch, Id, Reason, Refusals};
use crate::reply::Code;
use crate::shared::StoreError;
use crate::tiers::table::NO_TIER;
use crate::tiers::{TierId, TierTable};
use crate::time::{Mono, Span};
use std::collections::BTreeMap;

/// The maximum number of entries by account, tier and code; the totals also count the rest.
const MOST_ACCOUNTS: usize = 64;
/// The minimum time between two writes.
const MIN_WRITE_INTERVAL: Span = Span::from_secs(1);
/// The time within which all workers have written what they knew: the interval, and two ticks.
const ALL_WRITTEN: Span = Span::from_secs(2);
/// The maximum number of accounts that are to be forgotten once more.
const MOST_FORGOTTEN: usize = 256;

/// One kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The tier, if known.
    pub tier: Option<TierId>,
    /// The code of the reply.
    pub code: Code,
    /// True when a config in shadow mode let it through.
    pub shadowed: bool,
}

/// Refusals that are not in the log yet.
#[derive(Debug, Default)]
pub struct RefusalBatch {
    totals: BTreeMap<Refused, u64>,
    accounts: BTreeMap<(Refused, Option<Id>), u64>,
    /// The time of the last attempt to write.
    written: Option<Mono>,
    /// Accounts that were forgotten, and when: other workers may still have refusals of them.
    forgotten: Vec<(Id, Mono)>,
}

impl RefusalBatch {
    /// Counts one more refusal.
    pub fn note(&mut self, account: Option<&Account>, key: Refused) {
        add_one(self.totals.entry(key).or_default());
        let has_room = self.accounts.len() < MOST_ACCOUNTS;
        let by_account = (key, account.map(|account| Id::of(&account.id)));
        match self.accounts.get_mut(&by_account) {
            Some(n) => add_one(n),
            None if has_room => _ = self.accounts.insert(by_account, 1),
            None => {}
        }
    }

    /// Drops the refusals of an account at `now`, but not from the totals; true when there were some.
    pub fn forget(&mut self, account: &[u8], now: Mono) -> bool {
        let id = Id::of(account);
        if self.forgotten.len() < MOST_FORGOTTEN {
            self.forgotten.push((id.clone(), now));
        }
        let before = self.accounts.len();
        self.accounts.retain(|(_, of), _| of.as_ref() != Some(&id));
        self.accounts.len() != before
    }

    /// Drops from the log what other workers have written of forgotten accounts since.
    ///
    /// # Errors
    /// [`StoreError`] when the write failed; it is tried again.
    pub fn forget_late(&mut self, host: &dyn Host, refusals: &Refusals) -> Result<(), StoreError> {
        if self.forgotten.is_empty() {
            return Ok(());
        }
        let now = host.mono();
        // They are in the order of time.
        let is_due = |(_, at): &(Id, Mono)| now.since(*at) >= ALL_WRITTEN;
        let due = self.forgotten.partition_point(is_due);
        if due == 0 {
            return Ok(());
        }
        refusals.change(host, |log, _| {
            for (id, _) in self.forgotten.iter().take(due) {
                log.forget(id);
            }
        })?;
        self.forgotten.drain(..due);
        Ok(())
    }

    /// Writes the refusals to the log, unless there are none or the last attempt was too recent.
    ///
    /// # Errors
    /// [`StoreError`] when the write failed; the refusals are kept for the next one.
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

    /// Writes the refusals to the log at once, unless there are none.
    ///
    /// # Errors
    /// [`StoreError`] when the write failed.
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
        let reason = |refused: &Refused| {
            let tier = refused.tier.and_then(|tier| tiers.get(tier));
            Reason {
                tier: tier.map_or(NO_TIER, |t| t.name.as_str()).to_owned(),
                code: match refused.code.model() {
                    Some(model) => format!("{model}/{}", refused.code.as_str()),
                    None => refused.code.as_str().to_owned(),
                },
                overloaded: refused.code.is_overloaded(),
                shadowed: refused.shadowed,
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
