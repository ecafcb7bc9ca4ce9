//! Who lives: one value of shared data with the ledger's secret and a numbered slot for each VM.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (page::LAYOUT)
//! 1       1      'S'
//! 2       16     secret of the account hash
//! 18      4      pages in the ledger, little endian
//! 22      12*256 slots: generation (4, little endian; 0: never used), heartbeat (8, monotonic ms)
//! ```
//! A VM claims a slot with its first request, and proves on each tick that it lives. A heartbeat
//! is judged at the moment when the table was read, so a worker whose own loop stalled does not
//! take the others for dead.

use crate::host::{Host, HostError, SetError};
use crate::ledger::page::LAYOUT;
use crate::limits::lease::{Holder, Liveness};
use crate::time::{Mono, Span};
use std::num::NonZeroU32;

/// How many VMs can hold leases at the same time.
pub const SLOTS: usize = 256;
/// How old a heartbeat may be.
pub const STALE: Span = Span::from_secs(4);
/// How old a VM's own heartbeat may be before it beats in line with a request.
const OVERDUE: Span = Span::from_secs(2);
/// Tries to write the table.
const TRIES: u32 = 50;

const PREFIX: [u8; 2] = [LAYOUT, b'S'];
const BYTES: usize = 22 + 12 * SLOTS;

/// One slot of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    generation: u32,
    beat: Mono,
}

impl Slot {
    fn is_stale(&self, at: Mono) -> bool {
        self.generation == 0 || self.beat.after(STALE) < at
    }
}

/// The table as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The secret of the account hash.
    pub secret: [u8; 16],
    /// How many pages the ledger has.
    pub pages: u32,
    slots: Vec<Slot>,
    read_at: Mono,
}

/// A stored value that is not this layout's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Corrupt, or of an older layout: may be written over.
    Corrupt,
    /// Of a newer layout: newer code has taken over.
    Newer,
}

impl Slots {
    /// A table that nobody is in yet.
    pub fn new(secret: [u8; 16], pages: u32) -> Self {
        Self {
            secret,
            pages,
            slots: vec![Slot::default(); SLOTS],
            read_at: Mono::default(),
        }
    }

    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(&PREFIX);
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&self.pages.to_le_bytes());
        for slot in &self.slots {
            out.extend_from_slice(&slot.generation.to_le_bytes());
            out.extend_from_slice(&slot.beat.as_millis().to_le_bytes());
        }
        out
    }

    /// Reads a table that was got at `read_at`.
    ///
    /// # Errors
    /// [`Unreadable`] when it is not one of this layout.
    pub fn decode(bytes: &[u8], read_at: Mono) -> Result<Self, Unreadable> {
        if bytes.first().is_some_and(|version| *version > LAYOUT) {
            return Err(Unreadable::Newer);
        }
        Self::parse(bytes, read_at).ok_or(Unreadable::Corrupt)
    }

    fn parse(bytes: &[u8], read_at: Mono) -> Option<Self> {
        if bytes.len() != BYTES {
            return None;
        }
        let rest = bytes.strip_prefix(&PREFIX)?;
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

    /// How many VMs were alive when the table was read.
    pub fn alive(&self) -> usize {
        self.slots
            .iter()
            .filter(|s| !s.is_stale(self.read_at))
            .count()
    }

    /// The last VM of each slot whose VM was gone when the table was read.
    pub fn stale(&self) -> impl Iterator<Item = Holder> {
        let used = |s: &Slot| s.generation != 0 && s.is_stale(self.read_at);
        let numbered = (0..).zip(&self.slots);
        numbered
            .filter(move |(_, s)| used(s))
            .map(|(slot, s)| Holder {
                slot,
                generation: s.generation,
            })
    }

    fn slot(&self, holder: Holder) -> Option<&Slot> {
        self.slots.get(usize::from(holder.slot))
    }

    /// Beats for `holder`, or claims a slot when it has none or has been taken for dead.
    fn beat(&mut self, holder: Option<Holder>) -> Option<Holder> {
        let now = self.read_at;
        let current = holder.filter(|h| {
            self.slot(*h)
                .is_some_and(|s| s.generation == h.generation && !s.is_stale(now))
        });
        let index = match current {
            Some(h) => usize::from(h.slot),
            None => self.slots.iter().position(|s| s.is_stale(now))?,
        };
        let slot = self.slots.get_mut(index)?;
        if current.is_none() {
            slot.generation = slot.generation.saturating_add(1);
        }
        slot.beat = now;
        Some(Holder {
            slot: u16::try_from(index).ok()?,
            generation: slot.generation,
        })
    }
}

impl Liveness for Slots {
    fn is_alive(&self, holder: Holder) -> bool {
        // A generation that this table does not know yet was claimed after it was read.
        self.slot(holder).is_some_and(|slot| {
            holder.generation > slot.generation
                || (holder.generation == slot.generation && !slot.is_stale(self.read_at))
        })
    }
}

/// One VM's place among the others: its slot, and what it last saw of theirs.
#[derive(Debug)]
pub struct VmSlot {
    key: String,
    table: Slots,
    holder: Option<Holder>,
}

/// Why a VM has no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Every slot is held by a living VM.
    #[error("all {SLOTS} VM slots are taken")]
    Full,
    /// Other VMs were faster each time.
    #[error("the slot table was changed by others {TRIES} times in a row")]
    Contended,
    /// The heartbeat was too old again as soon as it was given.
    #[error("this VM is too slow to prove that it lives")]
    Overdue,
    /// Newer code wrote the table.
    #[error("the slot table is of a newer layout than {LAYOUT}")]
    Newer,
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl VmSlot {
    /// A VM without a slot yet, that knows of the others what `table` says.
    pub fn new(key: String, table: Slots) -> Self {
        Self {
            key,
            table,
            holder: None,
        }
    }

    /// What this VM last saw.
    pub fn table(&self) -> &Slots {
        &self.table
    }

    /// The VM's slot; `None` before the first [`VmSlot::beat`].
    pub fn holder(&self) -> Option<Holder> {
        self.holder
    }

    /// Whether the last heartbeat is so old that a request must not be admitted without another.
    pub fn is_overdue(&self, now: Mono) -> bool {
        now.since(self.table.read_at) >= OVERDUE
    }

    /// On each tick: proves life if the VM has a slot, and sees who else lives.
    ///
    /// # Errors
    /// [`SlotError`] when the table can't be read or written; the last one seen stays in use.
    pub fn tick(&mut self, host: &dyn Host) -> Result<(), SlotError> {
        if self.holder.is_some() {
            return self.beat(host).map(|_| ());
        }
        if let Some((table, _)) = self.read(host)? {
            self.table = table;
        }
        Ok(())
    }

    /// Proves life: claims a slot if the VM has none, or was taken for dead.
    ///
    /// # Errors
    /// [`SlotError`] when no slot can be had.
    pub fn beat(&mut self, host: &dyn Host) -> Result<Holder, SlotError> {
        for _ in 0..TRIES {
            let (mut table, cas) = match self.read(host)? {
                Some((table, cas)) => (table, cas),
                None => (self.initial(host.mono()), None),
            };
            let holder = table.beat(self.holder).ok_or(SlotError::Full)?;
            match host.set(&self.key, &table.encode(), cas) {
                Ok(()) => {
                    self.table = table;
                    self.holder = Some(holder);
                    return Ok(holder);
                }
                Err(SetError::Conflict) => {}
                Err(SetError::Host(error)) => return Err(error.into()),
            }
        }
        Err(SlotError::Contended)
    }

    /// A table for a host that lost the stored one: same secret, so that accounts stay in place.
    fn initial(&self, now: Mono) -> Slots {
        let mut table = self.table.clone();
        table.read_at = now;
        table
    }

    fn read(&self, host: &dyn Host) -> Result<Option<(Slots, Option<NonZeroU32>)>, SlotError> {
        let Some(stored) = host.get(&self.key)? else {
            return Ok(None);
        };
        match Slots::decode(&stored.value, host.mono()) {
            Ok(table) => Ok(Some((table, Some(stored.cas)))),
            Err(Unreadable::Newer) => Err(SlotError::Newer),
            Err(Unreadable::Corrupt) => Ok(Some((self.initial(host.mono()), Some(stored.cas)))),
        }
    }
}
