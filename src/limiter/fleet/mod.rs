//! This worker's part in the fleet: the decision on its requests, and what that asks for.
//!
//! All limiters of a VM share one [`Desk`]. An answer wakes the requests of the limiter that asked; those
//! of others look for it by themselves.

mod calls;
mod desk;
mod follow;
mod gather;
mod shared_dirty;
mod view;

pub use calls::FleetCall;
pub(super) use desk::{Desk, FleetWait};
pub use view::{FleetStatus, FleetUse, MeterUse};

use super::{CheckResult, Limiter, Next, Ticket};
use crate::config::{Config, Mode};
use crate::fleet::allowances::usual_bytes;
use crate::fleet::edge::Edge;
use crate::fleet::meter_key::demands;
use crate::fleet::policy::CutOff;
use crate::fleet::take::{Asking, Stake};
use crate::fleet::{Draft, EdgeView, Fleet};
use crate::host::{Host, MetricSink};
use crate::ledger::AccountKey;
use crate::limits::plan::Finite;
use crate::limits::{Ask, Decision, Lowered, Record, Terms, admit_through};
use crate::metrics::names;
use crate::shared::StoreError;
use crate::shared::cell::{Content as _, SharedCell};
use crate::time::{Mono, Now};

impl Limiter {
    /// Makes this VM a part of the fleet, where the config has one; `nonce` is the VM's.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn join_fleet(&mut self, host: &dyn Host, nonce: u64) -> Result<(), StoreError> {
        if self.config.fleet.is_none() {
            return Ok(());
        }
        let mut vm = self.vm.borrow_mut();
        if vm.desk.edge.is_none() {
            let [a, b, ..] = nonce.to_le_bytes();
            vm.desk.random = u16::from_le_bytes([a, b]);
            let shared = SharedCell::<shared_dirty::DirtyAccounts>::of(&self.config.namespace);
            let failed = |error| StoreError::Host(shared_dirty::DirtyAccounts::LAYOUT.name, error);
            shared.create(host).map_err(failed)?;
            vm.desk.shared = Some(shared);
            vm.desk.edge = Some(Edge::open(host, &self.config.namespace, nonce)?);
        }
        Ok(())
    }

    /// Returns the fleet of the config, with what the edge knows of it; `None` without one.
    pub(super) fn fleet(&self) -> Option<(&Fleet, EdgeView)> {
        let fleet = self.config.fleet.as_ref()?;
        let view = self.vm.borrow().desk.edge.as_ref()?.view();
        Some((fleet, view))
    }

    /// Returns the moment since which this edge is cut off for so long that its leases are given to
    /// others, where `cut_off` is `reset`.
    pub fn cut_off_since(&self, now: Mono) -> Option<Mono> {
        let fleet = self.config.fleet.as_ref()?;
        let resets = fleet.policy.cut_off == CutOff::Reset;
        let vm = self.vm.borrow();
        let edge = vm.desk.edge.as_ref().filter(|_| resets)?;
        edge.cut_off_since(now)
    }

    /// Opens the part of a request in the fleet.
    pub(super) fn stake_of<'a>(
        &self,
        record: &Record,
        (fleet, view): (&'a Fleet, EdgeView),
        (ticket, ask, lowered): (&'a Ticket, &Ask, Option<Lowered>),
        now: Now,
    ) -> Stake<'a> {
        let asking = Asking {
            fleet,
            account: &ticket.account.id,
            view,
            random: self.vm.borrow().desk.random,
            waited: ticket.fleet.waited(fleet, now.mono),
            never_waits: self.config.mode_of(Some(ticket.tier)) == Mode::Shadow,
        };
        let need = |one: &Finite| match ask.is_free(one.kind) {
            true => 0,
            false => ask.need(one.kind),
        };
        let lowered = lowered.map(|lowered| lowered.at(now.mono));
        Stake::open(record, demands(&ticket.plan, lowered, need), asking, now)
    }

    /// Decides on a request, and on its part in the fleet; returns what it asks for.
    pub(super) fn admit_in_fleet(
        &self,
        record: &mut Record,
        (ticket, ask): (&Ticket, &Ask),
        terms: &Terms<'_>,
        fleet: (&Fleet, EdgeView),
        now: Now,
    ) -> (Option<Decision>, Option<Draft>) {
        let mut stake = None;
        let mut gate = |record: &Record| {
            let stake =
                stake.insert(self.stake_of(record, fleet, (ticket, ask, terms.lowered), now));
            stake.judge(record, now)
        };
        let mut decision = admit_through(record, ask, terms, now, &mut gate);
        let Some(mut stake) = stake else {
            return (decision, None);
        };
        match &mut decision {
            Some(Decision::Admitted(_, snapshot)) => {
                stake.spend(record, now);
                snapshot.cap(|kind| stake.left(kind));
            }
            None if stake.asks() => {}
            _ => return (decision, None),
        }
        let draft = stake.write(record, now);
        (decision, draft)
    }

    /// Notes that there may be something to say of an account, and what its request asks for.
    pub(super) fn note_stake(&self, key: AccountKey, draft: Option<Draft>) {
        if self.config.fleet.is_none() {
            return;
        }
        let desk = &mut self.vm.borrow_mut().desk;
        desk.random = desk.random.wrapping_add(1);
        if let Some(draft) = draft {
            desk.counts.asks = desk.counts.asks.saturating_add(1);
            desk.asks.push(calls::Addressed { key, draft });
        }
        desk.note(key);
    }

    /// Notes the end of a request of an account, which others wait to hear of if it `is_urgent`.
    pub(super) fn note_end(&self, key: AccountKey, is_urgent: bool) {
        if self.config.fleet.is_none() {
            return;
        }
        let desk = &mut self.vm.borrow_mut().desk;
        desk.note(key);
        if is_urgent {
            desk.urgent.insert(key);
        }
    }

    /// Holds a request until an answer comes.
    pub(super) fn hold_for_fleet(&self, host: &dyn Host, mut ticket: Ticket) -> CheckResult {
        ticket.fleet.hold(host.mono());
        CheckResult {
            log: None,
            next: Next::Queue(Box::new(ticket)),
        }
    }

    /// True when a look at the record can end the wait of a request for the fleet.
    pub(super) fn is_answered(&self, ticket: &Ticket, now: Mono) -> bool {
        ticket.fleet.look_at <= now || self.vm.borrow().desk.answered.contains(&ticket.key)
    }

    /// Counts asks and answers; the VM that speaks for the edge sets its gauges.
    pub(super) fn flush_fleet(&self, host: &dyn Host, sink: &mut dyn MetricSink) {
        if self.config.fleet.is_none() {
            return;
        }
        let desk = &mut self.vm.borrow_mut().desk;
        let counts = std::mem::take(&mut desk.counts);
        let namespace = &self.config.namespace;
        for (family, n) in [
            (names::FLEET_ASKS, counts.asks),
            (names::FLEET_GRANTS, counts.grants),
            (names::FLEET_FAILURES, counts.failures),
        ] {
            if n > 0 || !self.told_build {
                sink.count(&family.of(namespace), n);
            }
        }
        let Some(edge) = desk.edge.as_ref().filter(|edge| edge.speaks()) else {
            return;
        };
        let outstanding = u64::try_from(desk.dirty.len()).unwrap_or(u64::MAX);
        sink.set(&names::FLEET_OUTSTANDING.of(namespace), outstanding);
        if let Some(age) = edge.age(host.mono()) {
            sink.set(&names::FLEET_AGE.of(namespace), age.as_secs_floor());
        }
    }
}

/// Returns the bytes that the largest part in the fleet usually takes.
pub(super) fn record_bytes(config: &Config) -> usize {
    if config.fleet.is_none() {
        return 0;
    }
    let meters = config.tiers.iter();
    let meters = meters.map(|tier| tier.all_limits().finite().count());
    usual_bytes(meters.max().unwrap_or(0))
}
