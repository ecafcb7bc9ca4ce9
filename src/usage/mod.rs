//! Tokens of a request: what is reserved before it runs, and what its response says that it used.

mod estimate;
mod response;

pub use estimate::Estimate;
pub use response::{HEAD_BYTES, MAX_TOKENS, Reader, TAIL_BYTES};
