//! The messages to the fleet that are due, and the last answers: shared by all limiters of a VM.

use super::calls::Addressed;
use super::shared_dirty::{DirtyAccounts, MOST_DIRTY};
use crate::fleet::Fleet;
use crate::fleet::batch::MOST_ACCOUNTS;
use crate::fleet::edge::Edge;
use crate::fleet::take::longest_wait;
use crate::ledger::AccountKey;
use crate::shared::cell::SharedCell;
use crate::time::{Mono, Span};
use std::collections::BTreeSet;

/// The first pause between two looks of a waiting request, and the longest, in milliseconds: an
/// answer that this VM gets wakes it at once, so looks are for those of other VMs.
const LOOKS: (u64, u64) = (5, 25);
/// The time between two calls of an edge that has nothing to say.
const BEAT: Span = Span::from_millis(900);

/// A VM's messages to the fleet that are due, and the last answers.
#[derive(Debug, Default)]
pub struct Desk {
    /// The edge; `None` in a VM without a fleet.
    pub edge: Option<Edge>,
    /// Asks of requests that wait.
    pub asks: Vec<Addressed>,
    /// Accounts that others wait to hear of.
    pub urgent: BTreeSet<AccountKey>,
    /// Accounts that there may be something to say of.
    pub dirty: BTreeSet<AccountKey>,
    /// Those of all VMs.
    pub shared: Option<SharedCell<DirtyAccounts>>,
    /// The next page of the walk that finds accounts which no VM knows of any more.
    pub next_page: u32,
    /// The losses of the store after which all was told again, and the pages that are left to tell of.
    pub restated: (u32, u32),
    /// Accounts that an answer came for since the last look at the waiting requests.
    pub answered: BTreeSet<AccountKey>,
    /// The time of the last reports.
    pub reported: Mono,
    /// The time of the last call that said nothing but that the edge is there.
    pub beat: Mono,
    /// Changes with each incarnation that this VM begins.
    pub random: u16,
    /// The counts since the last flush.
    pub counts: FleetCounts,
}

/// Events in a VM's part of the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetCounts {
    /// Requests that waited for an answer.
    pub asks: u64,
    /// Answers that granted something or said what is left.
    pub grants: u64,
    /// Calls without an answer, and answers about an account that are not valid.
    pub failures: u64,
}

/// A request that waits for the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetWait {
    /// The time since which it waits; `None` for one that does not.
    since: Option<Mono>,
    pub look_at: Mono,
    pause_ms: u64,
    /// True for a request that can't wait any more.
    pub over: bool,
}

impl FleetWait {
    /// True for a request that waits for the fleet.
    pub const fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Returns the time for which a request has waited at `now`; the longest there is for one that
    /// can't wait.
    pub fn waited(&self, fleet: &Fleet, now: Mono) -> Span {
        match (self.over, self.since) {
            (true, _) => longest_wait(fleet),
            (false, since) => since.map_or(Span::ZERO, |since| now.since(since)),
        }
    }

    /// Goes on to wait at `now`.
    pub fn hold(&mut self, now: Mono) {
        let (first, longest) = LOOKS;
        self.since.get_or_insert(now);
        self.look_at = now.after(Span::from_millis(self.pause_ms.max(first)));
        self.pause_ms = self.pause_ms.saturating_mul(2).clamp(first, longest);
    }
}

impl Desk {
    pub fn note(&mut self, key: AccountKey) {
        if self.dirty.len() < MOST_DIRTY {
            self.dirty.insert(key);
        }
    }

    /// True once in a while for a call that says nothing but that the edge is there: in the VM that
    /// speaks for it.
    pub fn beats(&mut self, now: Mono) -> bool {
        let edge = self.edge.as_ref();
        let is_due = edge.is_some_and(|edge| edge.speaks() && edge.is_silent(now))
            && now.since(self.beat) >= BEAT;
        if is_due {
            self.beat = now;
        }
        is_due
    }

    /// Takes the number of overwritten corrupt values since the last call.
    pub fn take_corrupt(&self) -> u64 {
        let edge = self.edge.as_ref().map_or(0, Edge::take_corrupt);
        let shared = self.shared.as_ref().map_or(0, SharedCell::take_corrupt);
        edge.saturating_add(shared)
    }

    pub fn take_asks(&mut self) -> Vec<Addressed> {
        let rest = self.asks.split_off(self.asks.len().min(MOST_ACCOUNTS));
        std::mem::replace(&mut self.asks, rest)
    }
}
