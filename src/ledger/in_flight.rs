//! Each VM slot's part of the in-flight gauge (key `{namespace}/g{slot}`, slot in hex), so that a
//! living VM can remove the part of a lost VM.
//!
//! All workers share the gauge, which is the sum of these values. The writer of a value moves the
//! gauge by the difference, and no other code moves it. A VM writes its own value on its ticks. The
//! first VM that sees a stale slot empties the value, or the next VM in the slot replaces it. No
//! request touches these values.

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

/// Requests in flight by tier name.
pub type PerTier = BTreeMap<String, u64>;
/// The change of each tier's gauge.
pub type Moves = BTreeMap<String, i64>;

/// One VM's view of the parts of the gauge.
#[derive(Debug)]
pub struct InFlight {
    prefix: String,
    /// The generation of each stale slot whose value is known to be empty.
    emptied: BTreeMap<u16, u32>,
    corrupt: u64,
}

impl InFlight {
    /// Creates the view of `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self {
            prefix: namespace.to_owned(),
            emptied: BTreeMap::new(),
            corrupt: 0,
        }
    }

    /// Writes the requests in flight of `holder`, and empties the values of slots that are free.
    ///
    /// Adds the change of the gauge to `moves`.
    ///
    /// # Errors
    /// [`StoreError`] when a value can't be used. `moves` has the changes so far; the next call
    /// does the rest.
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
        for gone in table.gone() {
            let emptied = self.emptied.get(&gone.slot) == Some(&gone.generation);
            if !emptied && self.replace(host, gone.slot, &PerTier::new(), moves)? {
                self.emptied.insert(gone.slot, gone.generation);
            }
        }
        Ok(())
    }

    /// Takes the number of corrupt values since the last call.
    pub fn take_corrupt(&mut self) -> u64 {
        std::mem::take(&mut self.corrupt)
    }

    /// Returns false when another VM wrote the value in between: the next tick retries.
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
            let before = bytes.map(|bytes| cell::decode::<PerTier>(LAYOUT, &bytes));
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

/// Adds the change of the gauge from `before` to `after` to `moves`.
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
