//! The paused requests of one root context, and the ticks that resume them.
//!
//! Another stream or another worker returns the lease that a request waits for, and a body may
//! never come. Ticks observe both, so no stream resumes another one, and nothing polls in a loop.

use super::body_wait::BodyWait;
use super::envoy::Envoy;
use super::exchange::Exchange;
use super::hostcalls;
use super::log::warn;
use super::phase::{Flow, PausedFor};
use super::worker::Worker;
use crate::host::{Clock as _, HostError};
use crate::time::Mono;
use std::cell::RefCell;
use std::mem::take;
use std::rc::{Rc, Weak};

/// The registry of paused requests. Queued requests stay in first-come order.
#[derive(Debug)]
pub struct PausedRequests {
    worker: Rc<Worker>,
    entries: RefCell<Vec<Entry>>,
}

/// A paused request, as long as its stream exists.
#[derive(Debug)]
struct Entry {
    /// The stream's context id.
    id: u32,
    exchange: Weak<RefCell<Exchange>>,
    reason: PausedFor,
    since: Mono,
}

impl PausedRequests {
    /// Creates an empty registry for the requests of `worker`.
    pub const fn new(worker: Rc<Worker>) -> Self {
        Self {
            worker,
            entries: RefCell::new(Vec::new()),
        }
    }

    /// Registers the paused request of the stream `id`. Ticks come faster while a request waits for
    /// a lease.
    pub fn register(&self, id: u32, exchange: &Rc<RefCell<Exchange>>, reason: PausedFor) {
        if reason == PausedFor::Body && self.worker.body_wait.is_certain() {
            return;
        }
        if let Ok(mut entries) = self.entries.try_borrow_mut() {
            entries.push(Entry {
                id,
                exchange: Rc::downgrade(exchange),
                reason,
                since: Envoy.mono(),
            });
        }
        if reason == PausedFor::Lease {
            self.worker.tick_period.set_paused(true);
            self.worker.hurry_asks();
        }
    }

    /// Retries the queued requests that may be due, in order. Runs on every tick.
    pub fn retry_queued(&self) {
        if !self.holds(PausedFor::Lease) {
            return;
        }
        let now = Envoy.mono();
        self.visit(PausedFor::Lease, |entry, exchange| {
            if exchange.try_borrow().is_ok_and(|e| e.is_due(now)) {
                resume(entry.id, exchange, Exchange::retry);
            }
        });
    }

    /// Gives up on bodies that do not come. Runs on slow ticks only.
    pub fn give_up_bodies(&self, now: Mono) {
        let bodies = &self.worker.body_wait;
        bodies.tick(now);
        if bodies.is_certain() {
            self.forget(PausedFor::Body);
            return;
        }
        bodies.begin_round();
        self.visit(PausedFor::Body, |entry, exchange| {
            if BodyWait::is_overdue(entry.since, now) {
                resume(entry.id, exchange, Exchange::give_up_body);
            }
        });
        bodies.end_round(Envoy.mono());
    }

    fn holds(&self, reason: PausedFor) -> bool {
        let entries = self.entries.try_borrow();
        entries.is_ok_and(|entries| entries.iter().any(|entry| entry.reason == reason))
    }

    fn forget(&self, reason: PausedFor) {
        if let Ok(mut entries) = self.entries.try_borrow_mut() {
            entries.retain(|entry| entry.reason != reason);
        }
    }

    /// Runs `step` on each request that is paused for `reason`, then keeps the requests that are
    /// still paused. A request that is now paused for another reason goes to the end.
    fn visit(&self, reason: PausedFor, step: impl Fn(&Entry, &Rc<RefCell<Exchange>>)) {
        let paused_for = |exchange: &Rc<RefCell<Exchange>>| {
            let exchange = exchange.try_borrow().ok();
            exchange.and_then(|exchange| exchange.paused_for())
        };
        let Ok(entries) = self.entries.try_borrow_mut().map(|mut all| take(&mut *all)) else {
            return;
        };
        let mut kept = Vec::with_capacity(entries.len());
        let mut moved = Vec::new();
        for entry in entries {
            if entry.reason != reason {
                kept.push(entry);
                continue;
            }
            let Some(exchange) = entry.exchange.upgrade() else {
                continue;
            };
            if paused_for(&exchange) != Some(reason) {
                continue;
            }
            step(&entry, &exchange);
            match paused_for(&exchange) {
                Some(now_for) if now_for == reason => kept.push(entry),
                Some(now_for) => moved.push((entry.id, exchange, now_for)),
                None => {}
            }
        }
        if let Ok(mut entries) = self.entries.try_borrow_mut() {
            kept.append(&mut entries);
            *entries = kept;
        }
        for (id, exchange, now_for) in moved {
            self.register(id, &exchange, now_for);
        }
        let queued = self.holds(PausedFor::Lease);
        self.worker.tick_period.set_paused(queued);
        self.worker.hurry_asks();
    }
}

/// Runs `step` on a paused request of another stream, and resumes the request on `Continue`.
fn resume(id: u32, exchange: &Rc<RefCell<Exchange>>, step: fn(&mut Exchange) -> Flow) {
    if let Err(error) = try_resume(id, exchange, step) {
        warn!("a held request could not be resumed: {error}");
    }
}

fn try_resume(
    id: u32,
    exchange: &Rc<RefCell<Exchange>>,
    step: fn(&mut Exchange) -> Flow,
) -> Result<(), HostError> {
    hostcalls::set_effective_context(id)?;
    // The borrow ends here, before Envoy goes on with the request.
    let flow = exchange
        .try_borrow_mut()
        .map_or(Flow::Hold, |mut exchange| step(&mut exchange));
    match flow {
        Flow::Continue => hostcalls::resume_request(),
        // The registry asks the exchange for its new wait.
        Flow::Hold | Flow::Pause(_) => Ok(()),
    }
}
