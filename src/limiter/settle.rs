//! Settlement: returns the lease and replaces the reserve with the usage.

use super::{Admission, Limiter, terms};
use crate::host::Host;
use crate::ledger::{Fault, RecordChange, RecordKey};
use crate::limits::{Limits, settle};
use crate::metrics::TokenKind;
use crate::tokens::Used;
use crate::tokens::config::Settle;
use crate::tokens::response::Streamed;

/// The maximum number of settlements that wait for a retry; the oldest one over it is dropped.
const MOST_PENDING: usize = 1024;

impl Limiter {
    /// Returns a request's lease and replaces its reserve with its usage.
    ///
    /// An [`Admission`] must be settled only once.
    pub fn settle(&mut self, host: &dyn Host, admission: Admission, used: Used) {
        self.ended(admission.tier);
        let used = match self.config.tokens.settle {
            Settle::Usage => used,
            Settle::Reserve => Used::Unknown,
        };
        let reserved = admission.reservation.reserved;
        let (kind, tokens) = match used {
            Used::Tokens(n) => (TokenKind::Used, n),
            Used::Unknown => (TokenKind::Estimated, reserved),
            Used::Streamed(streamed) => (TokenKind::Estimated, estimate(&admission, &streamed)),
        };
        self.counts.tokens(admission.tier, kind, tokens);
        let refund = reserved.saturating_sub(tokens);
        self.counts
            .tokens(admission.tier, TokenKind::Refunded, refund);
        if let Err(fault) = self.write_settlement(host, admission, tokens) {
            self.note_fault(fault);
            if self.pending.len() >= MOST_PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back((admission, tokens));
        }
    }

    fn write_settlement(
        &self,
        host: &dyn Host,
        admission: Admission,
        used: u64,
    ) -> Result<(), Fault> {
        let reservation = &admission.reservation;
        let nothing_changes = used == reservation.reserved
            && reservation.holder.is_none()
            && reservation.day.is_none();
        if admission.limits == Limits::UNLIMITED || nothing_changes {
            return Ok(());
        }
        let terms = terms(&self.config, &admission.limits, None);
        let vm = self.vm.borrow();
        let key = RecordKey {
            account: admission.key,
            overflow: admission.reservation.overflow,
        };
        self.ledger
            .change(host, key, &terms, vm.table(), |record, now| {
                settle(record, &admission.reservation, used, &terms, now);
                RecordChange::Write(())
            })
    }

    /// Retries the settlements that the ledger could not store.
    pub(super) fn settle_pending(&mut self, host: &dyn Host) {
        for _ in 0..self.pending.len() {
            let Some((admission, used)) = self.pending.pop_front() else {
                break;
            };
            if let Err(fault) = self.write_settlement(host, admission, used) {
                self.note_fault(fault);
                self.pending.push_front((admission, used));
                break;
            }
        }
    }
}

/// Estimates the tokens of a stream without its full usage.
///
/// Each event counts as one token. A stream that was cut is charged for the prompt and its events,
/// a complete stream for at least the reserve.
fn estimate(admission: &Admission, streamed: &Streamed) -> u64 {
    let prompt = streamed.prompt.unwrap_or(admission.prompt);
    let counted = prompt.saturating_add(streamed.events).max(streamed.said);
    if streamed.complete {
        counted.max(admission.reservation.reserved)
    } else {
        counted
    }
}
