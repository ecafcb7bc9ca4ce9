//! Usage at the edges of its forms, and a comparison of the readers with `serde_json`.

mod cuts;
mod documents;
mod ends;
mod fakes;
mod json;
mod new_dialect;
mod requests;
mod response;
mod upstreams;
mod usage;

use crate::tokens::consumed::Used;
use crate::tokens::dialect;
use crate::tokens::redact::Hide;
use crate::tokens::response::{ReadOptions, UsageReader};
use crate::tokens::text::TextReader;
use crate::tokens::usage::UsageTotals;
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

/// Reads a complete body of a success.
fn read(body: &[u8]) -> Used {
    read_in(body, body.len().max(1))
}

/// Reads a complete body in pieces of a size.
fn read_in(body: &[u8], size: usize) -> Used {
    let mut reader = UsageReader::without_headers(false, &ReadOptions::default());
    for piece in body.chunks(size) {
        reader.feed(piece);
    }
    reader.used(true, || Some(200)).used
}

/// Returns all tokens, and the tokens without cached ones; `None` when the text has no usage.
fn tokens(text: &[u8]) -> Option<(u64, u64)> {
    let mut texts = TextReader::new(Arc::clone(&dialect::ALL));
    texts.feed(text);
    all_and_fresh(&texts.facts().totals)
}

/// Returns all tokens, and the tokens without cached ones.
fn all_and_fresh(totals: &UsageTotals) -> Option<(u64, u64)> {
    let (all, input) = (totals.tokens()?, totals.input());
    Some((
        all,
        all.saturating_sub(input.map_or(0, |input| input.cached)),
    ))
}

fn assert_each(cases: &[(&str, Option<(u64, u64)>)]) {
    for (text, wanted) in cases {
        assert_eq!(tokens(text.as_bytes()), *wanted, "{text}");
    }
}

#[test]
fn of_several_places_the_one_that_says_most_counts() {
    assert_each(&[
        (
            r#"{"usage":{"total_tokens":3},"choices":[{"usage":{"total_tokens":2}}]}"#,
            Some((3, 3)),
        ),
        (
            r#"{"usage":{"total_tokens":1},"choices":[{},{"usage":null},{"usage":{"total_tokens":2}},{"usage":{"total_tokens":9}}]}"#,
            Some((9, 9)),
        ),
        (
            r#"{"response":{"usage":{"total_tokens":4}},"message":null,"usage":null}"#,
            Some((4, 4)),
        ),
        (
            r#"{"usage":{},"choices":[{"usage":{"total_tokens":2}}]}"#,
            Some((2, 2)),
        ),
        (
            r#"{"usage":{"total_tokens":1},"usage":{"total_tokens":3}}"#,
            Some((3, 3)),
        ),
        (
            r#"{"usage":{"total_tokens":3},"us\u0061ge":{"total_tokens":1}}"#,
            Some((3, 3)),
        ),
        (
            r#"{"usage":{"total_tokens":3,"total_tokens":1}}"#,
            Some((3, 3)),
        ),
        (r#"{"usage":[1,2]}"#, None),
        (r#"{"usage":[{"total_tokens":1}]}"#, None),
        (r#"{"usage":null}"#, None),
        (r#"{"usage":7}"#, None),
    ]);
}

#[test]
fn a_count_that_cannot_be_read_voids_only_itself() {
    for wrong in [
        "-1",
        r#""12""#,
        "null",
        "true",
        "NaN",
        "{}",
        "[7]",
        "18446744073709551616",
        "9223372036854775808",
        "1e999",
        "12x",
    ] {
        for (text, wanted) in [
            (format!(r#"{{"usage":{{"total_tokens":{wrong}}}}}"#), None),
            (
                format!(
                    r#"{{"usage":{{"prompt_tokens":5,"completion_tokens":2,"total_tokens":{wrong}}}}}"#
                ),
                Some((7, 7)),
            ),
            (
                format!(
                    r#"{{"usage":{{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{{"cached_tokens":{wrong}}}}}}}"#
                ),
                Some((7, 7)),
            ),
            (
                format!(
                    r#"{{"usage":{{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{wrong}}}}}"#
                ),
                Some((7, 7)),
            ),
        ] {
            assert_eq!(tokens(text.as_bytes()), wanted, "{text}");
        }
    }
}

#[test]
fn of_several_names_one_counts() {
    for (usage, wanted) in [
        (
            r#"{"input_tokens":3,"prompt_tokens":1,"output_tokens":4,"completion_tokens":2}"#,
            (7, 7),
        ),
        (
            r#"{"input_tokens":3,"prompt_tokens":null,"output_tokens":4}"#,
            (7, 7),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"input_tokens_details":{"cached_tokens":4},
                "prompt_tokens_details":{"cached_tokens":3},"cached_tokens":2}"#,
            (10, 8),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":4,
                "prompt_cache_miss_tokens":5}"#,
            (10, 6),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":3},
                "cached_tokens":0}"#,
            (10, 7),
        ),
    ] {
        assert_each(&[(&format!(r#"{{"usage":{usage}}}"#), Some(wanted))]);
    }
}

#[test]
fn a_text_counts_when_it_ends() {
    assert_each(&[
        (" {\"usage\" : {\"total_tokens\" : 1 } }\n", Some((1, 1))),
        (r#"{"usage":{"total_tokens":1}} {}"#, Some((1, 1))),
        (r#"{"usage":{"total_tokens":1},}"#, Some((1, 1))),
        (r#"{"usage":{"total_tokens":1}"#, None),
        (r#""usage":{"total_tokens":1}"#, None),
        (r#"["usage",{"total_tokens":1}]"#, None),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_event_is_hidden_but_that_of_a_usage(data in json::chunk()) {
        let event = [b"data: ", &*data, b"\n\n"].concat();
        let is_hidden = Hide::default().feed(&event, true).is_empty();
        let lossy = String::from_utf8_lossy(&data);
        let members: Option<HashMap<String, &RawValue>> = serde_json::from_str(&lossy).ok();
        let is_usage = members.is_some_and(|members| {
            let text = |name: &str| members.get(name).map_or("", |value| value.get());
            let choices = text("choices").replace([' ', '\n'], "");
            choices == "[]" && text("usage").starts_with('{')
        });
        prop_assert!(!is_hidden || is_usage);
    }
}
