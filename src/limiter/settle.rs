//! Settlement: returns the lease and replaces the reserve with the usage.

use super::pending::Settlement;
use super::reserve::Rates;
use super::{Admission, Limiter};
use crate::host::Host;
use crate::ledger::{Fault, FaultCause, RecordChange, RecordKey, Which};
use crate::limits::notice::ShareReport;
use crate::limits::{Amounts, Record};
use crate::metrics::TokenKind;
use crate::routes::TokenCharge;
use crate::time::Now;
use crate::tokens::Used;
use crate::tokens::config::{ReserveRule, Settle};
use crate::tokens::consumed::{Consumed, Streamed};
use crate::tokens::rates::TokenCounts;
use std::cell::Cell;

impl Limiter {
    /// Returns a request's lease and replaces its reserve with its usage.
    ///
    /// An [`Admission`] must be settled only once.
    pub fn settle(&mut self, host: &dyn Host, admission: Admission, consumed: impl Into<Consumed>) {
        self.ended(admission.tier);
        self.queue.wake(admission.key);
        let consumed = self.counted(&admission, consumed.into());
        let reserved = &admission.reservation.reserved;
        let counts = counts(&consumed, reserved);
        let used = self.amounts(&admission, &consumed, counts.as_ref());
        let kind = match (consumed.used, &counts) {
            (Used::Tokens(_), Some(counts)) => {
                self.counts.usage(admission.tier, admission.family, counts);
                TokenKind::Used
            }
            _ => TokenKind::Estimated,
        };
        self.counts.tokens(admission.tier, kind, used.tokens);
        let refund = reserved.tokens.saturating_sub(used.tokens);
        self.counts
            .tokens(admission.tier, TokenKind::Refunded, refund);
        let left = match consumed.used {
            Used::Unknown => used,
            _ => used.over(&admission.charged),
        };
        let mut settlement = Settlement::of(&admission, left);
        let is_said = matches!(consumed.used, Used::Tokens(_) | Used::Output(_));
        if self.config.tokens.reserve == ReserveRule::Adaptive && is_said {
            settlement.note_output(used.output_tokens);
        }
        if settlement.changes_nothing() {
            return;
        }
        if self.joins(&admission, &settlement) {
            let pages = self.ledger.pages();
            self.vm.borrow_mut().joined.add(settlement, pages);
            return;
        }
        if let Err(fault) = self.store(host, &settlement) {
            self.note_fault(fault);
            self.vm.borrow_mut().pending.add(settlement);
        }
    }

    /// Returns what counts of what a response used.
    pub(super) fn counted(&self, admission: &Admission, consumed: Consumed) -> Consumed {
        match self.config.tokens.settle {
            _ if admission.tokens != TokenCharge::Generated => Used::Tokens(0).into(),
            Settle::Usage => consumed,
            Settle::Reserve => Used::Unknown.into(),
        }
    }

    /// Charges the events of a stream beyond its reserved completion, while it runs: many long streams
    /// would pass a limit before the first of them ends.
    pub fn charge_stream(
        &mut self,
        host: &dyn Host,
        admission: &mut Admission,
        consumed: &Consumed,
    ) {
        let Used::Streamed(streamed) = consumed.used else {
            return;
        };
        let settles = self.config.tokens.settle == Settle::Usage
            && admission.tokens == TokenCharge::Generated;
        if !settles || admission.plan.is_unlimited() {
            return;
        }
        let reserved = &admission.reservation.reserved;
        // The prompt is known at the end. Till then, what was reserved for it stands.
        let said = streamed
            .prompt
            .map_or(0, |prompt| streamed.said.saturating_sub(prompt));
        let beyond = TokenCounts {
            output: streamed
                .events
                .max(said)
                .saturating_sub(reserved.output_tokens),
            ..TokenCounts::default()
        };
        let beyond = Amounts {
            requests: 0,
            ..Rates::of(&self.config, admission.family).amounts(&beyond)
        };
        let extra = beyond.over(&admission.charged);
        if extra.is_zero() {
            return;
        }
        let settlement = Settlement::of(admission, reserved.plus(&extra));
        // After a failure, the next charge or the settlement makes up for it.
        if self.charge_on(host, settlement.key, &settlement).is_ok() {
            admission.charged = admission.charged.plus(&extra);
            self.charge_own(host, &settlement);
        }
    }

    /// Returns what a response comes to in each unit; without counts, its reserve.
    fn amounts(
        &self,
        admission: &Admission,
        consumed: &Consumed,
        counts: Option<&TokenCounts>,
    ) -> Amounts {
        let reserved = &admission.reservation.reserved;
        let Some(counts) = counts else {
            return *reserved;
        };
        let amounts = Amounts {
            requests: reserved.requests,
            ..Rates::of(&self.config, admission.family).amounts(counts)
        };
        match consumed.used {
            Used::Streamed(streamed) if streamed.is_whole => amounts.at_least(reserved),
            _ => amounts,
        }
    }

    fn store(&self, host: &dyn Host, settlement: &Settlement) -> Result<(), Fault> {
        let is_urgent = Cell::new(false);
        self.edit(host, settlement.key, settlement, |record, now| {
            is_urgent.set(settlement.apply(record, now));
            true
        })?;
        self.note_end(settlement.key.account, is_urgent.get());
        self.charge_own(host, settlement);
        Ok(())
    }

    /// Charges what a request of an overflow record used beyond its reserve on its account's own record
    /// too. A failure is not returned: another try would settle the shared record twice.
    fn charge_own(&self, host: &dyn Host, settlement: &Settlement) {
        if settlement.is_beyond_a_shared_reserve() {
            let own = RecordKey {
                which: Which::Own,
                ..settlement.key
            };
            let _charged = self.charge_on(host, own, settlement);
        }
    }

    /// Charges what a request used beyond its reserve on its record, or on another one that is used.
    fn charge_on(
        &self,
        host: &dyn Host,
        key: RecordKey,
        settlement: &Settlement,
    ) -> Result<(), Fault> {
        self.edit(host, key, settlement, |record, now| {
            let charges = !record.is_empty() || key == settlement.key;
            if charges {
                settlement.charge(record, now);
            }
            charges
        })
    }

    /// Edits a record for a settlement, and tells of the shares that it crosses. `edit` returns true for
    /// a change.
    fn edit(
        &self,
        host: &dyn Host,
        key: RecordKey,
        settlement: &Settlement,
        edit: impl Fn(&mut Record, Now) -> bool,
    ) -> Result<(), Fault> {
        let (terms, to) = (settlement.terms(), settlement.addressee.as_ref());
        let report = self.change(host, key, &terms, |record, now| match edit(record, now) {
            true => RecordChange::Write(self.report(to, record, terms.plan, None, now)),
            false => RecordChange::Keep(ShareReport::default()),
        })?;
        self.tell(host, to, &report);
        Ok(())
    }

    /// Retries the settlements that the ledger could not store, also those of other configs in this
    /// VM.
    pub(super) fn settle_pending(&mut self, host: &dyn Host) {
        let pending = self.vm.borrow_mut().pending.take();
        let mut fails = false;
        for settlement in pending {
            if !fails {
                let Err(fault) = self.store(host, &settlement) else {
                    continue;
                };
                // A page of newer code says nothing of the others.
                fails = fault.cause() != FaultCause::NewerLayout;
                self.note_fault(fault);
            }
            self.vm.borrow_mut().pending.add(settlement);
        }
    }
}

/// Returns the tokens of a response by kind; `None` when they are unknown.
pub(super) fn counts(consumed: &Consumed, reserved: &Amounts) -> Option<TokenCounts> {
    match consumed.used {
        Used::Tokens(n) => Some(split(n, consumed.input, reserved)),
        Used::Output(output) => Some(TokenCounts {
            input: reserved.input_tokens,
            output,
            ..TokenCounts::default()
        }),
        Used::Unknown => None,
        Used::Streamed(streamed) => {
            let tokens = by_events(reserved, &streamed);
            Some(split(tokens, consumed.input, reserved))
        }
    }
}

/// Counts the tokens of a stream without its full usage: the prompt, and one for each event.
fn by_events(reserved: &Amounts, streamed: &Streamed) -> u64 {
    let prompt = streamed.prompt.unwrap_or(reserved.input_tokens);
    prompt.saturating_add(streamed.events).max(streamed.said)
}

/// Splits a total into input, as reported or else as reserved, and output, which is the rest.
fn split(tokens: u64, input: Option<TokenCounts>, reserved: &Amounts) -> TokenCounts {
    let reported = input.unwrap_or(TokenCounts {
        input: reserved.input_tokens,
        ..TokenCounts::default()
    });
    let mut left = tokens;
    let mut take = |n: u64| {
        let taken = n.min(left);
        left = left.saturating_sub(taken);
        taken
    };
    TokenCounts {
        input: take(reported.input),
        cached: take(reported.cached),
        cache_write: take(reported.cache_write),
        output: left,
    }
}
