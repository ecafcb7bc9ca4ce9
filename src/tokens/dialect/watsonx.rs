//! IBM watsonx.ai: text generation. Its chat speaks OpenAI's dialect.
//!
//! Source: <https://cloud.ibm.com/apidocs/watsonx-ai#text-generation>. In a stream, the counts of the
//! events are cumulative; the input is in an early one, and zero in the others.

use super::{Dialect, Field, RequestShape, UsageShape};

/// The dialect.
pub static WATSONX: Dialect = Dialect {
    usage: &[UsageShape::new(
        &["/results/*"],
        &[
            ("/input_token_count", Field::Prompt),
            ("/generated_token_count", Field::Output),
        ],
    )],
    request: RequestShape {
        completion: &["/parameters/max_new_tokens"],
        ..RequestShape::NONE
    },
    ..Dialect::new("watsonx")
};
