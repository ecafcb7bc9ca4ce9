//! One limit across many Envoys: what an edge and the fleet's service say to each other.
//!
//! Architecture: an edge is one Envoy process with one namespace. It spends allowances that the
//! service granted out of an account's limits. [`message`] has the one call between them,
//! `POST /v1/step`; [`meter_name`] has the names of what limits count, and [`hex`] the ids.
//!
//! Algorithm: a message says absolute state: what the edge holds unspent, and totals that only
//! grow. So a message that is lost, late, doubled or overtaken changes nothing twice.
//!
//! Bounds: a request has at most [`message::MOST_ITEMS`] items, and each amount is at most
//! [`message::MOST_AMOUNT`].

pub mod hex;
pub mod message;
pub mod meter_name;
