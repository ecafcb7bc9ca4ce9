//! Usage at the edges of its forms, and a comparison with the earlier, derived readers.

mod json;
mod new_dialect;
mod reference;
mod response;

use crate::tokens::dialect;
use crate::tokens::excerpt::{self, Excerpt, HEAD_BYTES, TAIL_BYTES};
use crate::tokens::redact::Hide;
use crate::tokens::request::{self, Asked};
use crate::tokens::usage::{Usage, UsageTotals};
use proptest::prelude::*;

/// Returns all tokens, and the tokens without cached ones; `None` when the text has no usage.
fn tokens(text: &[u8]) -> Option<(u64, u64)> {
    let mut totals = UsageTotals::default();
    totals.update(&excerpt::usage(text, &dialect::ALL)?);
    all_and_fresh(&totals)
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
fn the_first_place_that_has_a_usage_decides() {
    assert_each(&[
        (
            r#"{"response":{"usage":{"total_tokens":4}},"message":{"usage":{"total_tokens":3}},
                "choices":[{"usage":{"total_tokens":2}}],"usage":{"total_tokens":1}}"#,
            Some((1, 1)),
        ),
        (
            r#"{"response":{"usage":{"total_tokens":4}},"message":{"usage":{"total_tokens":3}},
                "choices":[{},{"usage":null},{"usage":{"total_tokens":2}},{"usage":{"total_tokens":9}}]}"#,
            Some((2, 2)),
        ),
        (
            r#"{"response":{"usage":{"total_tokens":4}},"message":{"usage":{"total_tokens":3}}}"#,
            Some((3, 3)),
        ),
        (
            r#"{"response":{"usage":{"total_tokens":4}},"message":null,"usage":null}"#,
            Some((4, 4)),
        ),
        // An object without a known field is a usage too: it reports nothing, and later paths do
        // not count.
        (
            r#"{"usage":{},"choices":[{"usage":{"total_tokens":2}}]}"#,
            None,
        ),
        (
            r#"{"usage":[],"choices":[{"usage":{"total_tokens":2}}]}"#,
            None,
        ),
    ]);
}

#[test]
fn at_the_top_a_wrong_usage_voids_the_text_and_elsewhere_only_its_place() {
    let behind = r#""response":{"usage":{"total_tokens":4}}"#;
    for wrong in [
        r#"{"total_tokens":-1}"#,
        r#"{"total_tokens":"1"}"#,
        r#"{"total_tokens":1,"total_tokens":1}"#,
        r#"{"prompt_tokens_details":7}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":1.5}}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":1}}"#,
        r#"{"prompt_tokens_details":null,"prompt_tokens_details":null}"#,
        "7",
        "true",
        r#""text""#,
        r#"["text"]"#,
    ] {
        for (text, wanted) in [
            (format!(r#"{{"usage":{wrong},{behind}}}"#), None),
            (
                format!(r#"{{"message":{{"usage":{wrong}}},{behind}}}"#),
                Some((4, 4)),
            ),
            (
                format!(
                    r#"{{"choices":[{{"usage":{{"total_tokens":2}}}},{{"usage":{wrong}}}],{behind}}}"#
                ),
                Some((4, 4)),
            ),
        ] {
            assert_eq!(tokens(text.as_bytes()), wanted, "{text}");
        }
    }
    for holder in [
        r#""message":7"#,
        r#""message":"text""#,
        r#""message":[]"#,
        r#""message":["text"]"#,
        r#""message":{"usage":null}"#,
        r#""message":{"usage":{"total_tokens":3},"usage":null}"#,
        r#""choices":{}"#,
        r#""choices":{"usage":{"total_tokens":2}}"#,
        r#""choices":[]"#,
        r#""choices":[null,{"usage":{"total_tokens":2}}]"#,
        r#""choices":[{"usage":{"total_tokens":2}},"text"]"#,
    ] {
        assert_each(&[(&format!("{{{holder},{behind}}}"), Some((4, 4)))]);
    }
    assert_each(&[(
        r#"{"choices":[[],{"usage":{"total_tokens":2}}]}"#,
        Some((2, 2)),
    )]);
}

#[test]
fn a_place_that_comes_twice_voids_the_text() {
    let usage = r#"{"usage":{"total_tokens":2}}"#;
    assert_each(&[
        (
            r#"{"usage":{"total_tokens":1},"usage":{"total_tokens":1}}"#,
            None,
        ),
        (r#"{"usage":{"total_tokens":1},"us\u0061ge":null}"#, None),
        (&format!(r#"{{"message":{usage},"message":{usage}}}"#), None),
        (
            r#"{"usage":{"total_tokens":1},"choices":null,"choices":null}"#,
            None,
        ),
        (
            &format!(r#"{{"message":{usage},"other":1,"other":2}}"#),
            Some((2, 2)),
        ),
        (r#"{"us\u0061ge":{"total_tokens":1}}"#, None),
        (
            r#"{"us\u0061ge":{"total_tokens":1},"x":{"usage":{}}}"#,
            Some((1, 1)),
        ),
    ]);
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
            r#"{"prompt_tokens":9,"completion_tokens":1,"input_tokens_details":{"cached_tokens":4},
                "prompt_tokens_details":{"cached_tokens":3},"cached_tokens":null}"#,
            (10, 7),
        ),
        // Details that are present decide, even without a count.
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"input_tokens_details":{"cached_tokens":4},
                "prompt_tokens_details":{}}"#,
            (10, 10),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"input_tokens_details":{"cached_tokens":4},
                "prompt_tokens_details":[]}"#,
            (10, 10),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"input_tokens_details":{"cached_tokens":4},
                "prompt_tokens_details":{"cached_tokens":null}}"#,
            (10, 10),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":1,"input_tokens_details":{"cached_tokens":4},
                "prompt_tokens_details":null}"#,
            (10, 6),
        ),
    ] {
        assert_each(&[(&format!(r#"{{"usage":{usage}}}"#), Some(wanted))]);
    }
}

#[test]
fn fields_that_are_not_known_are_not_judged_but_those_around_a_place_are() {
    const LONE: &str = r#""\ud83d""#;
    const HUGE: &str = "1e999";
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for strange in [LONE, HUGE, &deep] {
        assert_each(&[
            (
                &format!(r#"{{"x":{strange},"usage":{{"total_tokens":1,"y":{strange}}}}}"#),
                Some((1, 1)),
            ),
            (
                &format!(r#"{{"message":{{"x":{strange}}},"usage":{{"total_tokens":1}}}}"#),
                None,
            ),
            (
                &format!(r#"{{"choices":{strange},"usage":{{"total_tokens":1}}}}"#),
                None,
            ),
        ]);
    }
    let not_utf8 = |json: &str| {
        json.as_bytes()
            .iter()
            .map(|b| if *b == b'?' { 0xFF } else { *b })
            .collect::<Vec<_>>()
    };
    for (json, wanted) in [
        (
            r#"{"x":"?","usage":{"total_tokens":1,"y":"?"}}"#,
            Some((1, 1)),
        ),
        (r#"{"?":1,"usage":{"total_tokens":1}}"#, None),
        (r#"{"usage":{"total_tokens":1,"?":1}}"#, None),
        (r#"{"message":"?","usage":{"total_tokens":1}}"#, None),
    ] {
        assert_eq!(tokens(&not_utf8(json)), wanted, "{json}");
    }
}

/// The derived readers took an array for a struct, with its elements as fields in order. That was
/// an accident: no API writes one, and the table has another order.
#[test]
fn an_array_is_not_read_by_position() {
    for text in [
        r#"{"usage":[1,2],"x":{"usage":{}}}"#,
        r#"{"choices":[[{"total_tokens":2}]],"x":{"usage":{}}}"#,
        r#"[{"total_tokens":3,"x":{"usage":{}}}]"#,
    ] {
        assert_eq!(tokens(text.as_bytes()), None, "{text}");
        assert!(reference::usage(text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn only_one_whole_object_is_a_text() {
    assert_each(&[
        (" {\"usage\" : {\"total_tokens\" : 1 } }\n", Some((1, 1))),
        (r#"{"usage":{"total_tokens":1}} {}"#, None),
        (r#"{"usage":{"total_tokens":1},}"#, None),
        (r#"{"usage":{"total_tokens":1}"#, None),
        (r#""usage":{"total_tokens":1}"#, None),
    ]);
}

/// The reading of each text: is it a usage with a known field, and the sums after it.
type Reading = Vec<Option<(bool, Option<(u64, u64)>)>>;

fn readings(texts: &[Vec<u8>]) -> Reading {
    let mut totals = UsageTotals::default();
    let read = |text: &Vec<u8>| {
        let usage = excerpt::usage(text, &dialect::ALL)?;
        totals.update(&usage);
        Some((usage != Usage::default(), all_and_fresh(&totals)))
    };
    texts.iter().map(read).collect()
}

fn reference_readings(texts: &[Vec<u8>]) -> Reading {
    let mut totals = UsageTotals::default();
    let read = |text: &Vec<u8>| {
        let usage = reference::usage(text)?;
        totals.update(&serde_json::from_str(&usage.canonical()).unwrap());
        let says = usage != reference::Usage::default();
        Some((says, all_and_fresh(&totals)))
    };
    texts.iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn texts_are_read_as_before(texts in prop::collection::vec(json::text(), 1..4)) {
        prop_assert_eq!(readings(&texts), reference_readings(&texts));
    }

    #[test]
    fn texts_with_a_gap_are_read_as_before(start in json::text(), end in json::text()) {
        let text = [start, vec![b'x'; HEAD_BYTES + TAIL_BYTES], end].concat();
        let mut excerpt = Excerpt::default();
        excerpt.feed(&text);
        let mut totals = UsageTotals::default();
        let usage = excerpt.usage(&dialect::ALL);
        usage.inspect(|usage| totals.update(usage));
        let mut wanted = UsageTotals::default();
        let reference = reference::usage_with_gap(&text);
        if let Some(usage) = reference {
            wanted.update(&serde_json::from_str(&usage.canonical()).unwrap());
        }
        prop_assert_eq!(usage.is_some(), reference.is_some());
        prop_assert_eq!(all_and_fresh(&totals), all_and_fresh(&wanted));
    }

    #[test]
    fn the_usage_event_is_known_as_before(data in json::chunk()) {
        let event = [b"data: ", &*data, b"\n\n"].concat();
        let is_hidden = Hide::default().feed(&event, true).is_empty();
        prop_assert_eq!(is_hidden, reference::is_usage_chunk(&data));
    }

    #[test]
    fn bodies_are_read_as_before(body in json::body()) {
        let asked = request::read(&body);
        let wanted = reference::asked(&body);
        let numbers = |asked: &Asked| (asked.completion, asked.choices);
        prop_assert_eq!(asked.as_ref().map(numbers), wanted.map(|(c, n, _)| (c, n)));
        let is_stream = wanted.is_some_and(|(_, _, is_stream)| is_stream);
        let whole = Some("\"stream_options\":{\"include_usage\":true},");
        let insert = asked.and_then(|asked| asked.splice).map(|splice| splice.insert);
        prop_assert_eq!(insert == whole, is_stream);
    }
}
