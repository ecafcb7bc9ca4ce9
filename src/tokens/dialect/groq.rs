//! Groq's API: OpenAI's, and the usage of a stream in a field of its own.
//!
//! Source: <https://console.groq.com/docs/api-reference>, the chunk of a chat completion.

use super::openai::OPENAI;
use super::{Dialect, RequestShape};

/// The dialect.
pub static GROQ: Dialect = Dialect {
    name: "groq",
    usage: &["/x_groq/usage"],
    fields: OPENAI.fields,
    request: RequestShape {
        completion: &[],
        choices: &[],
        completes: &[],
    },
    end_of_stream: Some(b"[DONE]"),
};
