//! OpenAI's Responses API.
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses/object> and
//! `/responses-streaming`. In a stream, `response.completed` has the usage inside its response.

use super::{Dialect, Field, RequestShape};

/// The dialect.
pub static RESPONSES: Dialect = Dialect {
    name: "responses",
    usage: &["/usage", "/response/usage"],
    fields: &[
        ("/input_tokens", Field::Input),
        ("/output_tokens", Field::Output),
        ("/total_tokens", Field::Total),
        ("/input_tokens_details/cached_tokens", Field::CachedInside),
    ],
    request: RequestShape {
        completion: &["/max_output_tokens"],
        choices: &[],
        completes: &[],
    },
    end_of_stream: None,
};
