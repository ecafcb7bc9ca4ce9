//! How often a VM ticks for a root context: twice a second, and faster while somebody waits for it.

use super::hostcalls;
use super::log::warn;
use crate::host::HostError;
use std::cell::Cell;

/// How often a VM proves that it lives, and hands its counts over, in milliseconds.
const USUAL_MS: u32 = 500;
/// How often requests that are paused for a lease are tried again, in milliseconds.
const PAUSED_MS: u32 = 10;
/// How often a feed that is being loaded goes on, in milliseconds.
const IMPORTING_MS: u32 = 4;

/// The pace of one root context.
#[derive(Debug)]
pub struct TickPeriod {
    paused: Cell<bool>,
    importing: Cell<bool>,
    /// What the host was last told.
    period_ms: Cell<u32>,
}

impl TickPeriod {
    /// Begins to tick at the usual pace.
    ///
    /// # Errors
    /// The host's status.
    pub fn start() -> Result<Self, HostError> {
        hostcalls::set_tick_period(USUAL_MS)?;
        Ok(Self {
            paused: Cell::new(false),
            importing: Cell::new(false),
            period_ms: Cell::new(USUAL_MS),
        })
    }

    /// Whether ticks come faster than usual.
    pub fn is_fast(&self) -> bool {
        self.period_ms.get() < USUAL_MS
    }

    /// Whether requests are paused.
    pub fn set_paused(&self, paused: bool) {
        self.paused.set(paused);
        self.keep();
    }

    /// Whether a feed is being loaded.
    pub fn set_importing(&self, importing: bool) {
        self.importing.set(importing);
        self.keep();
    }

    fn keep(&self) {
        let period_ms = match (self.importing.get(), self.paused.get()) {
            (true, _) => IMPORTING_MS,
            (false, true) => PAUSED_MS,
            (false, false) => USUAL_MS,
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
