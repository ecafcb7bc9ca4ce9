//! Anthropic's Messages API.
//!
//! Source: <https://docs.anthropic.com/en/api/messages> and
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>. In a stream, `message_start`
//! has the usage inside its message and `message_delta` has it at the top level. The last event is
//! `message_stop`, without data.

use super::{Dialect, Field, RequestShape};

/// The dialect.
pub static ANTHROPIC: Dialect = Dialect {
    name: "anthropic",
    usage: &["/usage", "/message/usage"],
    fields: &[
        ("/input_tokens", Field::Input),
        ("/output_tokens", Field::Output),
        ("/cache_creation_input_tokens", Field::CacheWriteBeside),
        ("/cache_read_input_tokens", Field::CacheReadBeside),
    ],
    request: RequestShape {
        completion: &["/max_tokens"],
        choices: &[],
        completes: &[],
    },
    end_of_stream: None,
};
