//! OpenAI's Chat Completions, Completions and Embeddings APIs.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat/object>,
//! `/chat-streaming`, `/completions/object` and `/embeddings/create`. Most other servers speak this
//! dialect too.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, TextKind, UsageShape};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The dialect.
pub static OPENAI: Dialect = Dialect {
    usage: &[UsageShape::new(&["/usage"], COUNTS)],
    facts: &[
        ("/choices/*/finish_reason", Fact::EndsChoice),
        ("/error", Fact::Fails),
        ("/object", Fact::Kind),
    ],
    // Some servers of open models name an error so.
    kinds: &[("error", TextKind::Error)],
    request: RequestShape {
        completion: &["/max_completion_tokens", "/max_tokens"],
        // `best_of` choices are generated, and `n` of them returned.
        choices: &["/n", "/best_of"],
        prompts: &["/prompt"],
        media: &[
            ("/messages/*/content/*/image_url", MediaForm::Url),
            ("/messages/*/content/*/image_url/url", MediaForm::Url),
            ("/messages/*/content/*/input_audio/data", MediaForm::Bytes),
            ("/messages/*/content/*/file/file_data", MediaForm::Bytes),
        ],
        completes: &["messages", "prompt"],
    },
    end_of_stream: Some(b"[DONE]"),
    ..Dialect::new("openai")
};

/// The counts of a usage.
pub const COUNTS: &[(&str, Field)] = &[
    ("/prompt_tokens", Field::Prompt),
    ("/completion_tokens", Field::Completion),
    ("/total_tokens", Field::Total),
    ("/prompt_tokens_details/cached_tokens", Field::CachedInside),
    // DeepSeek's name.
    ("/prompt_cache_hit_tokens", Field::CachedInside),
];

/// The request field that asks for a stream.
pub const STREAM: &str = "stream";
/// The request field with a stream's options, `include_usage` among them.
pub const STREAM_OPTIONS: &str = "stream_options";

/// The chunk that `stream_options.include_usage` adds: no choices, and the usage.
#[derive(Deserialize)]
struct UsageChunk<'a> {
    choices: Vec<IgnoredAny>,
    #[serde(borrow)]
    usage: BTreeMap<Cow<'a, str>, IgnoredAny>,
}

/// True when an event's data is the chunk that `stream_options.include_usage` adds.
pub fn is_usage_chunk(data: &[u8]) -> bool {
    serde_json::from_slice::<UsageChunk<'_>>(data)
        .is_ok_and(|chunk| chunk.choices.is_empty() && !chunk.usage.is_empty())
}
