//! Amazon Bedrock: Converse, and the native answers of its models.
//!
//! Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>,
//! `API_runtime_ConverseStream`, and `model-parameters.html` of the user guide. Streams are read by
//! [`crate::tokens::event_stream`]; a chunk of InvokeModelWithResponseStream is a text in base64. The
//! payload of a ConverseStream event is the event itself, so the usage is at its top level. The input
//! leaves the cache out: its counts lie beside. A chunk of Nova has the usage in its `metadata`, where
//! other APIs echo what a client wrote; the metrics of the invocation say the same there.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, UsageShape};

/// The dialect.
pub static BEDROCK: Dialect = Dialect {
    usage: &[
        UsageShape::new(
            &["/usage"],
            &[
                ("/inputTokens", Field::Input),
                ("/outputTokens", Field::Output),
                ("/totalTokens", Field::Total),
                ("/cacheReadInputTokens", Field::CacheReadBeside),
                ("/cacheWriteInputTokens", Field::CacheWriteBeside),
                // The names of Nova's native answers.
                ("/cacheReadInputTokenCount", Field::CacheReadBeside),
                ("/cacheWriteInputTokenCount", Field::CacheWriteBeside),
            ],
        ),
        UsageShape::new(
            &["/amazon-bedrock-invocationMetrics"],
            &[
                ("/inputTokenCount", Field::Input),
                ("/outputTokenCount", Field::Output),
                ("/cacheReadInputTokenCount", Field::CacheReadBeside),
                ("/cacheWriteInputTokenCount", Field::CacheWriteBeside),
            ],
        ),
        // Llama, and Titan.
        UsageShape {
            parts: &[("/results/*/tokenCount", Field::Output)],
            ..UsageShape::new(
                &[""],
                &[
                    ("/prompt_token_count", Field::Prompt),
                    ("/generation_token_count", Field::Output),
                    ("/inputTextTokenCount", Field::Prompt),
                    ("/totalOutputTextTokenCount", Field::Output),
                ],
            )
        },
    ],
    facts: &[("/bytes", Fact::Wrapped)],
    request: RequestShape {
        completion: &[
            "/inferenceConfig/maxTokens",
            "/textGenerationConfig/maxTokenCount",
            "/max_gen_len",
        ],
        media: &[
            ("/messages/*/content/*/image/source/bytes", MediaForm::Bytes),
            (
                "/messages/*/content/*/document/source/bytes",
                MediaForm::Bytes,
            ),
            ("/messages/*/content/*/video/source/bytes", MediaForm::Bytes),
        ],
        ..RequestShape::NONE
    },
    ..Dialect::new("bedrock")
};
