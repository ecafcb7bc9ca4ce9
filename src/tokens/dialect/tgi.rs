//! Hugging Face's Text Generation Inference, natively: `/generate` and `/generate_stream`.
//!
//! Source: <https://huggingface.github.io/text-generation-inference/>. The counts are in `details`, of
//! the last event in a stream. The prompt's length is said there alone. A response with `best_of` lists the
//! sequences that were not the best.

use super::{Dialect, Field, RequestShape, UsageShape};

/// The dialect.
pub static TGI: Dialect = Dialect {
    usage: &[UsageShape {
        parts: &[("/best_of_sequences/*/generated_tokens", Field::ExtraOutput)],
        ..UsageShape::new(
            &["/details"],
            &[
                ("/generated_tokens", Field::Output),
                ("/input_length", Field::Prompt),
            ],
        )
    }],
    request: RequestShape {
        completion: &["/parameters/max_new_tokens"],
        choices: &[
            "/parameters/best_of",
            "/parameters/num_return_sequences",
            "/num_return_sequences",
        ],
        ..RequestShape::NONE
    },
    ..Dialect::new("tgi")
};
