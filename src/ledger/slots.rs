//! Living VMs: one value of shared data with the ledger's secret and a numbered slot for each VM.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (LAYOUT)
//! 1       1      'S'
//! 2       16     secret of the account hash
//! 18      4      pages in the ledger, little endian
//! 22      12*256 slots: generation (4, little endian; 0: never used), heartbeat (8, monotonic ms)
//! ```
//! A VM claims a slot with its first request, and proves on each tick that it lives. A heartbeat
//! is judged at the moment when the table was read, so a worker whose own loop stalled does not
//! take the others for lost.

use crate::host::Host;
use crate::limits::lease::{Holder, Liveness};
use crate::shared::{Change, Layout, StoreError, Target, update};
use crate::time::{Mono, Span};

/// The most VMs that can hold leases at the same time.
pub const SLOTS: usize = 256;
/// The age from which on a heartbeat is stale.
pub const STALE: Span = Span::from_secs(4);
/// The age of a VM's own heartbeat from which on a request renews it.
const OVERDUE: Span = Span::from_secs(2);
/// Tries to write the table.
const TRIES: u32 = 50;

/// The layout of the slot table.
const LAYOUT: Layout = Layout {
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
    fn is_stale(&self, at: Mono) -> bool {
        self.generation == 0 || self.beat.after(STALE) < at
    }
}

/// The table as it was read.
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
    /// A table without VMs.
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
        out.extend_from_slice(&LAYOUT.prefix());
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&self.pages.to_le_bytes());
        for slot in &self.slots {
            out.extend_from_slice(&slot.generation.to_le_bytes());
            out.extend_from_slice(&slot.beat.as_millis().to_le_bytes());
        }
        out
    }

    /// Reads a table that was read at `read_at`; `None` when it is corrupt.
    ///
    /// # Errors
    /// [`StoreError::Newer`].
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

    /// The number of VMs that were alive when the table was read.
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

    /// Beats for `holder`, or claims a slot when it has none or has been taken for lost.
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
    /// Every slot belongs to a living VM.
    #[error("all {SLOTS} VM slots are taken")]
    Full,
    /// The heartbeat was too old again as soon as it was given.
    #[error("this VM is too slow to prove that it lives")]
    Overdue,
    /// The slot table can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
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

    /// The table as this VM last read it.
    pub fn table(&self) -> &Slots {
        &self.table
    }

    /// The VM's slot; `None` before the first [`VmSlot::beat`].
    pub fn holder(&self) -> Option<Holder> {
        self.holder
    }

    /// True when no request may be admitted before another heartbeat.
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
        let failed = |error| StoreError::Host(LAYOUT.name, error);
        if let Some(stored) = host.get(&self.key).map_err(failed)? {
            self.table = self.read(host, Some(&stored.value))?;
        }
        Ok(())
    }

    /// Proves life: claims a slot if the VM has none, or was taken for lost.
    ///
    /// # Errors
    /// [`SlotError`] when no slot can be had.
    pub fn beat(&mut self, host: &dyn Host) -> Result<Holder, SlotError> {
        let target = Target {
            key: &self.key,
            layout: LAYOUT,
            tries: TRIES,
        };
        let changed = update(host, &target, |bytes| {
            let mut table = self.read(host, bytes)?;
            let holder = table.beat(self.holder).ok_or(SlotError::Full)?;
            Ok::<_, SlotError>(Change::Write(table.encode(), (table, holder)))
        })?;
        let (table, holder) = changed.result;
        self.table = table;
        self.holder = Some(holder);
        Ok(holder)
    }

    /// A table for a host that lost the stored one: same secret, so that accounts stay in place.
    fn initial(&self, now: Mono) -> Slots {
        let mut table = self.table.clone();
        table.read_at = now;
        table
    }

    /// The table in those bytes; without one, or with a corrupt one, the last that was seen.
    fn read(&self, host: &dyn Host, bytes: Option<&[u8]>) -> Result<Slots, StoreError> {
        let now = host.mono();
        let table = Slots::decode(bytes.unwrap_or_default(), now)?;
        Ok(table.unwrap_or_else(|| self.initial(now)))
    }
}
