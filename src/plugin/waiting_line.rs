//! Requests that are held for a lease, and the fast ticks that try them again.
//!
//! A lease frees in another stream, or in another worker; the next fast tick sees both. So nobody
//! is resumed out of another stream's end, and no loop is busy: while nobody is held, the VM ticks
//! at its usual pace.

use super::envoy::Envoy;
use super::held::{self, HeldRequest, resume};
use super::hostcalls;
use crate::host::Clock as _;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// How often a VM proves that it lives, and hands its counts over, in milliseconds.
pub const TICK_MS: u32 = 500;
/// How often held requests are tried again, in milliseconds.
pub const FAST_TICK_MS: u32 = 10;

/// A stream, and its request as long as that is there.
type Place = (u32, Weak<RefCell<dyn HeldRequest>>);

/// The held requests of one root context, in the order in which they came.
#[derive(Debug, Default)]
pub struct WaitingLine(RefCell<Vec<Place>>);

impl WaitingLine {
    /// Adds a request that is held.
    pub fn add(&self, id: u32, request: &held::Shared) {
        let Ok(mut line) = self.0.try_borrow_mut() else {
            return;
        };
        if line.is_empty() {
            set_tick_period(FAST_TICK_MS);
        }
        line.push((id, Rc::downgrade(request)));
    }

    /// Whether nobody is held.
    pub fn is_empty(&self) -> bool {
        self.0.try_borrow().is_ok_and(|line| line.is_empty())
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
            let Some(request) = weak.upgrade() else {
                continue;
            };
            let due = request.try_borrow().is_ok_and(|r| r.is_due(now));
            if due {
                resume(id, &request, |request| request.try_again());
            }
            if request.try_borrow().is_ok_and(|r| r.is_waiting()) {
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

/// Asks for another pace.
pub fn set_tick_period(ms: u32) {
    if let Err(error) = hostcalls::set_tick_period(ms) {
        log::warn!("tiergate: tick period: {error}");
    }
}
