//! The totals of the events: the history of each account, and the ids of its events.
//!
//! The rules are the filter's own ([`History`]). The filter remembers the last 64 events of an
//! account. An export is complete, so all ids are kept here, as hashes of 16 bytes.

use crate::event::{BadLine, ExportedEvent};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash as _, RandomState};
use tiergate::tiers::Cents;
use tiergate::tiers::money::SignedCents;
use tiergate::tiers::recharge::{History, RechargeEvent, RechargeKind, VoucherRule};

/// A hash of an account and one of its event ids.
type EventHash = (u64, u64);

pub struct Totals {
    accounts: HashMap<Box<str>, History>,
    seen: HashSet<EventHash>,
    /// A new key for each run, so that no id can be chosen to collide with another.
    hasher: SipHasher13,
    rule: Option<VoucherRule>,
    events: u64,
}

/// The counts of a run.
pub struct FoldCounts {
    pub events: u64,
    pub duplicates: u64,
    pub accounts: usize,
    pub vouchers_due: usize,
}

impl Totals {
    pub fn new(rule: Option<VoucherRule>) -> Self {
        let random = RandomState::new();
        Self {
            accounts: HashMap::new(),
            seen: HashSet::new(),
            hasher: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)),
            rule,
            events: 0,
        }
    }

    /// Adds an event; a repeated event of an account changes nothing.
    pub fn take(&mut self, written: &ExportedEvent<'_>) -> Result<(), BadLine> {
        let hash = self.hash(written);
        if !self.seen.contains(&hash) {
            self.take_new(written, hash)?;
            self.seen.insert(hash);
        }
        self.events = self.events.saturating_add(1);
        Ok(())
    }

    fn take_new(&mut self, written: &ExportedEvent<'_>, hash: EventHash) -> Result<(), BadLine> {
        let event = RechargeEvent {
            id: hash.0,
            kind: written.kind,
            amount: written.amount,
        };
        let rule = self.rule.as_ref();
        if let Some(history) = self.accounts.get_mut(&*written.account) {
            return add(history, &event, rule);
        }
        let mut history = History::default();
        add(&mut history, &event, rule)?;
        self.accounts.insert((&*written.account).into(), history);
        Ok(())
    }

    fn hash(&self, written: &ExportedEvent<'_>) -> EventHash {
        let mut hasher = self.hasher;
        // The `Hash` of str ends with a byte that UTF-8 lacks, so "a" "bc" differs from "ab" "c".
        written.account.hash(&mut hasher);
        written.id.hash(&mut hasher);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }

    pub fn counts(&self) -> FoldCounts {
        let seen = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        let due = self.accounts.values().filter(|h| h.voucher_by.is_some());
        FoldCounts {
            events: self.events,
            duplicates: self.events.saturating_sub(seen),
            accounts: self.accounts.len(),
            vouchers_due: due.count(),
        }
    }

    /// Returns each account with its cumulative recharge, in the byte order of the ids.
    pub fn sorted(&self) -> Vec<(&str, Cents)> {
        let mut all: Vec<_> = self
            .accounts
            .iter()
            .map(|(account, history)| (&**account, history.cash.at_least_nothing()))
            .collect();
        all.sort_unstable();
        all
    }
}

/// Adds an event. A total above the maximum amount would make the filter reject the feed.
fn add(
    history: &mut History,
    event: &RechargeEvent,
    rule: Option<&VoucherRule>,
) -> Result<(), BadLine> {
    let total = history.cash.get().saturating_add(event.amount.get());
    if event.kind == RechargeKind::Cash && SignedCents::new(total) > Cents::MAX.into() {
        return Err(BadLine::TooMuch);
    }
    history.add(event, rule);
    Ok(())
}
