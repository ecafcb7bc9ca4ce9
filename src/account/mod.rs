//! Who asks, and in which tier: identity, tiers and the recharge that leads to them.

pub mod directory;
pub mod identity;
pub mod money;
pub mod query;
pub mod recharge;
pub mod tier;
pub mod visible;

pub use identity::{Account, AccountSource, Found, IdentityError, Lookup, TierSource};
pub use money::Cents;
pub use tier::{Tier, TierId, TierTable};
