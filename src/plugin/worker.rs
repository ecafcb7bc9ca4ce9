//! What the streams of one config share in one VM. One VM is one thread.

use super::body_wait::BodyWait;
use super::tick::TickPeriod;
use super::waiting_line::WaitingLine;
use crate::config::Config;
use crate::limiter::Limiter;
use std::cell::RefCell;
use std::rc::Rc;

/// One config in one VM.
#[derive(Debug)]
pub struct Worker {
    /// The config in force.
    pub config: Rc<Config>,
    /// Requests that wait for their bodies.
    pub body_wait: BodyWait,
    /// Requests that wait for a lease.
    pub waiting_line: WaitingLine,
    /// How often it ticks.
    pub tick_period: Rc<TickPeriod>,
    limiter: RefCell<Limiter>,
}

impl Worker {
    /// A worker with that gate.
    pub fn new(limiter: Limiter, tick_period: TickPeriod) -> Self {
        let tick_period = Rc::new(tick_period);
        Self {
            config: Rc::clone(limiter.config()),
            body_wait: BodyWait::default(),
            waiting_line: WaitingLine::new(Rc::clone(&tick_period)),
            tick_period,
            limiter: RefCell::new(limiter),
        }
    }

    /// Runs `f` with the gate; `None` when it is in use, which it never should be.
    pub fn with_limiter<T>(&self, f: impl FnOnce(&mut Limiter) -> T) -> Option<T> {
        self.limiter
            .try_borrow_mut()
            .ok()
            .map(|mut limiter| f(&mut limiter))
    }
}
