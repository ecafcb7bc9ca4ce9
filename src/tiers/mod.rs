//! Tiers: their limits, and the recharge that each requires.

pub mod config;
mod mode;
pub mod money;
pub mod recharge;
pub mod table;

pub use mode::Mode;
pub use money::Cents;
pub use table::{Tier, TierId, TierTable};
