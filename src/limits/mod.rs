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
mod settle;
pub mod snapshot;
pub mod terms;
pub mod window;

pub use admit::{Decision, Limited, admit};
pub use effective::{AdaptiveLowering, Lowered, Lowering, Scale, Until};
pub use kinds::{Limit, LimitKind, Limits, Overrides, PerLimit};
pub use lease::{Holder, Leases};
pub use record::Record;
pub use settle::settle;
pub use snapshot::Snapshot;
pub use terms::{Ask, Reservation, Terms};
