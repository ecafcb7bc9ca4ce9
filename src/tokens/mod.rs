//! The tokens of a request: the reserve at admission, and the usage in the response.
//!
//! Pure parsing of bytes in pieces, with a fixed memory bound for each stream. Nothing here uses
//! limits or the host.

pub mod config;
pub mod dialect;
pub mod excerpt;
mod lines;
mod parse;
pub mod rates;
pub mod redact;
pub mod request;
pub mod reserve;
pub mod response;
pub mod sse;
pub mod usage;
mod walk;

pub use reserve::{Estimate, Reserve};
pub use response::{ReadOptions, UsageReader, Used};

#[cfg(test)]
mod tests;
