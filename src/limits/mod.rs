//! The rule: the use of an account, the limits on it, and what an admission changes.
//!
//! Architecture: [`record::Record`] is all that a decision needs: a sliding log ([`window`]), a day
//! ([`day`]) and leases ([`lease`]). [`kinds`] has the limit kinds and one value for each.
//!
//! Algorithm: [`admit()`] checks base, manual and adaptive limits at once and records the request;
//! [`settle()`] gives the lease back and replaces the reserve by the usage.
//!
//! Thread safety: pure functions from an old record to a decision and a new record. The ledger runs
//! them between one read and one compare-and-set, and again when another worker was faster.
//!
//! Error handling: a refusal is a value with the limit, its use and the exact wait. Arithmetic
//! saturates.
//!
//! Bounds: a log has at most about 61 grains, leases one count for each VM that holds some.

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
