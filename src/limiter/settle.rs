//! Settlement: returns the lease and replaces the reserve with the usage.

use super::pending::Settlement;
use super::{Admission, Limiter};
use crate::host::Host;
use crate::ledger::{Fault, FaultCause, RecordChange, RecordKey, Which};
use crate::limits::Amounts;
use crate::metrics::TokenKind;
use crate::tokens::Used;
use crate::tokens::config::Settle;
use crate::tokens::response::{Consumed, Streamed};

impl Limiter {
    /// Returns a request's lease and replaces its reserve with its usage.
    ///
    /// An [`Admission`] must be settled only once.
    pub fn settle(&mut self, host: &dyn Host, admission: Admission, consumed: impl Into<Consumed>) {
        self.ended(admission.tier);
        let Consumed { used, input } = match self.config.tokens.settle {
            Settle::Usage => consumed.into(),
            Settle::Reserve => Used::Unknown.into(),
        };
        let reserved = &admission.reservation.reserved;
        let (kind, used) = match used {
            Used::Tokens(n) => (TokenKind::Used, split(n, input, reserved)),
            Used::Unknown => (TokenKind::Estimated, *reserved),
            Used::Streamed(streamed) => (TokenKind::Estimated, estimate(reserved, &streamed)),
        };
        self.counts.tokens(admission.tier, kind, used.tokens);
        let refund = reserved.tokens.saturating_sub(used.tokens);
        self.counts
            .tokens(admission.tier, TokenKind::Refunded, refund);
        let settlement = Settlement::of(&admission, used, self.config.windows);
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

/// Estimates the tokens of a stream without its full usage.
///
/// Each event counts as one token. A stream that was cut is charged for the prompt and its events,
/// a complete stream for at least the reserve.
fn estimate(reserved: &Amounts, streamed: &Streamed) -> Amounts {
    let prompt = streamed.prompt.unwrap_or(reserved.input_tokens);
    let counted = prompt.saturating_add(streamed.events).max(streamed.said);
    let tokens = match streamed.complete {
        true => counted.max(reserved.tokens),
        false => counted,
    };
    Amounts {
        input_tokens: prompt.min(tokens),
        output_tokens: tokens.saturating_sub(prompt),
        tokens,
        ..*reserved
    }
}

/// Splits a total into input, as reported or else as reserved, and output, which is the rest.
fn split(tokens: u64, input: Option<u64>, reserved: &Amounts) -> Amounts {
    let input_tokens = input.unwrap_or(reserved.input_tokens).min(tokens);
    Amounts {
        tokens,
        input_tokens,
        output_tokens: tokens.saturating_sub(input_tokens),
        ..*reserved
    }
}
