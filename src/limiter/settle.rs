//! Settlement: returns the lease and replaces the reserve with the usage.

use super::pending::Settlement;
use super::reserve::Rates;
use super::{Admission, Limiter};
use crate::host::Host;
use crate::ledger::{Fault, FaultCause, RecordChange, RecordKey, Which};
use crate::limits::Amounts;
use crate::metrics::TokenKind;
use crate::tokens::Used;
use crate::tokens::config::Settle;
use crate::tokens::rates::TokenCounts;
use crate::tokens::response::{Consumed, Streamed};

impl Limiter {
    /// Returns a request's lease and replaces its reserve with its usage.
    ///
    /// An [`Admission`] must be settled only once.
    pub fn settle(&mut self, host: &dyn Host, admission: Admission, consumed: impl Into<Consumed>) {
        self.ended(admission.tier);
        let Consumed { used, input } = match self.config.tokens.settle {
            _ if admission.free => Used::Tokens(0).into(),
            Settle::Usage => consumed.into(),
            Settle::Reserve => Used::Unknown.into(),
        };
        let reserved = &admission.reservation.reserved;
        let rates = Rates::of(&self.config, admission.family);
        let (kind, used) = match used {
            Used::Tokens(n) => (TokenKind::Used, rates.amounts(&split(n, input, reserved))),
            Used::Output(output) => {
                let counts = TokenCounts {
                    input: reserved.input_tokens,
                    output,
                    ..TokenCounts::default()
                };
                (TokenKind::Estimated, rates.amounts(&counts))
            }
            Used::Unknown => (TokenKind::Estimated, *reserved),
            Used::Streamed(streamed) => {
                let counts = split(counted(reserved, &streamed), input, reserved);
                let amounts = rates.amounts(&counts);
                let used = match streamed.is_whole {
                    true => amounts.at_least(reserved),
                    false => amounts,
                };
                (TokenKind::Estimated, used)
            }
        };
        self.counts.tokens(admission.tier, kind, used.tokens);
        let refund = reserved.tokens.saturating_sub(used.tokens);
        self.counts
            .tokens(admission.tier, TokenKind::Refunded, refund);
        let settlement = Settlement::of(&admission, used);
        if let Err(fault) = self.store(host, &settlement) {
            self.note_fault(fault);
            self.vm.borrow_mut().pending.add(settlement);
        }
    }

    fn store(&self, host: &dyn Host, settlement: &Settlement) -> Result<(), Fault> {
        if settlement.changes_nothing() {
            return Ok(());
        }
        let (vm, terms) = (self.vm.borrow(), settlement.terms());
        let change = self
            .ledger
            .change(host, settlement.key, &terms, vm.table(), |record, now| {
                settlement.apply(record, now);
                RecordChange::Write(())
            });
        if change.is_err() || !settlement.is_beyond_a_shared_reserve() {
            return change;
        }
        let own = RecordKey {
            which: Which::Own,
            ..settlement.key
        };
        // A failure is not returned: another try would settle the shared record twice.
        let _charged = self
            .ledger
            .change(host, own, &terms, vm.table(), |record, now| {
                if record.is_empty() {
                    return RecordChange::Keep(());
                }
                settlement.charge_own(record, now);
                RecordChange::Write(())
            });
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

/// Counts the tokens of a stream without its full usage: the prompt, and one for each event.
fn counted(reserved: &Amounts, streamed: &Streamed) -> u64 {
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
