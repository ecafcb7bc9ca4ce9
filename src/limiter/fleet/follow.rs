//! The orders of the service: a scale on limits, and resets of accounts.

use super::super::Limiter;
use crate::fleet::orders::{LoadOrder, MOST_RESETS, Orders, ResetOrder};
use crate::fleet::reset;
use crate::host::Host;
use crate::http::visible::visible;
use crate::json::plain_name;
use crate::ledger::{Fault, RecordChange};
use crate::limits::Scale;
use crate::overload::{LONGEST, ManualScale, TierScales};
use crate::tiers::config::MOST_TIERS;
use crate::time::{Mono, Span};

/// The maximum number of characters of an id in the log.
const LOGGED_CHARS: usize = 256;

impl Limiter {
    /// Follows orders, all of them or none: those that failed come again with the next answer.
    pub(super) fn follow_orders(&mut self, host: &dyn Host, orders: &Orders) {
        for order in orders.resets.iter().take(MOST_RESETS) {
            match self.follow_reset(host, order) {
                Ok(true) => {
                    let id = visible(order.id.as_bytes(), LOGGED_CHARS);
                    let line = format!("fleet: the service reset account {id}");
                    self.news.push(line);
                }
                Ok(false) => {}
                Err(fault) => return self.note_fault(fault),
            }
        }
        if let Some(load) = &orders.load {
            let set = self.overload.set_manual(host, |now| setting(load, now));
            if let Err(error) = set {
                return self.note_fault(error.into());
            }
        }
        let followed = self.at_edge(|edge| edge.follow(host, orders.last));
        self.keep_fault(followed);
    }

    fn follow_reset(&self, host: &dyn Host, order: &ResetOrder) -> Result<bool, Fault> {
        let key = self.ledger.key(order.id.as_bytes());
        self.change_stake(host, key, |record, now| {
            match reset(record, order.generation, now) {
                true => RecordChange::Write(true),
                false => RecordChange::Keep(false),
            }
        })
    }
}

/// Returns the manual scale that an order sets at `now`; `None` for one that ends it.
fn setting(order: &LoadOrder, now: Mono) -> Option<ManualScale> {
    let ttl = Span::from_millis(order.ttl_ms).min(LONGEST);
    // What a tier can't be called, or more than a config can have, would be damage when it is read.
    let tiers = order.tiers.iter();
    let tiers = tiers.filter(|(name, _)| plain_name(name, name).is_ok());
    let tiers: TierScales = tiers
        .take(MOST_TIERS)
        .map(|(name, scale)| (name.clone(), scale_of(*scale)))
        .collect();
    (order.ttl_ms > 0).then(|| ManualScale {
        scale: scale_of(order.scale),
        tiers,
        set: now,
        ends: now.after(ttl),
    })
}

fn scale_of(millionths: u32) -> Scale {
    Scale::from_millionths(millionths.min(Scale::ONE.millionths()))
}
