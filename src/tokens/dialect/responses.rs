//! OpenAI's Responses API.
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses/object> and
//! `/responses-streaming`. In a stream, `response.completed` has the usage inside its response. The
//! tokens of some tools are in `tool_usage` alone.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, TextKind, UsageShape};

/// The dialect.
pub static RESPONSES: Dialect = Dialect {
    usage: &[
        UsageShape::new(
            &["/usage", "/response/usage"],
            &[
                ("/input_tokens", Field::Input),
                ("/output_tokens", Field::Output),
                ("/total_tokens", Field::Total),
                ("/input_tokens_details/cached_tokens", Field::CachedInside),
            ],
        ),
        UsageShape {
            parts: &[
                ("/*/input_tokens", Field::ExtraInput),
                ("/*/output_tokens", Field::ExtraOutput),
            ],
            ..UsageShape::new(&["/tool_usage", "/response/tool_usage"], &[])
        },
    ],
    facts: &[("/type", Fact::Kind)],
    kinds: &[
        ("response.completed", TextKind::Last),
        ("response.incomplete", TextKind::Last),
        ("response.failed", TextKind::Error),
        ("response.queued", TextKind::Silent),
        ("response.created", TextKind::Silent),
        ("response.in_progress", TextKind::Silent),
    ],
    request: RequestShape {
        completion: &["/max_output_tokens"],
        media: &[
            ("/input/*/content/*/image_url", MediaForm::Url),
            ("/input/*/content/*/file_data", MediaForm::Bytes),
            ("/input/*/output/*/image_url", MediaForm::Url),
            ("/input/*/output/*/file_data", MediaForm::Bytes),
        ],
        ..RequestShape::NONE
    },
    ..Dialect::new("responses")
};
