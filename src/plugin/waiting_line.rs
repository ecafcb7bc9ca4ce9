//! Requests that are held for a lease, and the fast ticks that try them again.
//!
//! A lease frees in another stream, or in another worker; the next fast tick sees both. So nobody
//! is resumed out of another stream's end, and no loop is busy: while nobody is held, the VM ticks
//! at its usual pace.

use super::envoy::Envoy;
use super::exchange::Exchange;
use super::hostcalls;
use super::root::TICK_MS;
use crate::host::Clock as _;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// How often held requests are tried again, in milliseconds.
const FAST_TICK_MS: u32 = 10;

/// The held requests of one root context, in the order in which they came.
#[derive(Debug, Default)]
pub struct WaitingLine(RefCell<Vec<(u32, Weak<RefCell<Exchange>>)>>);

impl WaitingLine {
    /// Adds a request that is held.
    pub fn add(&self, id: u32, exchange: &Rc<RefCell<Exchange>>) {
        let Ok(mut line) = self.0.try_borrow_mut() else {
            return;
        };
        if line.is_empty() {
            set_tick_period(FAST_TICK_MS);
        }
        line.push((id, Rc::downgrade(exchange)));
    }

    /// Tries again those for which it may help, in order; says whether any was held.
    pub fn tick(&self) -> bool {
        let line = self.0.take();
        if line.is_empty() {
            return false;
        }
        let now = Envoy.mono();
        let mut held = Vec::with_capacity(line.len());
        for (id, weak) in line {
            let Some(exchange) = weak.upgrade() else {
                continue;
            };
            let due = exchange.try_borrow().is_ok_and(|e| e.is_due(now));
            if due {
                resume(id, &exchange, Exchange::try_again);
            }
            if exchange.try_borrow().is_ok_and(|e| e.is_waiting()) {
                held.push((id, weak));
            }
        }
        if held.is_empty() {
            set_tick_period(TICK_MS);
        }
        self.0.replace(held);
        true
    }
}

fn set_tick_period(ms: u32) {
    if let Err(error) = hostcalls::set_tick_period(ms) {
        log::warn!("tiergate: tick period: {error}");
    }
}

/// Runs `judge` on a held request of another stream, and lets it go on if that says so.
pub fn resume(
    id: u32,
    exchange: &Rc<RefCell<Exchange>>,
    judge: impl FnOnce(&mut Exchange) -> bool,
) {
    let resumed = hostcalls::set_effective_context(id).and_then(|()| {
        // The exchange is free again before Envoy goes on with it.
        let goes_on = exchange
            .try_borrow_mut()
            .is_ok_and(|mut exchange| judge(&mut exchange));
        if goes_on {
            hostcalls::resume_request()
        } else {
            Ok(())
        }
    });
    if let Err(error) = resumed {
        log::warn!("tiergate: a held request could not be resumed: {error}");
    }
}
