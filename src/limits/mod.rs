//! The rate-limit rule: the use of an account, its limits, and the effects of an admission.
//!
//! Architecture: [`record::Record`] is the state of an account: sliding logs, calendar periods and
//! leases, as bytes that are edited in place. [`kinds`] has the limit kinds, [`meter`] the part of
//! the record that counts a kind, and [`plan`] the limits that one request meets.
//!
//! Algorithm: [`admit()`] checks base, manual and adaptive limits at once and records the request;
//! [`settle()`] returns the lease and replaces the reserve with the usage.
//!
//! Thread safety: the functions change only the record that they get. The ledger runs them between
//! one read and one compare-and-set, and again when another worker was faster.
//!
//! Error handling: a refusal is a value with the limit, its use and the wait. The wait for a lease
//! is configured. Arithmetic saturates.
//!
//! Bounds: a log has at most about 61 grains; leases have one count for each VM.

pub mod admit;
mod check;
pub mod config;
pub mod day;
pub mod effective;
mod json;
pub mod kinds;
mod leaky_bucket;
pub mod lease;
pub mod meter;
pub mod notice;
pub mod overrides;
pub mod own;
pub mod per_limit;
pub mod plan;
pub mod record;
mod settle;
pub mod shown;
pub mod snapshot;
pub mod terms;
pub mod units;

pub use admit::{Decision, Gate, GateRefusal, Limited, admit, admit_through};
pub use effective::{AdaptiveLowering, Lowered, Lowering, Scale, Until};
pub use kinds::LimitKind;
pub use lease::Holder;
pub use overrides::{Overrides, OwnLimits};
pub use per_limit::{Limit, Limits, PerLimit};
pub use plan::Plan;
pub use record::Record;
pub use settle::{charge_beyond, release, settle};
pub use shown::Shown;
pub use snapshot::Snapshot;
pub use terms::{Ask, Reservation, Terms};
pub use units::Amounts;
