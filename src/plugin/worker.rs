//! The state that the streams of one config share in one VM. One VM is one thread.

use super::body_wait::BodyWait;
use super::envoy::Envoy;
use super::tick::TickPeriod;
use crate::config::Config;
use crate::limiter::{Admission, Limiter};
use crate::time::Mono;
use crate::tokens::consumed::Consumed;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// One config in one VM.
#[derive(Debug)]
pub struct Worker {
    /// The active config.
    pub config: Rc<Config>,
    /// The knowledge of whether the host delivers bodies while headers are paused.
    pub body_wait: BodyWait,
    /// The tick period of the root context.
    pub tick_period: TickPeriod,
    /// The time of the last slow tick, in half seconds.
    half_seconds: Cell<u64>,
    limiter: RefCell<Limiter>,
}

impl Worker {
    /// Creates a worker with this limiter.
    pub fn new(limiter: Limiter, tick_period: TickPeriod) -> Self {
        let config = Rc::clone(limiter.config());
        Self {
            config,
            body_wait: BodyWait::default(),
            tick_period,
            half_seconds: Cell::new(0),
            limiter: RefCell::new(limiter),
        }
    }

    /// Notes the time of a slow tick.
    pub fn note_time(&self, now: Mono) {
        self.half_seconds.set(now.as_millis() / 500);
    }

    /// Returns the time of the last slow tick in half seconds, without a call of the host.
    pub fn half_seconds(&self) -> u64 {
        self.half_seconds.get()
    }

    /// Settles an admitted request; ticks come faster while settlements wait.
    pub fn settle(&self, admission: Admission, consumed: Consumed) {
        let joined = self.with_limiter(|limiter| {
            limiter.settle(&Envoy, admission, consumed);
            limiter.has_joined()
        });
        if joined == Some(true) {
            self.tick_period.set_joining(true);
        }
        self.hurry_asks();
    }

    /// Lets the next tick come soon while the fleet is to be asked, or told, at once.
    pub fn hurry_asks(&self) {
        if self.config.fleet.is_some() {
            let asks = self.with_limiter(|limiter| limiter.has_asks());
            self.tick_period.set_asking(asks == Some(true));
        }
    }

    /// Writes the settlements that wait. Ticks are slow again when none did since the last one.
    pub fn write_joined(&self) {
        let waited = self.with_limiter(|limiter| {
            let waited = limiter.has_joined();
            limiter.write_joined(&Envoy);
            waited
        });
        if waited == Some(false) {
            self.tick_period.set_joining(false);
        }
    }

    /// Runs `f` with the limiter; `None` while the limiter is in use, which is a bug.
    pub fn with_limiter<T>(&self, f: impl FnOnce(&mut Limiter) -> T) -> Option<T> {
        self.limiter
            .try_borrow_mut()
            .ok()
            .map(|mut limiter| f(&mut limiter))
    }
}
