//! The tokens of a request: the reserve at admission, and the usage in the response.
//!
//! Pure parsing of bytes in pieces, with a fixed memory bound for each stream. Nothing here uses
//! limits or the host.

mod base64;
pub mod config;
pub mod consumed;
pub mod dialect;
pub mod event_stream;
mod lines;
pub mod places;
pub mod rates;
pub mod redact;
pub mod request;
pub mod reserve;
pub mod response;
pub mod scan;
pub mod sse;
pub mod text;
pub mod usage;

pub use consumed::Used;
pub use reserve::{Estimate, Reserve};
pub use response::{ReadOptions, UsageReader};

#[cfg(test)]
mod tests;
