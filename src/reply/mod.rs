//! The reply to a refused request, and the rate-limit headers.

pub mod code;
pub mod headers;
pub mod refusal;
pub mod usage;

pub use code::Code;
pub use refusal::{Refusal, Reply};
