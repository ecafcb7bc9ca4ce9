//! One limit across many Envoys: an edge's part, and its messages with the service.
//!
//! Architecture: an edge is one Envoy process with one namespace. The store grants it an allowance of
//! an account's limits, which it spends without asking. [`allowances`] is what an edge has of an
//! account, a section of the account's record; it changes in the same compare-and-set as the
//! record's own counts. [`edge`] is what all workers of the edge share, and [`message`] the one call
//! to the service.
//!
//! Algorithm: [`take`] judges a request, [`settle()`] ends it, [`report()`] tells the service and
//! gives back, [`answer`] takes what is granted. Messages say absolute state: what is held, and
//! totals that only grow ([`series`]). So messages that are lost, late, doubled or overtaken change
//! nothing twice, and the sum of what all edges can spend never exceeds what the store granted.
//!
//! Thread safety: the functions change only the record that they get, as those of
//! [`crate::limits`] do.
//!
//! Error handling: an answer that does not fit the last message is none. Without answers, an edge
//! does as `on_failure` says ([`policy::OnFailure`]).
//!
//! Bounds: a meter takes at most about 300 bytes of the record, and usually 60. A request has at most
//! [`message::MOST_ITEMS`] items, and each amount is at most [`message::MOST_AMOUNT`].

pub mod allowances;
pub mod answer;
pub mod batch;
pub mod config;
pub mod draft;
pub mod edge;
pub mod hex;
pub mod message;
pub mod meter_key;
pub mod meter_name;
pub mod orders;
pub mod policy;
mod report;
mod reset;
pub mod series;
mod settle;
pub mod take;

pub use allowances::FleetAccount;
pub use config::Fleet;
pub use draft::Draft;
pub use policy::{EdgeView, FleetPolicy};
pub use report::{ReportStep, report};
pub use reset::reset;
pub use settle::{Ended, settle};
