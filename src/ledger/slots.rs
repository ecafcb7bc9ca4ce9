//! Living VMs: one value of shared data with the ledger's secret and a numbered slot for each VM.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (LAYOUT)
//! 1       1      'S'
//! 2       16     secret of the account hash
//! 18      4      pages in the ledger, little endian
//! 22      12*256 slots: generation (4, little endian; 0: never used),
//!                heartbeat (8, monotonic ms; 0: the slot is free)
//! ```
//! The table alone tells who is alive: whoever finds a VM lost frees its slot here first, with a
//! compare-and-set that no heartbeat can miss ([`super::vm_slot`]). So all VMs agree, and a VM that
//! was taken for lost finds that out. To code of 0.1.0, which judges by the age of a heartbeat,
//! a free slot is a stale one.

use crate::limits::lease::{Holder, Liveness};
use crate::shared::{Layout, StoreError};
use crate::time::Mono;

/// The maximum number of VMs with a slot.
pub const SLOTS: usize = 256;
/// The heartbeat of a slot that nobody has.
const FREE: Mono = Mono::from_millis(0);

/// The layout of the slot table.
pub(super) const LAYOUT: Layout = Layout {
    name: "the slot table",
    version: 1,
    kind: b'S',
};
const BYTES: usize = 22 + 12 * SLOTS;

/// One slot of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    generation: u32,
    beat: Mono,
}

impl Slot {
    fn is_taken(&self) -> bool {
        self.generation != 0 && self.beat != FREE
    }
}

/// The slot table, as read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The secret of the account hash.
    pub secret: [u8; 16],
    /// The number of pages of the ledger.
    pub pages: u32,
    slots: Vec<Slot>,
    read_at: Mono,
}

impl Slots {
    /// Creates a table without VMs.
    pub fn new(secret: [u8; 16], pages: u32) -> Self {
        Self {
            secret,
            pages,
            slots: vec![Slot::default(); SLOTS],
            read_at: Mono::default(),
        }
    }

    /// Encodes the table for shared data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(&LAYOUT.prefix());
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&self.pages.to_le_bytes());
        for slot in &self.slots {
            out.extend_from_slice(&slot.generation.to_le_bytes());
            out.extend_from_slice(&slot.beat.as_millis().to_le_bytes());
        }
        out
    }

    /// Decodes a table that was read at `read_at`; `None` for corrupt bytes.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for bytes of a newer layout.
    pub fn decode(bytes: &[u8], read_at: Mono) -> Result<Option<Self>, StoreError> {
        LAYOUT.check(bytes)?;
        Ok(Self::parse(bytes, read_at))
    }

    fn parse(bytes: &[u8], read_at: Mono) -> Option<Self> {
        if bytes.len() != BYTES {
            return None;
        }
        let rest = LAYOUT.body(bytes)?;
        let (secret, rest) = rest.split_first_chunk::<16>()?;
        let (pages, rest) = rest.split_first_chunk::<4>()?;
        let pages = u32::from_le_bytes(*pages);
        let slots = rest
            .chunks_exact(12)
            .map(|chunk| {
                let (generation, beat) = chunk.split_first_chunk::<4>()?;
                let beat = beat.first_chunk::<8>()?;
                Some(Slot {
                    generation: u32::from_le_bytes(*generation),
                    beat: Mono::from_millis(u64::from_le_bytes(*beat)),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        (pages > 0).then_some(Self {
            secret: *secret,
            pages,
            slots,
            read_at,
        })
    }

    /// Returns the moment at which the table was read.
    pub fn read_at(&self) -> Mono {
        self.read_at
    }

    /// Returns a copy that was read at `now`.
    #[must_use]
    pub(super) fn read_again(&self, now: Mono) -> Self {
        Self {
            read_at: now,
            ..self.clone()
        }
    }

    /// Returns the number of VMs with a slot.
    pub fn alive(&self) -> usize {
        self.slots.iter().filter(|s| s.is_taken()).count()
    }

    /// Returns the last VM of each slot that was used and is free.
    pub fn gone(&self) -> impl Iterator<Item = Holder> {
        self.numbered()
            .filter(|(holder, slot)| holder.generation != 0 && !slot.is_taken())
            .map(|(holder, _)| holder)
    }

    /// Returns the VMs with a slot, each with its heartbeat.
    pub(super) fn heartbeats(&self) -> impl Iterator<Item = (Holder, Mono)> {
        self.numbered()
            .filter(|(_, slot)| slot.is_taken())
            .map(|(holder, slot)| (holder, slot.beat))
    }

    fn numbered(&self) -> impl Iterator<Item = (Holder, &Slot)> {
        let holder = |(number, slot): (u16, &Slot)| Holder {
            slot: number,
            generation: slot.generation,
        };
        let numbered = (0..).zip(&self.slots);
        numbered.map(move |(number, slot)| (holder((number, slot)), slot))
    }

    /// Renews the heartbeat of `holder`; false when it has the slot no more.
    pub(super) fn renew(&mut self, holder: Holder) -> bool {
        let beat = self.now();
        let slot = self.slot_of(holder);
        slot.map(|slot| slot.beat = beat).is_some()
    }

    /// Takes the first free slot, as its next VM.
    pub(super) fn claim(&mut self) -> Option<Holder> {
        let beat = self.now();
        let index = self.slots.iter().position(|s| !s.is_taken())?;
        let slot = self.slots.get_mut(index)?;
        slot.generation = slot.generation.saturating_add(1);
        slot.beat = beat;
        Some(Holder {
            slot: u16::try_from(index).ok()?,
            generation: slot.generation,
        })
    }

    /// Frees the slot of `holder`, if it has it.
    pub(super) fn free(&mut self, holder: Holder) {
        if let Some(slot) = self.slot_of(holder) {
            slot.beat = FREE;
        }
    }

    fn slot_of(&mut self, holder: Holder) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(holder.slot))?;
        (slot.is_taken() && slot.generation == holder.generation).then_some(slot)
    }

    /// Returns a heartbeat of now, which is never [`FREE`].
    fn now(&self) -> Mono {
        self.read_at.max(Mono::from_millis(1))
    }
}

impl Liveness for Slots {
    fn is_alive(&self, holder: Holder) -> bool {
        let slot = self.slots.get(usize::from(holder.slot));
        // A newer generation took the slot after this table was read.
        slot.is_some_and(|slot| {
            holder.generation > slot.generation
                || (holder.generation == slot.generation && slot.is_taken())
        })
    }
}
