//! The rule: what an account has used, what its limits allow, and what changes when it is admitted.
//!
//! Pure: old record, request, limits and the moment go in; a decision and the new record come out.
//! Who stores the record, and who tries again when another worker was faster, is
//! [`crate::store`]'s business.

mod check;
pub mod day;
pub mod decision;
mod json;
mod leaky_bucket;
pub mod lease;
pub mod limits;
pub mod record;
pub mod scale;
pub mod terms;
pub mod window;

pub use decision::{Decision, Limited, Reservation, Snapshot, admit, settle};
pub use lease::{Holder, Leases};
pub use limits::{Limit, LimitName, Limits};
pub use record::Record;
pub use scale::{AdaptiveLowering, Lowered, Lowering, Scale};
pub use terms::{Ask, Terms};
