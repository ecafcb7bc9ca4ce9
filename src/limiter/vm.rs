//! The state that all limiters of one VM share: the VM's slot, its requests in flight, and
//! its pending settlements.
//!
//! Envoy gives each config a root context of its own, but one VM for all that have the module and
//! the `vm_config` in common. They fall together in a trap, so one slot is enough for their leases.
//! With a slot for each config, configs that drain would use up the slot table.

use super::fleet::Desk;
use super::joined::Joined;
use super::pending::Pending;
use crate::host::Host;
use crate::ledger::in_flight::{Moves, PerTier};
use crate::ledger::{Fault, InFlight, SlotError, Slots, VmSlot, slots_key};
use crate::limits::Holder;
use crate::notices::Outbox;
use crate::shared::StoreError;
use crate::time::{Mono, Span};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// The time without a request after which a VM gives its slot back.
const IDLE_AFTER: Span = Span::from_secs(2);
/// The time for which one limiter's look at the slot table serves the others.
const LOOK_SERVES: Span = Span::from_millis(250);

/// One VM, which is one thread: the state of each namespace that has a limiter in it.
#[derive(Debug, Default)]
pub struct Vm(RefCell<BTreeMap<String, Weak<RefCell<VmState>>>>);

impl Vm {
    /// Joins the state of `namespace`; the first limiter brings the slot table.
    pub(super) fn join(&self, namespace: &str, table: Slots) -> Rc<RefCell<VmState>> {
        let mut states = self.0.borrow_mut();
        states.retain(|_, state| state.strong_count() > 0);
        let state = states.get(namespace).and_then(Weak::upgrade);
        let state = state.unwrap_or_else(|| {
            let state = VmState::new(namespace, table);
            let state = Rc::new(RefCell::new(state));
            states.insert(namespace.to_owned(), Rc::downgrade(&state));
            state
        });
        state.borrow_mut().joined();
        state
    }
}

/// A fault, and if it was logged.
#[derive(Debug)]
struct Told {
    fault: Fault,
    told: bool,
}

/// One VM in one namespace.
#[derive(Debug)]
pub(super) struct VmState {
    slot: VmSlot,
    /// The requests in flight of all limiters.
    in_flight: PerTier,
    gauge: InFlight,
    /// Settlements that the ledger could not store; each tick retries them.
    pub pending: Pending,
    /// Settlements that wait for a write of their page.
    pub joined: Joined,
    /// Notices that their receiver does not have yet.
    pub outbox: Outbox,
    /// The VM's part in the fleet.
    pub desk: Desk,
    /// The last moment with a request in flight, or with a claim of the slot.
    active_at: Mono,
    /// The number of open limiters.
    limiters: usize,
    /// A fault by a value of newer code, which is told once.
    newer: Option<Told>,
    /// The config's digest of the limiter that looked at the slot table last.
    looked: Option<String>,
}

impl VmState {
    fn new(namespace: &str, table: Slots) -> Self {
        Self {
            slot: VmSlot::new(slots_key(namespace), table),
            in_flight: PerTier::new(),
            gauge: InFlight::new(namespace),
            pending: Pending::default(),
            joined: Joined::default(),
            outbox: Outbox::default(),
            desk: Desk::default(),
            active_at: Mono::default(),
            limiters: 0,
            newer: None,
            looked: None,
        }
    }

    pub fn joined(&mut self) {
        self.limiters = self.limiters.saturating_add(1);
    }

    /// A limiter ends.
    pub fn left(&mut self) {
        self.limiters = self.limiters.saturating_sub(1);
    }

    /// Returns the slot table as this VM last read it.
    pub fn table(&self) -> &Slots {
        self.slot.table()
    }

    /// True when a heartbeat must precede the next admission.
    pub fn is_overdue(&self, now: Mono) -> bool {
        self.slot.is_overdue(now)
    }

    /// Returns the VM's slot, and takes one if it has none.
    ///
    /// # Errors
    /// The errors of [`Self::renewed`].
    pub fn holder(&mut self, host: &dyn Host) -> Result<Holder, SlotError> {
        match self.slot.holder() {
            Some(holder) => Ok(holder),
            None => self.renewed(host),
        }
    }

    /// Returns the VM's slot with a new heartbeat.
    ///
    /// # Errors
    /// [`SlotError`] when no slot is free, or the table can't be used.
    pub fn renewed(&mut self, host: &dyn Host) -> Result<Holder, SlotError> {
        let holder = self.slot.beat(host)?;
        self.active_at = self.slot.table().read_at();
        Ok(holder)
    }

    /// Counts one more request in flight, admitted at `at`.
    pub fn begun(&mut self, tier: &str, at: Mono) {
        self.active_at = self.active_at.max(at);
        match self.in_flight.get_mut(tier) {
            Some(n) => *n = n.saturating_add(1),
            None => _ = self.in_flight.insert(tier.to_owned(), 1),
        }
    }

    /// Counts one request less in flight.
    pub fn ended(&mut self, tier: &str) {
        if let Some(n) = self.in_flight.get_mut(tier) {
            *n = n.saturating_sub(1);
        }
        self.in_flight.retain(|_, n| *n > 0);
    }

    /// Runs one tick of the limiter `by`: looks at the slot table; renews the heartbeat, or gives
    /// the slot back when the VM is idle.
    ///
    /// # Errors
    /// [`SlotError`] when no slot is free, or the table can't be used.
    pub fn tick(&mut self, host: &dyn Host, by: &str) -> Result<(), SlotError> {
        let now = host.mono();
        let looked_at = self.slot.table().read_at();
        let another = self.looked.as_deref().is_some_and(|looked| looked != by);
        if another && now.since(looked_at) < LOOK_SERVES {
            return Ok(());
        }
        self.looked = Some(by.to_owned());
        if !self.in_flight.is_empty() {
            // A VM with only unlimited tiers also needs a slot, for the gauge.
            return self.renewed(host).map(|_| ());
        }
        match now.since(self.active_at) >= IDLE_AFTER && self.holds_nothing() {
            true => self.slot.give_back(host),
            false => self.slot.tick(host),
        }
    }

    /// True when no lease of this VM waits to be given back.
    fn holds_nothing(&self) -> bool {
        self.pending.is_empty() && self.joined.is_empty()
    }

    /// Gives the slot back when the last limiter has left.
    ///
    /// # Errors
    /// [`SlotError`] when the table can't be used.
    pub fn close(&mut self, host: &dyn Host) -> Result<(), SlotError> {
        let is_last = self.limiters == 0;
        if is_last {
            self.outbox.give_up();
        }
        match is_last && self.in_flight.is_empty() && self.holds_nothing() {
            true => self.slot.give_back(host),
            false => Ok(()),
        }
    }

    /// Writes this VM's part of the gauge, and adds the change of the gauge to `moves`.
    ///
    /// # Errors
    /// The errors of [`InFlight::update`].
    pub fn write_gauge(&mut self, host: &dyn Host, moves: &mut Moves) -> Result<(), StoreError> {
        let (holder, table) = (self.slot.holder(), self.slot.table());
        self.gauge
            .update(host, holder, &self.in_flight, table, moves)
    }

    /// Notes a fault by a value of newer code. It stays until the module goes, so one line of log
    /// is enough.
    pub fn note_newer(&mut self, fault: Fault) {
        self.newer.get_or_insert(Told { fault, told: false });
    }

    /// Takes the fault by a value of newer code, once.
    pub fn take_newer(&mut self) -> Option<Fault> {
        let newer = self.newer.as_mut()?;
        let told = std::mem::replace(&mut newer.told, true);
        (!told).then_some(newer.fault)
    }

    /// Takes the number of corrupt parts of the gauge, and values of the fleet, since the last call.
    pub fn take_corrupt(&mut self) -> u64 {
        let of_fleet = self.desk.take_corrupt();
        self.gauge.take_corrupt().saturating_add(of_fleet)
    }
}
