//! Requests that are held for a lease, and the fast ticks that try them again.
//!
//! A lease frees in another stream, or in another worker; the next fast tick sees both. So the end
//! of a stream resumes no other stream, and no loop is busy: with no paused request, the VM ticks
//! at its usual pace.

use super::envoy::Envoy;
use super::paused::{self, PausedRequest, resume};
use super::tick::TickPeriod;
use crate::host::Clock as _;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// A stream, and its request as long as that is there.
type Place = (u32, Weak<RefCell<dyn PausedRequest>>);

/// The held requests of one root context, in the order in which they came.
#[derive(Debug)]
pub struct WaitingLine {
    places: RefCell<Vec<Place>>,
    tick_period: Rc<TickPeriod>,
}

impl WaitingLine {
    /// An empty line. Ticks come faster while a request is in it.
    pub fn new(tick_period: Rc<TickPeriod>) -> Self {
        Self {
            places: RefCell::default(),
            tick_period,
        }
    }

    /// Adds a request that is paused.
    pub fn add(&self, id: u32, request: &paused::Shared) {
        if let Ok(mut places) = self.places.try_borrow_mut() {
            places.push((id, Rc::downgrade(request)));
            self.tick_period.set_paused(true);
        }
    }

    /// Tries again those for which it may help, in order.
    pub fn tick(&self) {
        let places = self.places.take();
        if places.is_empty() {
            return;
        }
        let now = Envoy.mono();
        let mut paused = Vec::with_capacity(places.len());
        for (id, weak) in places {
            let Some(request) = weak.upgrade() else {
                continue;
            };
            let due = request.try_borrow().is_ok_and(|r| r.is_due(now));
            if due {
                resume(id, &request, |request| request.try_again());
            }
            if request.try_borrow().is_ok_and(|r| r.is_waiting()) {
                paused.push((id, weak));
            }
        }
        self.tick_period.set_paused(!paused.is_empty());
        self.places.replace(paused);
    }
}
