//! Tiers: their limits, and the recharge that leads to them.

pub mod config;
pub mod money;
pub mod recharge;
pub mod table;

pub use money::Cents;
pub use table::{Tier, TierId, TierTable};
