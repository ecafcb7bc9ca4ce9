//! The part of the in-flight gauge that each VM slot holds (key `{namespace}/g{slot}`, slot in
//! hex), so that a living VM can take the part of a lost VM out.
//!
//! A gauge can only be moved. It is kept the sum of these values: the writer of a value moves the
//! gauge by the difference, and nothing else moves it. A VM writes its own value on its ticks. The
//! value of a stale slot is emptied by the first VM that sees it, or replaced by the next VM in that
//! slot. No request touches these values.

use crate::host::Host;
use crate::ledger::slots::Slots;
use crate::limits::Holder;
use crate::shared::{Change, Layout, StoreError, Target, cell, update};
use std::collections::BTreeMap;

const LAYOUT: Layout = Layout {
    name: "a gauge's part",
    version: 1,
    kind: b'F',
};

/// Requests in flight by the name of their tier.
pub type PerTier = BTreeMap<String, u64>;
/// By how much to move the gauge of each tier.
pub type Moves = BTreeMap<String, i64>;

/// One VM's view of those values.
#[derive(Debug)]
pub struct InFlight {
    prefix: String,
    /// The generation of each slot that was seen to be gone and to hold nothing any more.
    emptied: BTreeMap<u16, u32>,
    corrupt: u64,
}

impl InFlight {
    /// The values of `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self {
            prefix: namespace.to_owned(),
            emptied: BTreeMap::new(),
            corrupt: 0,
        }
    }

    /// Records what `holder` has in flight, and empties the values of slots whose VM is lost.
    ///
    /// By how much the gauge is to be moved for that is added to `moves`.
    ///
    /// # Errors
    /// The host's status; what was written until then is in `moves`, the rest is for the next time.
    pub fn update(
        &mut self,
        host: &dyn Host,
        holder: Option<Holder>,
        counts: &PerTier,
        table: &Slots,
        moves: &mut Moves,
    ) -> Result<(), StoreError> {
        if let Some(holder) = holder {
            self.replace(host, holder.slot, counts, moves)?;
        }
        for gone in table.stale() {
            let emptied = self.emptied.get(&gone.slot) == Some(&gone.generation);
            if !emptied && self.replace(host, gone.slot, &PerTier::new(), moves)? {
                self.emptied.insert(gone.slot, gone.generation);
            }
        }
        Ok(())
    }

    /// Values that could not be read since the last call.
    pub fn take_corrupt(&mut self) -> u64 {
        std::mem::take(&mut self.corrupt)
    }

    /// False when another VM wrote the value in between: the next tick tries again.
    fn replace(
        &mut self,
        host: &dyn Host,
        slot: u16,
        counts: &PerTier,
        moves: &mut Moves,
    ) -> Result<bool, StoreError> {
        let key = format!("{}/g{slot:x}", self.prefix);
        let target = Target {
            key: &key,
            layout: LAYOUT,
            tries: 1,
        };
        let changed = update(host, &target, |bytes| {
            let before = bytes.map(|bytes| cell::decode::<PerTier>(LAYOUT, bytes));
            let corrupt = before == Some(None);
            let before = before.flatten().unwrap_or_default();
            Ok(match before == *counts && !corrupt {
                true => Change::Keep((before, corrupt)),
                false => Change::Write(cell::encode(LAYOUT, counts), (before, corrupt)),
            })
        });
        let changed = match changed {
            Err(StoreError::Contended(..)) => return Ok(false),
            changed => changed?,
        };
        if changed.written {
            let (before, corrupt) = changed.result;
            self.corrupt = self.corrupt.saturating_add(u64::from(corrupt));
            move_gauge(&before, counts, moves);
        }
        Ok(true)
    }
}

/// Adds to `moves` what the gauge must move by for `before` to become `after`.
fn move_gauge(before: &PerTier, after: &PerTier, moves: &mut Moves) {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let gained = after.iter().map(|(name, n)| (name, signed(*n)));
    let lost = before
        .iter()
        .map(|(name, n)| (name, signed(*n).saturating_neg()));
    for (name, delta) in gained.chain(lost) {
        let sum = moves.entry(name.clone()).or_default();
        *sum = sum.saturating_add(delta);
    }
}
