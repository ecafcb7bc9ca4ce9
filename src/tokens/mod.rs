//! Tokens of a request: what is reserved before it runs, and what its response says that it used.
//!
//! Pure parsing of bytes in pieces, with a stated bound for each stream; nothing here knows limits
//! or the host.

pub mod config;
pub mod dialect;
pub mod excerpt;
mod lines;
mod parse;
pub mod redact;
pub mod request;
pub mod reserve;
pub mod response;
pub mod sse;
pub mod usage;
mod walk;

pub use reserve::{Estimate, Reserve};
pub use response::{ReadOptions, UsageReader, Used};
pub use usage::Cached;

#[cfg(test)]
mod tests;
