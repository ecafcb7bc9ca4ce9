//! The work of ticks: heartbeat, settlements, shared work, refusals and metrics; and the end of a limiter.

use super::Limiter;
use crate::claims::Work;
use crate::host::{Host, MetricSink};
use crate::ledger::in_flight::Moves;
use crate::ledger::{Fault, FaultCause};
use crate::metrics::names;

impl Limiter {
    /// Runs one tick: renews the heartbeat, retries settlements, stores refusals, flushes metrics.
    ///
    /// Returns the last fault since the previous tick, for the log.
    pub fn tick(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) -> Option<Fault> {
        let looked = self.vm.borrow_mut().tick(host, &self.config.digest);
        match looked {
            Ok(()) => self.ledger.adopt(self.vm.borrow().table()),
            Err(error) => self.note_fault(error.into()),
        }
        self.look_at_edge(host);
        self.write_joined(host);
        self.settle_pending(host);
        self.refresh_ready(host);
        let claimed = self.claim.tick(host);
        self.keep_fault(claimed);
        match self.published.tick(host, &self.claim) {
            Ok(false) => {}
            Ok(true) => {
                let line = format!("the config in force is {}", self.config.digest);
                self.news.push(line);
            }
            Err(error) => self.note_fault(error.into()),
        }
        let in_force = self.claim.holds(Work::Overload);
        let learnt = self.overload.tick(host, in_force, sink);
        self.keep_fault(learnt);
        let tiers = &self.config.tiers;
        let written = self.refused.write_down(host, &self.refusals, tiers);
        self.keep_fault(written);
        let forgotten = self.refused.forget_late(host, &self.refusals);
        self.keep_fault(forgotten);
        self.write_names(host);
        self.flush(host, sink);
        self.take_fault()
    }

    /// Takes the fault for the log.
    fn take_fault(&mut self) -> Option<Fault> {
        let newer = self.vm.borrow_mut().take_newer();
        newer.or_else(|| self.fault.take())
    }

    /// Keeps the fault of a step for the next log line.
    pub(super) fn keep_fault<E: Into<Fault>>(&mut self, done: Result<(), E>) {
        if let Err(error) = done {
            self.note_fault(error.into());
        }
    }

    pub(super) fn note_fault(&mut self, fault: Fault) {
        match fault.cause() {
            FaultCause::NewerLayout => self.vm.borrow_mut().note_newer(fault),
            _ => self.fault = Some(fault),
        }
    }

    pub(super) fn refresh_ready(&mut self, host: &dyn Host) {
        if let Some(directory) = &self.directory
            && !self.directory_ready
        {
            match directory.is_ready(host) {
                Ok(ready) => self.directory_ready = ready,
                Err(error) => self.note_fault(error.into()),
            }
        }
    }

    /// Stores refusals and flushes metrics when no other tick follows. The last limiter of a VM
    /// gives the slot back, and gives up settlements that can't be stored.
    ///
    /// Returns the last fault, for the log.
    pub fn close(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) -> Option<Fault> {
        self.write_joined(host);
        self.settle_pending(host);
        let tiers = &self.config.tiers;
        let written = self.refused.write_now(host, &self.refusals, tiers);
        self.keep_fault(written);
        self.flush(host, sink);
        self.leave_vm();
        let closed = self.vm.borrow_mut().close(host);
        self.keep_fault(closed);
        self.flush_notices(sink);
        self.take_fault()
    }

    pub(super) fn leave_vm(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.vm.borrow_mut().left();
        }
    }

    /// Measures a few pages, and flushes the counts and the gauges.
    fn flush(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) {
        self.flush_notices(sink);
        self.flush_fleet(host, sink);
        if !std::mem::replace(&mut self.told_build, true) {
            sink.set(&names::build_info(&self.config.namespace), 1);
        }
        let walked = self.ledger.walk(host, self.vm.borrow().table());
        self.keep_fault(walked);
        let mut moves = Moves::new();
        let written = self.vm.borrow_mut().write_gauge(host, &mut moves);
        self.keep_fault(written);
        let mut health = self.ledger.take_health();
        let uncounted = std::mem::take(&mut self.uncounted);
        health.unleased = uncounted.unleased;
        health.unpriced = uncounted.unpriced;
        health.model_unknown = uncounted.model_unknown;
        health.admin_writes = uncounted.admin_writes;
        for corrupt in [
            self.vm.borrow_mut().take_corrupt(),
            self.overload.take_corrupt(),
            self.claim.take_corrupt(),
            self.published.take_corrupt(),
            self.refusals.take_corrupt(),
        ] {
            health.corrupt = health.corrupt.saturating_add(corrupt);
        }
        // The limiter of the config in force never flushes itself.
        let deputy = self.in_force.as_ref();
        let deputy = deputy.and_then(|deputy| deputy.directory.as_ref());
        for directory in self.directory.iter().chain(deputy) {
            let noticed = directory.take_health();
            health.corrupt = health.corrupt.saturating_add(noticed.corrupt);
            health.directory_full = health.directory_full.saturating_add(noticed.full);
        }
        self.counts.flush(health, moves, sink);
    }
}
