//! What the gauge of requests in process holds for each VM slot, so that the part of a VM that is
//! gone can be taken out of it by one that lives.
//!
//! ```text
//! key     {namespace}/f{slot}, slot in hex
//! offset  width  field
//! 0       1      layout version (page::LAYOUT)
//! 1       1      'F'
//! 2       ...    for each tier with requests in process:
//!                length of the name (varint), name, requests (varint)
//! ```
//! A gauge can only be moved. So the gauge is kept the sum of these values: whoever changes one
//! with a compare-and-set moves the gauge by the difference, and nobody else moves it. A VM writes
//! its own value on its ticks; the value of a slot whose VM is gone is emptied by whoever first
//! sees that, or replaced by the next VM that claims the slot. Nothing of this is on a request's way.

use crate::host::Host;
use crate::ledger::slots::Slots;
use crate::limits::Holder;
use crate::shared::varint;
use crate::shared::{Change, Layout, StoreError, Target, update};
use std::collections::BTreeMap;

const LAYOUT: Layout = Layout {
    name: "a gauge's part",
    version: 1,
    kind: b'F',
};

/// Requests in process by the name of their tier.
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

    /// Writes down what `holder` has in process, and empties the values of slots whose VM is gone.
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
        let key = format!("{}/f{slot:x}", self.prefix);
        let target = Target {
            key: &key,
            layout: LAYOUT,
            tries: 1,
        };
        let changed = update(host, &target, |bytes| {
            let before = bytes.map(decode);
            let corrupt = before == Some(None);
            let before = before.flatten().unwrap_or_default();
            Ok(match before == *counts && !corrupt {
                true => Change::Keep((before, corrupt)),
                false => Change::Write(encode(counts), (before, corrupt)),
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

fn encode(counts: &PerTier) -> Vec<u8> {
    let mut out = LAYOUT.prefix().to_vec();
    for (name, n) in counts {
        varint::put_len(&mut out, name.len());
        out.extend_from_slice(name.as_bytes());
        varint::put(&mut out, *n);
    }
    out
}

/// `None` for bytes that [`encode`] does not write.
fn decode(bytes: &[u8]) -> Option<PerTier> {
    let mut input = LAYOUT.body(bytes)?;
    let mut counts = PerTier::new();
    while !input.is_empty() {
        let length = varint::take_count(&mut input).ok()?;
        let (name, rest) = input.split_at_checked(length)?;
        input = rest;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        counts.insert(name, varint::take(&mut input).ok()?);
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_written() {
        for counts in [
            PerTier::new(),
            PerTier::from([("t".to_owned(), 1), ("tier-5".to_owned(), u64::MAX)]),
        ] {
            assert_eq!(decode(&encode(&counts)), Some(counts));
        }
    }

    #[test]
    fn cut_bytes_are_damaged_or_shorter() {
        let counts = PerTier::from([("tier0".to_owned(), 300), ("tier1".to_owned(), 1)]);
        let whole = encode(&counts);
        for end in 0..whole.len() {
            let cut = decode(&whole[..end]);
            assert!(cut.is_none_or(|cut| cut.len() < counts.len()), "{end}");
        }
    }
}
