//! Tiers: their limits, and the recharge that each requires.

pub mod config;
pub mod money;
pub mod recharge;
pub mod table;

pub use money::Cents;
pub use table::{Tier, TierId, TierTable};
