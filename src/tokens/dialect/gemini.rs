//! Google's Gemini API.
//!
//! Source: <https://ai.google.dev/api/generate-content>, `UsageMetadata` and `GenerationConfig`. The
//! prompt has the cached content inside. Thoughts and the prompts of tools are in the total alone.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, UsageShape};

/// The dialect.
pub static GEMINI: Dialect = Dialect {
    usage: &[UsageShape::new(
        &["/usageMetadata"],
        &[
            ("/promptTokenCount", Field::Prompt),
            ("/candidatesTokenCount", Field::Output),
            ("/totalTokenCount", Field::Total),
            ("/cachedContentTokenCount", Field::CachedInside),
        ],
    )],
    facts: &[("/candidates/*/finishReason", Fact::EndsChoice)],
    request: RequestShape {
        // The API takes both spellings of a name.
        completion: &[
            "/generationConfig/maxOutputTokens",
            "/generation_config/max_output_tokens",
            "/generationConfig/max_output_tokens",
            "/generation_config/maxOutputTokens",
        ],
        choices: &[
            "/generationConfig/candidateCount",
            "/generation_config/candidate_count",
            "/generationConfig/candidate_count",
            "/generation_config/candidateCount",
        ],
        media: &[
            ("/contents/*/parts/*/inlineData/data", MediaForm::Bytes),
            ("/contents/*/parts/*/inline_data/data", MediaForm::Bytes),
        ],
        ..RequestShape::NONE
    },
    ..Dialect::new("gemini")
};
