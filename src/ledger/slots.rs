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
//! A VM takes a slot with its first counted request, and renews its heartbeat on each tick. The age
//! of a heartbeat is its age when the table was read, so a worker whose own loop stalled does not
//! take the others for lost.

use crate::host::Host;
use crate::limits::lease::{Holder, Liveness};
use crate::shared::{Change, Layout, StoreError, Target, update};
use crate::time::{Mono, Span};

/// The maximum number of VMs with a slot.
pub const SLOTS: usize = 256;
/// The age above which a heartbeat is stale.
pub const STALE: Span = Span::from_secs(4);
/// The age at which a request renews the VM's own heartbeat.
const OVERDUE: Span = Span::from_secs(2);
/// The maximum number of tries to write the table.
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

    /// Returns the number of VMs that were alive when the table was read.
    pub fn alive(&self) -> usize {
        self.slots
            .iter()
            .filter(|s| !s.is_stale(self.read_at))
            .count()
    }

    /// Returns the last VM of each used slot that was stale when the table was read.
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

    /// Renews the heartbeat of `holder`, or takes a slot for a VM without a fresh one.
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
        // A newer generation took the slot after this table was read.
        self.slot(holder).is_some_and(|slot| {
            holder.generation > slot.generation
                || (holder.generation == slot.generation && !slot.is_stale(self.read_at))
        })
    }
}

/// One VM's slot, and the last table that the VM read.
#[derive(Debug)]
pub struct VmSlot {
    key: String,
    table: Slots,
    holder: Option<Holder>,
}

/// The reason why a VM has no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Every slot belongs to a living VM.
    #[error("all {SLOTS} VM slots are taken")]
    Full,
    /// The heartbeat was overdue again right after its renewal.
    #[error("this VM is too slow to prove that it lives")]
    Overdue,
    /// The slot table can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VmSlot {
    /// Creates the state of a VM without a slot.
    pub fn new(key: String, table: Slots) -> Self {
        Self {
            key,
            table,
            holder: None,
        }
    }

    /// Returns the table as this VM last read it.
    pub fn table(&self) -> &Slots {
        &self.table
    }

    /// Returns the VM's slot; `None` before the first [`VmSlot::beat`].
    pub fn holder(&self) -> Option<Holder> {
        self.holder
    }

    /// True when a heartbeat must precede the next admission.
    pub fn is_overdue(&self, now: Mono) -> bool {
        now.since(self.table.read_at) >= OVERDUE
    }

    /// Runs one tick: reads the table, and renews the heartbeat if the VM has a slot.
    ///
    /// # Errors
    /// [`SlotError`] when the table can't be read or written; the last table stays in use.
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

    /// Renews the heartbeat; takes a slot if the VM has none or its slot is stale.
    ///
    /// # Errors
    /// [`SlotError`] when no slot is free, or the table can't be used.
    pub fn beat(&mut self, host: &dyn Host) -> Result<Holder, SlotError> {
        let target = Target {
            key: &self.key,
            layout: LAYOUT,
            tries: TRIES,
        };
        let changed = update(host, &target, |bytes| {
            let mut table = self.read(host, bytes.as_deref())?;
            let holder = table.beat(self.holder).ok_or(SlotError::Full)?;
            Ok::<_, SlotError>(Change::Write(table.encode(), (table, holder)))
        })?;
        let (table, holder) = changed.result;
        self.table = table;
        self.holder = Some(holder);
        Ok(holder)
    }

    /// Returns a table for a host that lost the stored one. The secret stays the same, so accounts
    /// keep their pages.
    fn initial(&self, now: Mono) -> Slots {
        let mut table = self.table.clone();
        table.read_at = now;
        table
    }

    /// Decodes the table; missing or corrupt bytes read as the last table.
    fn read(&self, host: &dyn Host, bytes: Option<&[u8]>) -> Result<Slots, StoreError> {
        let now = host.mono();
        let table = Slots::decode(bytes.unwrap_or_default(), now)?;
        Ok(table.unwrap_or_else(|| self.initial(now)))
    }
}
