//! What the tests on a real Envoy share.
#![allow(
    dead_code,
    unused_imports,
    reason = "not every test binary uses all of it"
)]

pub mod bootstrap;
pub mod client;
mod config;
mod raw;
pub mod stack;
pub mod tls;

pub use config::Config;
pub use raw::Raw;
