//! What the tests of the shell share: the host's side of the ABI, its clock, and configs.
#![allow(dead_code, reason = "not every test binary uses all of it")]

pub mod abi_host;
mod clock;
mod config;

pub use clock::Clock;
pub use config::Config;
