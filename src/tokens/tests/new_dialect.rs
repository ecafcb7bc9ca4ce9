//! A new dialect is only an entry of the table: an invented one, as a test.

use crate::tokens::dialect::{Dialect, Dialects, Field, RequestShape, TABLE};
use crate::tokens::excerpt::{self, Excerpt, HEAD_BYTES, TAIL_BYTES};
use crate::tokens::request;
use crate::tokens::sse::Events;
use crate::tokens::usage::{Usage, UsageTotals};
use std::sync::LazyLock;

static OTHER: Dialect = Dialect {
    name: "other",
    usage: &["/meterData"],
    fields: &[
        ("/inCount", Field::Input),
        ("/outCount", Field::Output),
        ("/allCount", Field::Total),
        ("/cacheCount", Field::CachedInside),
    ],
    request: RequestShape {
        completion: &["/sizes/most"],
        choices: &["/sizes/answers"],
        completes: &[],
    },
    end_of_stream: Some(b"[END]"),
};

static WITH_OTHER: LazyLock<Dialects> = LazyLock::new(|| {
    let table: Vec<_> = TABLE.iter().copied().chain([&OTHER]).collect();
    Dialects::of(&table)
});

const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],
    "meterData":{"inCount":7,"cacheCount":4,"outCount":5,
    "allCount":12,"inDetails":[{"modality":"TEXT","tokenCount":7}]}}"#;

fn tokens(usage: Option<Usage>) -> Option<(u64, u64)> {
    let mut totals = UsageTotals::default();
    totals.update(&usage?);
    super::all_and_fresh(&totals)
}

#[test]
fn a_text_is_read_whole_and_with_a_gap() {
    let usage = excerpt::usage(TEXT.as_bytes(), &WITH_OTHER);
    assert_eq!(tokens(usage), Some((12, 8)));
    let openai = br#"{"choices":[],"usage":{"total_tokens":3}}"#;
    assert_eq!(tokens(excerpt::usage(openai, &WITH_OTHER)), Some((3, 3)));

    let mut long = Excerpt::default();
    long.feed(&vec![b'x'; HEAD_BYTES + TAIL_BYTES]);
    long.feed(br#"","usage":{"total_tokens":3},"x":1}"#);
    long.feed(TEXT.as_bytes());
    assert_eq!(tokens(long.usage(&WITH_OTHER)), Some((12, 8)));
}

#[test]
fn a_stream_is_read_to_its_end() {
    let data = TEXT.replace('\n', "");
    let mut events = Events::new(&WITH_OTHER);
    events.feed(format!("data: {{}}\n\ndata: {data}\n\ndata: [END]\n\n").as_bytes());
    assert_eq!(events.totals.tokens(), Some(12));
    assert_eq!(events.count, 2);
    assert!(events.end(false));
}

#[test]
fn a_request_is_read_by_pointers() {
    let body = br#"{"contents":[],"sizes":{"most":90,"answers":2}}"#;
    let asked = request::read_by(body, &WITH_OTHER).unwrap();
    assert_eq!((asked.completion, asked.choices), (Some(90), 2));
    let wrong = br#"{"sizes":7,"max_tokens":5}"#;
    let asked = request::read_by(wrong, &WITH_OTHER).unwrap();
    assert_eq!((asked.completion, asked.choices), (Some(5), 1));
}
