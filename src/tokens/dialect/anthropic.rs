//! Anthropic's Messages API.
//!
//! Source: <https://docs.anthropic.com/en/api/messages> and
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>. In a stream, `message_start`
//! has the usage inside its message, with a placeholder for the output, and `message_delta` has it at
//! the top level. The last event is `message_stop`. A response of several passes lists them as
//! `iterations`; the counts beside that list may leave passes out: those of a compaction, and of another
//! model that advises. So the sum of the list counts where it is larger.

use super::{Dialect, Fact, Field, MediaForm, RequestShape, TextKind, UsageShape};

/// The dialect.
pub static ANTHROPIC: Dialect = Dialect {
    usage: &[
        UsageShape {
            parts: &[
                ("/iterations/*/input_tokens", Field::Input),
                ("/iterations/*/output_tokens", Field::Output),
                (
                    "/iterations/*/cache_creation_input_tokens",
                    Field::CacheWriteBeside,
                ),
                (
                    "/iterations/*/cache_read_input_tokens",
                    Field::CacheReadBeside,
                ),
            ],
            ..UsageShape::new(&["/usage"], COUNTS)
        },
        UsageShape {
            is_early: true,
            ..UsageShape::new(&["/message/usage"], COUNTS)
        },
    ],
    facts: &[("/type", Fact::Kind)],
    kinds: &[
        ("message_stop", TextKind::Last),
        ("error", TextKind::Error),
        ("message_start", TextKind::Silent),
        ("ping", TextKind::Silent),
    ],
    request: RequestShape {
        completion: &["/max_tokens", "/max_tokens_to_sample"],
        media: &[
            ("/messages/*/content/*/source/data", MediaForm::Bytes),
            (
                "/messages/*/content/*/content/*/source/data",
                MediaForm::Bytes,
            ),
        ],
        ..RequestShape::NONE
    },
    ..Dialect::new("anthropic")
};

/// The counts of a usage.
const COUNTS: &[(&str, Field)] = &[
    ("/input_tokens", Field::Input),
    ("/output_tokens", Field::Output),
    ("/cache_creation_input_tokens", Field::CacheWriteBeside),
    ("/cache_read_input_tokens", Field::CacheReadBeside),
];
