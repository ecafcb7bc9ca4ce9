//! The scenarios: each is a short function on a [`Rig`].

mod clients;
mod cut_off;
mod edges;
mod memory;
mod redis;
mod services;

use crate::judge::{Promise, Seen};
use crate::rig::{Plan, Rig};

/// A scenario.
pub struct Row {
    pub name: &'static str,
    /// The fault, for the table.
    pub what: &'static str,
    /// Where the promise is documented.
    pub link: &'static str,
    pub promise: Promise,
    pub plan: fn() -> Plan,
    pub run: fn(&mut Rig) -> Seen,
}

/// The documented promises.
const HOLDS: &str = "fleet.md#what-holds";
const AWAY: &str = "fleet.md#while-the-service-is-away";
const LOSS: &str = "fleet-service.md#when-redis-loses-writes";
const REDIS: &str = "fleet-service.md#redis";

/// All scenarios.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [
        redis::ROWS.as_slice(),
        services::ROWS.as_slice(),
        edges::ROWS.as_slice(),
        clients::ROWS.as_slice(),
        cut_off::ROWS.as_slice(),
        memory::ROWS.as_slice(),
    ]
    .into_iter()
    .flatten()
}
