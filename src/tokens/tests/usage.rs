//! The merge of counts: of several names in one text, and of several texts.

use crate::tokens::dialect;
use crate::tokens::text::TextReader;
use crate::tokens::usage::UsageTotals;
use std::sync::Arc;

fn totals(objects: &[&str]) -> UsageTotals {
    let mut texts = TextReader::new(Arc::clone(&dialect::ALL));
    for object in objects {
        texts.feed(format!("{{\"usage\":{object}}}").as_bytes());
    }
    texts.facts().totals
}

fn tokens(objects: &[&str]) -> Option<u64> {
    totals(objects).tokens()
}

#[test]
fn each_shape_comes_to_its_tokens() {
    for (objects, all, fresh) in [
        (
            &[r#"{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}"#][..],
            12,
            12,
        ),
        (&[r#"{"prompt_tokens":8,"total_tokens":8}"#], 8, 8),
        (
            &[
                r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}"#,
            ],
            10,
            6,
        ),
        (
            &[r#"{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":9}"#],
            10,
            1,
        ),
        (
            &[r#"{"input_tokens":9,"output_tokens":2,"input_tokens_details":{"cached_tokens":8}}"#],
            11,
            3,
        ),
        (
            &[
                r#"{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":1}"#,
                r#"{"output_tokens":20}"#,
                r#"{"output_tokens":30}"#,
            ],
            145,
            45,
        ),
    ] {
        let cached = totals(objects).input().map_or(0, |input| input.cached);
        assert_eq!(tokens(objects), Some(all), "{objects:?}");
        assert_eq!(all - cached, fresh, "{objects:?}");
    }
}

#[test]
fn both_names_at_once_are_those_of_openai() {
    let both = r#"{"prompt_tokens":12,"completion_tokens":223,"total_tokens":235,
        "input_tokens":0,"output_tokens":0,"input_tokens_details":null}"#;
    assert_eq!(tokens(&[both]), Some(235));
}

#[test]
fn what_is_said_twice_counts_once_and_null_takes_nothing_back() {
    let said = r#"{"total_tokens":40}"#;
    assert_eq!(tokens(&[said, said]), Some(40));
    let null = r#"{"total_tokens":null}"#;
    assert_eq!(tokens(&[said, null]), Some(40));
    assert_eq!(tokens(&["{}"]), None);
}

/// Each is the form of a public report of a wrong count.
#[test]
fn what_upstreams_really_say_comes_to_its_tokens() {
    for (objects, all, cached) in [
        // Reasoning is in the total alone.
        (
            &[r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":1241}"#][..],
            1_241,
            0,
        ),
        (
            &[r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81}"#],
            81,
            0,
        ),
        // Zeros after the real counts.
        (
            &[
                r#"{"input_tokens":5000,"output_tokens":1}"#,
                r#"{"input_tokens":0,"cache_read_input_tokens":5,"output_tokens":15}"#,
            ],
            5_020,
            5,
        ),
        (
            &[
                r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}"#,
                r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
            ],
            1_500,
            0,
        ),
        // The cache is named twice, and inside the prompt.
        (
            &[
                r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                "prompt_tokens_details":{"cached_tokens":1920},
                "cache_creation_input_tokens":0,"cache_read_input_tokens":1920}"#,
            ],
            2_306,
            1_920,
        ),
        (
            &[
                r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                "cache_creation_input_tokens":2000}"#,
            ],
            2_306,
            0,
        ),
        (
            &[r#"{"prompt_tokens":0,"completion_tokens":0,
                "input_tokens":1000,"output_tokens":500}"#],
            1_500,
            0,
        ),
        (
            &[
                r#"{"input_tokens":2006,"input_tokens_details":{"cached_tokens":1920},
                "output_tokens":300,"cache_read_input_tokens":1920}"#,
            ],
            2_306,
            1_920,
        ),
        // OpenAI's names, and the cache beside them.
        (
            &[
                r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":10150,
                "cache_read_input_tokens":10000,"cache_creation_input_tokens":0}"#,
            ],
            10_150,
            10_000,
        ),
        (
            &[
                r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":190,
                "cache_read_input_tokens":40}"#,
            ],
            190,
            40,
        ),
        // The first object has the cache in its input, the second beside it.
        (
            &[
                r#"{"input_tokens":1000,"output_tokens":0}"#,
                r#"{"input_tokens":100,"cache_read_input_tokens":900,"output_tokens":50}"#,
            ],
            1_050,
            900,
        ),
        // Both names, and OpenAI's are zero.
        (
            &[
                r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":1500,
                "input_tokens":1000,"output_tokens":500}"#,
            ],
            1_500,
            0,
        ),
    ] {
        let totals = totals(objects);
        assert_eq!(totals.tokens(), Some(all), "{objects:?}");
        assert_eq!(totals.input().unwrap().cached, cached, "{objects:?}");
    }
}

#[test]
fn an_output_alone_says_nothing_of_the_input() {
    let alone = totals(&[r#"{"completion_tokens":25}"#]);
    assert_eq!((alone.tokens(), alone.output_alone()), (None, Some(25)));
    let zeros = totals(&[
        r#"{"input_tokens":0,"output_tokens":0}"#,
        r#"{"output_tokens":62}"#,
    ]);
    assert_eq!(zeros.output_alone(), Some(62), "a zero says nothing");
    let nothing = totals(&[r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#]);
    assert_eq!((nothing.tokens(), nothing.output_alone()), (Some(0), None));
    let with_total = totals(&[r#"{"completion_tokens":25,"total_tokens":30}"#]);
    assert_eq!(
        (with_total.tokens(), with_total.output_alone()),
        (Some(30), None)
    );
}

#[test]
fn absurd_numbers_are_not_believed() {
    let huge = r#"{"total_tokens":9223372036854775808}"#;
    assert_eq!(tokens(&[huge]), None);
    let sum = r#"{"prompt_tokens":18446744073709551615,"completion_tokens":2}"#;
    assert_eq!(tokens(&[sum]), None);
}
