//! A model of the fleet protocol: two edges, one account in one store, and a network that delays,
//! reorders, doubles and loses. `tests/protocol.rs` checks all interleavings.
//!
//! Time is a small whole number. The clocks of all parts run alike, so the store's margin, which is
//! for clocks that do not, is 0.

mod action;
mod check;
mod edge;
mod message;
mod promises;
mod setup;
mod store;
mod world;

pub use action::Action;
pub use check::{Outcome, check};
pub use setup::{Rule, Setup};
pub use world::World;

/// A moment or a span, in ticks.
pub type Time = u8;

/// The meters that a model has at most: two make a family.
pub const METERS: usize = 2;

/// One number for each meter.
pub type Amounts = [u8; METERS];
