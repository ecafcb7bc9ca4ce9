//! The tick period of a VM for a root context: half a second, and shorter while work is waiting.

use super::hostcalls;
use super::log::warn;
use crate::host::HostError;
use crate::time::Span;
use std::cell::Cell;

/// The usual period, for the heartbeat and the flush of counts, in milliseconds.
const USUAL_MS: u32 = 500;
/// The period while a request waits for a lease, in milliseconds.
const PAUSED_MS: u32 = 10;
/// The period while settlements wait for a write of their page, in milliseconds.
const JOINING_MS: u32 = 100;
/// The period while a feed is imported, in milliseconds.
const IMPORTING_MS: u32 = 4;
/// The period while requests ask the fleet, in milliseconds: asks of that time are one call.
const ASKING_MS: u32 = 2;

/// The tick period of one root context.
#[derive(Debug)]
pub struct TickPeriod {
    paused: Cell<bool>,
    joining: Cell<bool>,
    importing: Cell<bool>,
    asking: Cell<bool>,
    /// The period without any of these.
    usual_ms: u32,
    /// The last period set on the host.
    period_ms: Cell<u32>,
}

impl TickPeriod {
    /// Starts to tick with the usual period, or as often as there are reports to the fleet.
    ///
    /// # Errors
    /// The host's status.
    pub fn start(reports: Option<Span>) -> Result<Self, HostError> {
        let reports = reports.and_then(|every| u32::try_from(every.as_millis()).ok());
        let usual_ms = reports.map_or(USUAL_MS, |every| every.min(USUAL_MS));
        hostcalls::set_tick_period(usual_ms)?;
        Ok(Self {
            paused: Cell::new(false),
            joining: Cell::new(false),
            importing: Cell::new(false),
            asking: Cell::new(false),
            usual_ms,
            period_ms: Cell::new(usual_ms),
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

    /// Sets whether the fleet is to be asked at once.
    pub fn set_asking(&self, asking: bool) {
        self.asking.set(asking);
        self.keep();
    }

    fn keep(&self) {
        let reasons = [
            (&self.asking, ASKING_MS),
            (&self.importing, IMPORTING_MS),
            (&self.paused, PAUSED_MS),
            (&self.joining, JOINING_MS),
        ];
        let mut reasons = reasons.into_iter().filter(|(holds, _)| holds.get());
        let period_ms = reasons.next().map_or(self.usual_ms, |(_, period)| period);
        let period_ms = period_ms.min(self.usual_ms);
        if period_ms == self.period_ms.get() {
            return;
        }
        match hostcalls::set_tick_period(period_ms) {
            Ok(()) => self.period_ms.set(period_ms),
            Err(error) => warn!("tick period: {error}"),
        }
    }
}
