//! What the streams of one config share in one VM. One VM is one thread.

use super::body_wait::BodyWait;
use super::tick::TickPeriod;
use super::waiting_line::WaitingLine;
use crate::config::Config;
use crate::gate::Gate;
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
    gate: RefCell<Gate>,
}

impl Worker {
    /// A worker with that gate.
    pub fn new(gate: Gate, tick_period: TickPeriod) -> Self {
        let tick_period = Rc::new(tick_period);
        Self {
            config: Rc::clone(gate.config()),
            body_wait: BodyWait::default(),
            waiting_line: WaitingLine::new(Rc::clone(&tick_period)),
            tick_period,
            gate: RefCell::new(gate),
        }
    }

    /// Runs `f` with the gate; `None` when it is in use, which it never should be.
    pub fn with_gate<T>(&self, f: impl FnOnce(&mut Gate) -> T) -> Option<T> {
        self.gate.try_borrow_mut().ok().map(|mut gate| f(&mut gate))
    }
}
