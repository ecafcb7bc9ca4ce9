//! Cohere's API, versions 1 and 2.
//!
//! Source: <https://docs.cohere.com/reference/chat> and `/chat-stream`, and the same of version 1.
//! Billed units count before all tokens, which include what Cohere adds to a prompt. Search units, as a
//! rerank has them, are no tokens.

use super::{Dialect, Fact, Field, RequestShape, TextKind, UsageShape};

/// The dialect.
pub static COHERE: Dialect = Dialect {
    usage: &[UsageShape::new(
        &["/usage", "/delta/usage", "/meta", "/response/meta"],
        &[
            ("/billed_units/input_tokens", Field::Input),
            ("/billed_units/output_tokens", Field::Output),
            ("/tokens/input_tokens", Field::Input),
            ("/tokens/output_tokens", Field::Output),
        ],
    )],
    facts: &[("/event_type", Fact::Kind), ("/is_finished", Fact::Ends)],
    kinds: &[
        ("message-end", TextKind::Last),
        ("stream-end", TextKind::Last),
        ("message-start", TextKind::Silent),
        ("stream-start", TextKind::Silent),
    ],
    request: RequestShape {
        completion: &["/max_tokens"],
        choices: &["/num_generations"],
        ..RequestShape::NONE
    },
    ..Dialect::new("cohere")
};
