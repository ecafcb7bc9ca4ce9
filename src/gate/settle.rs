//! Settlement: the lease goes back, and the reserve is replaced by what was used.

use super::{Gate, Held, terms};
use crate::config::Settle;
use crate::host::Host;
use crate::limit::{Limit, settle};
use crate::metrics::TokenKind;
use crate::store::Fault;
use crate::store::ledger::Change;
use crate::usage::Used;
use crate::usage::response::Streamed;

/// Settlements that wait for a ledger that failed.
const MOST_PENDING: usize = 1024;

impl Gate {
    /// Gives a request's lease back and replaces its reserve by what it used.
    ///
    /// Takes the [`Held`] of a request once: what it was admitted with must not be settled again.
    pub fn settle(&mut self, host: &dyn Host, held: Held, used: Used) {
        self.counts.ended(held.tier);
        let used = match self.config.tokens.settle {
            Settle::Usage => used,
            Settle::Reserve => Used::Unknown,
        };
        let reserved = held.claim.reserved;
        let (kind, tokens) = match used {
            Used::Tokens(n) => (TokenKind::Used, n),
            Used::Unknown => (TokenKind::Estimated, reserved),
            Used::Streamed(told) => (TokenKind::Estimated, estimate(&held, &told)),
        };
        self.counts.tokens(held.tier, kind, tokens);
        let refund = reserved.saturating_sub(tokens);
        self.counts.tokens(held.tier, TokenKind::Refunded, refund);
        if let Err(fault) = self.write_settlement(host, held, tokens) {
            self.fault = Some(fault);
            if self.pending.len() >= MOST_PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back((held, tokens));
        }
    }

    fn write_settlement(&self, host: &dyn Host, held: Held, used: u64) -> Result<(), Fault> {
        let claim = &held.claim;
        let nothing_changes =
            used == claim.reserved && claim.holder.is_none() && claim.day.is_none();
        if held.limits.all_unlimited() || nothing_changes {
            return Ok(());
        }
        let terms = terms(&self.config, &held.limits, None);
        let windows = (terms.windows, held.limits.tpd != Limit::Unlimited);
        let table = self.vm.table();
        self.ledger
            .change(host, held.key, windows, table, |record, now| {
                settle(record, &held.claim, used, &terms, now);
                Change::Write(())
            })
    }

    /// Tries again what the ledger did not take.
    pub(super) fn settle_pending(&mut self, host: &dyn Host) {
        for _ in 0..self.pending.len() {
            let Some((held, used)) = self.pending.pop_front() else {
                break;
            };
            if let Err(fault) = self.write_settlement(host, held, used) {
                self.fault = Some(fault);
                self.pending.push_front((held, used));
                break;
            }
        }
    }
}

/// The tokens of a stream that did not say them all.
///
/// Each event was at least one token. A stream that was cut is charged with what came by, one that
/// came to its end with the reserve at least.
fn estimate(held: &Held, told: &Streamed) -> u64 {
    let prompt = told.prompt.unwrap_or(held.prompt);
    let seen = prompt.saturating_add(told.events).max(told.said);
    if told.whole {
        seen.max(held.claim.reserved)
    } else {
        seen
    }
}
