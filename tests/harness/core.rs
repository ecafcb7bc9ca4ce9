//! What the tests of the core share: a fake host, workers on it, and configs.

mod config;
mod fake_host;
pub mod fleet;
mod overload;
mod worker;

pub use config::Config;
pub use fake_host::{FakeHost, FakeRequest, Metrics, World};
pub use fleet::FleetStore;
pub use overload::{answers, corrupt_state, in_force, pressure, put_load, ticks};
pub use worker::{
    Admission, Call, Next, OverloadEvent, Ticket, Used, Worker, error, line, retry_after_ms,
};
