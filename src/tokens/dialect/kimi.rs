//! Moonshot AI's Kimi API: OpenAI's chat completions with additional names.
//!
//! Source: <https://platform.moonshot.cn/docs/api/chat> (in Chinese). The last chunk of a stream
//! has the usage in its choice.

use super::{Dialect, Field, RequestShape, UsageShape};

/// The dialect.
pub static KIMI: Dialect = Dialect {
    usage: &[UsageShape::new(
        &["/usage", "/choices/*/usage"],
        &[
            ("/prompt_tokens", Field::Prompt),
            ("/completion_tokens", Field::Completion),
            ("/total_tokens", Field::Total),
            ("/cached_tokens", Field::CachedInside),
            ("/prompt_tokens_details/cached_tokens", Field::CachedInside),
        ],
    )],
    request: RequestShape {
        completion: &["/max_completion_tokens", "/max_tokens"],
        choices: &["/n"],
        completes: &["messages"],
        ..RequestShape::NONE
    },
    end_of_stream: Some(b"[DONE]"),
    ..Dialect::new("kimi")
};
