//! The tick period of a VM for a root context: half a second, and shorter while work is waiting.

use super::hostcalls;
use super::log::warn;
use crate::host::HostError;
use std::cell::Cell;

/// The usual period, for the heartbeat and the flush of counts, in milliseconds.
const USUAL_MS: u32 = 500;
/// The period while a request waits for a lease, in milliseconds.
const PAUSED_MS: u32 = 10;
/// The period while settlements wait for a write of their page, in milliseconds.
const JOINING_MS: u32 = 100;
/// The period while a feed is imported, in milliseconds.
const IMPORTING_MS: u32 = 4;

/// The tick period of one root context.
#[derive(Debug)]
pub struct TickPeriod {
    paused: Cell<bool>,
    joining: Cell<bool>,
    importing: Cell<bool>,
    /// The last period set on the host.
    period_ms: Cell<u32>,
}

impl TickPeriod {
    /// Starts to tick with the usual period.
    ///
    /// # Errors
    /// The host's status.
    pub fn start() -> Result<Self, HostError> {
        hostcalls::set_tick_period(USUAL_MS)?;
        Ok(Self {
            paused: Cell::new(false),
            joining: Cell::new(false),
            importing: Cell::new(false),
            period_ms: Cell::new(USUAL_MS),
        })
    }

    /// True when ticks come faster than usual.
    pub fn is_fast(&self) -> bool {
        self.period_ms.get() < USUAL_MS
    }

    /// Sets whether requests wait for a lease.
    pub fn set_paused(&self, paused: bool) {
        self.paused.set(paused);
        self.keep();
    }

    /// Sets whether settlements wait for a write of their page.
    pub fn set_joining(&self, joining: bool) {
        self.joining.set(joining);
        self.keep();
    }

    /// Sets whether a feed is being imported.
    pub fn set_importing(&self, importing: bool) {
        self.importing.set(importing);
        self.keep();
    }

    fn keep(&self) {
        let (importing, paused) = (self.importing.get(), self.paused.get());
        let period_ms = match (importing, paused, self.joining.get()) {
            (true, _, _) => IMPORTING_MS,
            (false, true, _) => PAUSED_MS,
            (false, false, true) => JOINING_MS,
            (false, false, false) => USUAL_MS,
        };
        if period_ms == self.period_ms.get() {
            return;
        }
        match hostcalls::set_tick_period(period_ms) {
            Ok(()) => self.period_ms.set(period_ms),
            Err(error) => warn!("tick period: {error}"),
        }
    }
}
