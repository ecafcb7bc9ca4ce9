//! The rule: what an account has used, what its limits allow, and what changes when it is admitted.
//!
//! Pure: old record, request, limits and the moment go in; a decision and the new record come out.
//! Who stores the record, and who tries again when another worker was faster, is
//! [`crate::store`]'s business.

pub mod admit;
mod check;
pub mod config;
pub mod day;
pub mod effective;
mod json;
pub mod kinds;
mod leaky_bucket;
pub mod lease;
pub mod record;
pub mod terms;
pub mod window;

pub use admit::{Decision, Limited, Reservation, Snapshot, admit, settle};
pub use effective::{AdaptiveLowering, Lowered, Lowering, Scale};
pub use kinds::{Limit, LimitName, Limits};
pub use lease::{Holder, Leases};
pub use record::Record;
pub use terms::{Ask, Terms};
