//! What the events come to: the history of each account, and the ids that were seen.
//!
//! The rules are the filter's own ([`History`]). Where the filter remembers an account's last 64
//! events, an export is whole, so all of it are remembered here: a hash of 16 bytes for each.

use crate::event::{BadLine, ExportedEvent};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash as _, RandomState};
use tiergate::tiers::Cents;
use tiergate::tiers::money::SignedCents;
use tiergate::tiers::recharge::{History, RechargeEvent, RechargeKind, VoucherRule};

/// A hash of an account and the id of an event of it.
type EventHash = (u64, u64);

pub struct Totals {
    accounts: HashMap<Box<str>, History>,
    seen: HashSet<EventHash>,
    /// Made anew for each run, so that nobody can choose ids that are taken for one another.
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

    /// Takes an event; one that was seen before for that account changes nothing.
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
        // str's Hash ends each text with a byte that no UTF-8 has, so "a" "bc" is not "ab" "c".
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

    /// Each account and its cumulative recharge, in the order of the ids' bytes.
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

/// A total past what an amount can be would make the whole feed one that is refused.
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
