//! Ollama's native API: `/api/chat`, `/api/generate` and `/api/embed`.
//!
//! Source: <https://github.com/ollama/ollama/blob/main/docs/api.md>. A stream is JSON Lines; its last
//! line is `done` and has the counts at the top level.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, UsageShape};

/// The dialect.
pub static OLLAMA: Dialect = Dialect {
    usage: &[UsageShape::new(
        &[""],
        &[
            ("/prompt_eval_count", Field::Prompt),
            ("/eval_count", Field::Output),
        ],
    )],
    facts: &[("/done", Fact::Ends)],
    request: RequestShape {
        // -1 and -2 stand for no maximum.
        completion: &["/options/num_predict"],
        media: &[
            ("/images/*", MediaForm::Bytes),
            ("/messages/*/images/*", MediaForm::Bytes),
        ],
        ..RequestShape::NONE
    },
    ..Dialect::new("ollama")
};
