//! Groq's API: OpenAI's, and the usage of a stream in a field of its own.
//!
//! Source: <https://console.groq.com/docs/api-reference>, the chunk of a chat completion.

use super::openai::COUNTS;
use super::{Dialect, UsageShape};

/// The dialect.
pub static GROQ: Dialect = Dialect {
    usage: &[UsageShape::new(&["/x_groq/usage"], COUNTS)],
    ..Dialect::new("groq")
};
