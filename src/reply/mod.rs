//! The reply to a refused request, and the rate-limit headers.

pub mod code;
mod error_body;
pub mod headers;
pub mod refusal;
pub mod usage;

pub use code::Code;
pub use error_body::ErrorBody;
pub use refusal::{Refusal, Reply};
