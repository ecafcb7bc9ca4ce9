//! Where records live: pages in the host's shared data, and who of the workers lives.
//!
//! The rule is somebody else's ([`crate::limit`]); here it is run between one read and one
//! compare-and-set, and run again when another worker was faster.

pub mod codec;
pub mod directory;
pub mod entry;
mod fill;
pub mod in_flight;
pub mod ledger;
pub mod overload;
pub mod page;
pub mod refusals;
pub mod slots;
pub mod value;

pub use directory::Directory;
pub use fill::Fill;
pub use in_flight::InFlight;
pub use ledger::{AccountKey, Fault, Ledger};
pub use slots::{SlotError, Slots, VmSlot};
pub use value::ValueError;
