//! OpenAI's Chat Completions, Completions and Embeddings APIs.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat/object>,
//! `/chat-streaming`, `/completions/object` and `/embeddings/create`. Most other servers speak this
//! dialect too.

use super::{Dialect, Field, RequestShape};
use crate::tokens::usage::Usage;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The dialect.
pub static OPENAI: Dialect = Dialect {
    name: "openai",
    usage: &["/usage"],
    fields: &[
        ("/prompt_tokens", Field::Prompt),
        ("/completion_tokens", Field::Completion),
        ("/total_tokens", Field::Total),
        ("/prompt_tokens_details/cached_tokens", Field::CachedInside),
    ],
    request: RequestShape {
        completion: &["/max_completion_tokens", "/max_tokens"],
        choices: &["/n"],
        completes: &["messages", "prompt"],
    },
    end_of_stream: Some(b"[DONE]"),
};

/// The request field that asks for a stream.
pub const STREAM: &str = "stream";
/// The request field with a stream's options, `include_usage` among them.
pub const STREAM_OPTIONS: &str = "stream_options";

/// The chunk that `stream_options.include_usage` adds: no choices, and the usage.
#[derive(Deserialize)]
struct UsageChunk {
    choices: Vec<IgnoredAny>,
    usage: Usage,
}

/// True when an event's data is the chunk that `stream_options.include_usage` adds.
pub fn is_usage_chunk(data: &[u8]) -> bool {
    serde_json::from_slice::<UsageChunk>(data)
        .is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage != Usage::default())
}
