//! The leases of an account or a family: requests in flight, counted for each VM.
//!
//! ```text
//! body = holder ...
//! holder = slot (2) generation (4) count (4, at least 1)
//! ```

use super::section::{HEAD, Section, cut, drop_section, grow};
use crate::limits::lease::{Holder, Liveness};
use crate::shared::fields::{put, u16_at, u32_at};

const ENTRY: usize = 10;
const COUNT: usize = 6;

/// A section of leases.
#[derive(Clone, Copy, Debug)]
pub struct Leases<'a>(pub(super) &'a [u8]);

impl Leases<'_> {
    /// True when the bytes are whole entries.
    pub(super) fn has_shape(&self) -> bool {
        let entries = self.0.len().saturating_sub(HEAD);
        entries > 0 && entries.checked_rem(ENTRY) == Some(0)
    }

    /// Returns the number of leases.
    pub fn count(&self) -> u64 {
        self.entries()
            .fold(0, |sum: u64, (_, n)| sum.saturating_add(n.into()))
    }

    /// Returns the leases of living VMs, and those of lost ones.
    pub(super) fn by_liveness(&self, liveness: &dyn Liveness) -> (u64, u64) {
        self.entries().fold(
            (0, 0),
            |(live, lost): (u64, u64), (holder, n)| match liveness.is_alive(holder) {
                true => (live.saturating_add(n.into()), lost),
                false => (live, lost.saturating_add(n.into())),
            },
        )
    }

    fn entries(&self) -> impl Iterator<Item = (Holder, u32)> {
        let body = self.0.get(HEAD..).unwrap_or_default();
        body.chunks_exact(ENTRY).map(read)
    }
}

fn read(entry: &[u8]) -> (Holder, u32) {
    let holder = Holder {
        slot: u16_at(entry, 0),
        generation: u32_at(entry, 2),
    };
    (holder, u32_at(entry, COUNT))
}

/// Drops the leases of lost VMs; returns their number and the end of the section.
pub(super) fn forget_stale(
    bytes: &mut Vec<u8>,
    mut section: Section,
    liveness: &dyn Liveness,
) -> (u64, usize) {
    let mut forgotten: u64 = 0;
    let mut at = section.at.saturating_add(HEAD);
    while at < section.end() {
        let (holder, n) = read(bytes.get(at..).unwrap_or_default());
        if liveness.is_alive(holder) {
            at = at.saturating_add(ENTRY);
        } else {
            forgotten = forgotten.saturating_add(n.into());
            cut(bytes, &mut section, at, ENTRY);
        }
    }
    let end = match section.len > HEAD {
        true => section.end(),
        false => drop_section(bytes, &section),
    };
    (forgotten, end)
}

/// Adds a lease.
pub(super) fn acquire(bytes: &mut Vec<u8>, mut section: Section, holder: Holder) {
    if let Some((at, n)) = find(bytes, &section, holder) {
        return set_count(bytes, at, n.saturating_add(1));
    }
    let at = section.end();
    if grow(bytes, &mut section, at, ENTRY) {
        put(bytes, at, holder.slot.to_le_bytes());
        put(bytes, at.saturating_add(2), holder.generation.to_le_bytes());
        set_count(bytes, at, 1);
    }
}

/// Removes a lease, if there is one.
pub(super) fn release(bytes: &mut Vec<u8>, mut section: Section, holder: Holder) {
    match find(bytes, &section, holder) {
        None => {}
        Some((at, n)) if n > 1 => set_count(bytes, at, n.saturating_sub(1)),
        Some((at, _)) => {
            cut(bytes, &mut section, at, ENTRY);
            if section.len <= HEAD {
                drop_section(bytes, &section);
            }
        }
    }
}

fn find(bytes: &[u8], section: &Section, holder: Holder) -> Option<(usize, u32)> {
    let first = section.at.saturating_add(HEAD);
    (first..section.end()).step_by(ENTRY).find_map(|at| {
        let (found, n) = read(bytes.get(at..)?);
        (found == holder).then_some((at, n))
    })
}

fn set_count(bytes: &mut [u8], entry: usize, n: u32) {
    put(bytes, entry.saturating_add(COUNT), n.to_le_bytes());
}
