//! The clock by which the ledger's calendar periods turn: that of a fleet's store, where there is one.
//!
//! An edge whose own clock is wrong would begin a day before or after the store does, and refuse an
//! account that has a new day.

use crate::host::{Clock, Host, HostError, SetError, SharedData, Stored};
use crate::time::{Mono, Wall};
use std::num::NonZeroU32;

/// A host whose wall clock goes `ahead_ms` before its own.
pub(super) struct FleetClock<'a> {
    pub host: &'a dyn Host,
    pub ahead_ms: i64,
}

impl SharedData for FleetClock<'_> {
    fn get(&self, key: &str) -> Result<Option<Stored>, HostError> {
        self.host.get(key)
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<NonZeroU32>) -> Result<(), SetError> {
        self.host.set(key, value, cas)
    }
}

impl Clock for FleetClock<'_> {
    fn mono(&self) -> Mono {
        self.host.mono()
    }

    fn wall(&self) -> Wall {
        let own = self.host.wall().as_millis();
        Wall::from_millis(own.saturating_add_signed(self.ahead_ms))
    }
}
