//! One VM's slot, and its view of the other VMs.
//!
//! A VM takes a slot with its first request, renews its heartbeat there on each tick, and gives the
//! slot back when it has been idle. A VM is lost when its heartbeat stays the same for
//! [`LOST_AFTER`] of another VM's own looks at the table. A gap between two looks counts as at most
//! 1 s. So a process that stood still for long loses no VM when it goes on.

use super::slots::{LAYOUT, SLOTS, Slots};
use crate::host::Host;
use crate::limits::lease::Holder;
use crate::shared::{Change, StoreError, Target, update};
use crate::time::{Mono, Span};

/// The silence after which a VM is lost.
pub const LOST_AFTER: Span = Span::from_secs(4);
/// The maximum silence that one gap between two looks can show.
const LONGEST_GAP: Span = Span::from_secs(1);
/// The age of the last look from which a request must renew the VM's own heartbeat: well under
/// [`LOST_AFTER`], so that no lease is taken in a slot that others have freed.
const OVERDUE: Span = Span::from_secs(2);
/// The maximum number of tries to write the table: more than VMs that may start at once.
const TRIES: u32 = 300;

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

/// One VM's slot, and the last table that the VM read.
#[derive(Debug)]
pub struct VmSlot {
    key: String,
    table: Slots,
    heard: Heard,
    holder: Option<Holder>,
}

impl VmSlot {
    /// Creates the state of a VM without a slot.
    pub fn new(key: String, table: Slots) -> Self {
        let mut heard = Heard::default();
        heard.note(&table);
        Self {
            key,
            table,
            heard,
            holder: None,
        }
    }

    /// Returns the table as this VM last read it.
    pub fn table(&self) -> &Slots {
        &self.table
    }

    /// Returns the VM's slot, if it has one.
    pub fn holder(&self) -> Option<Holder> {
        self.holder
    }

    /// True when a heartbeat must precede the next admission.
    pub fn is_overdue(&self, now: Mono) -> bool {
        now.since(self.table.read_at()) >= OVERDUE
    }

    /// Runs one tick: looks at the table, and renews the heartbeat if the VM has a slot.
    ///
    /// # Errors
    /// [`SlotError`] when the table can't be read or written; the last table stays in use.
    pub fn tick(&mut self, host: &dyn Host) -> Result<(), SlotError> {
        match self.holder {
            Some(_) => self.beat(host).map(|_| ()),
            None => self.look(host, |_| None),
        }
    }

    /// Renews the heartbeat; takes a slot if the VM has none or has lost it.
    ///
    /// # Errors
    /// [`SlotError`] when no slot is free, or the table can't be used.
    pub fn beat(&mut self, host: &dyn Host) -> Result<Holder, SlotError> {
        let holder = self.holder;
        self.look(host, |table| {
            let kept = holder.filter(|holder| table.renew(*holder));
            kept.or_else(|| table.claim())
        })?;
        self.holder.ok_or(SlotError::Full)
    }

    /// Gives the slot back, if the VM has one, and looks at the table.
    ///
    /// # Errors
    /// [`SlotError`] when the table can't be read or written; the VM keeps its slot.
    pub fn give_back(&mut self, host: &dyn Host) -> Result<(), SlotError> {
        let holder = self.holder;
        self.look(host, |table| {
            if let Some(holder) = holder {
                table.free(holder);
            }
            None
        })
    }

    /// Reads the table, frees the slots of lost VMs, and runs `act`, which returns this VM's slot.
    fn look(
        &mut self,
        host: &dyn Host,
        act: impl Fn(&mut Slots) -> Option<Holder>,
    ) -> Result<(), SlotError> {
        let target = Target {
            key: &self.key,
            layout: LAYOUT,
            tries: TRIES,
        };
        let changed = update(host, &target, |bytes| {
            let now = host.mono();
            let stored = Slots::decode(&bytes.unwrap_or_default(), now)?;
            let stands = stored.is_some();
            // Missing or corrupt bytes read as the last table: the secret stays the same, so
            // accounts keep their pages.
            let read = stored.unwrap_or_else(|| self.table.read_again(now));
            let mut table = read.clone();
            for lost in self.heard.lost(&read) {
                if Some(lost) != self.holder {
                    table.free(lost);
                }
            }
            let holder = act(&mut table);
            // A VM without a slot leaves it to others to write a table that the host lost.
            let keeps = table == read && (stands || holder.is_none());
            Ok::<_, SlotError>(match keeps {
                true => Change::Keep((table, holder)),
                false => Change::Write(table.encode(), (table, holder)),
            })
        })?;
        let (table, holder) = changed.result;
        self.heard.note(&table);
        self.table = table;
        self.holder = holder;
        Ok(())
    }
}

/// The last heartbeats that one VM has seen of each slot.
#[derive(Debug, Default)]
struct Heard {
    slots: Vec<Option<Silence>>,
    looked_at: Mono,
}

/// A heartbeat, and the time for which it has been the last.
#[derive(Clone, Copy, Debug)]
struct Silence {
    of: Holder,
    beat: Mono,
    lasts: Span,
}

impl Heard {
    /// Returns the silence of a VM in a table that was read at `now`.
    fn silence(&self, of: Holder, beat: Mono, now: Mono) -> Silence {
        let seen = self.slots.get(usize::from(of.slot)).copied().flatten();
        let same = seen.filter(|seen| seen.of == of && seen.beat == beat);
        let (before, since) = match same {
            Some(seen) => (seen.lasts, self.looked_at),
            None => (Span::ZERO, beat),
        };
        let gap = now.since(since).min(LONGEST_GAP);
        let lasts = before.as_millis().saturating_add(gap.as_millis());
        Silence {
            of,
            beat,
            lasts: Span::from_millis(lasts),
        }
    }

    /// Returns the VMs that are lost.
    fn lost(&self, table: &Slots) -> Vec<Holder> {
        let now = table.read_at();
        table
            .heartbeats()
            .filter(|(of, beat)| self.silence(*of, *beat, now).lasts >= LOST_AFTER)
            .map(|(of, _)| of)
            .collect()
    }

    /// Notes a look at the table.
    fn note(&mut self, table: &Slots) {
        let mut slots = vec![None; SLOTS];
        for (of, beat) in table.heartbeats() {
            if let Some(place) = slots.get_mut(usize::from(of.slot)) {
                *place = Some(self.silence(of, beat, table.read_at()));
            }
        }
        self.slots = slots;
        self.looked_at = table.read_at();
    }
}
