//! The reply to a refused request, and the rate-limit headers.
//!
//! A [`Refusal`] has the facts. An [`Answer`] becomes a [`Reply`] for one [`Client`]: in the error body
//! of the API that it calls, and in the form of its protocol.

mod answer;
mod anthropic_body;
pub mod api;
pub mod client;
pub mod code;
pub mod config;
pub mod cors;
mod error_body;
mod gemini_body;
pub mod go_duration;
pub mod headers;
mod message;
pub mod refusal;
pub mod usage;

pub use answer::{Answer, Reply};
pub use client::{Client, ReplyForm};
pub use code::Code;
pub use config::Replies;
pub use error_body::ErrorBody;
pub use refusal::Refusal;

/// The header of a response to a client that is at a share of a limit: `tpd=80`.
pub const WARNING: &str = "x-ratelimit-warning";
