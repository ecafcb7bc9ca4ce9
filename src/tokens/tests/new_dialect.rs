//! A new dialect is only an entry of the table: an invented one, as a test.

use crate::tokens::dialect::{Dialect, Dialects, Field, RequestShape, TABLE, UsageShape};
use crate::tokens::request;
use crate::tokens::sse::Events;
use crate::tokens::text::TextReader;
use std::sync::{Arc, LazyLock};

static OTHER: Dialect = Dialect {
    usage: &[UsageShape::new(
        &["/meterData"],
        &[
            ("/inCount", Field::Input),
            ("/outCount", Field::Output),
            ("/allCount", Field::Total),
            ("/cacheCount", Field::CachedInside),
        ],
    )],
    request: RequestShape {
        completion: &["/sizes/most"],
        choices: &["/sizes/answers"],
        ..RequestShape::NONE
    },
    end_of_stream: Some(b"[END]"),
    ..Dialect::new("other")
};

static WITH_OTHER: LazyLock<Arc<Dialects>> = LazyLock::new(|| {
    let table: Vec<_> = TABLE.iter().copied().chain([&OTHER]).collect();
    Arc::new(Dialects::of(&table))
});

const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],
    "meterData":{"inCount":7,"cacheCount":4,"outCount":5,
    "allCount":12,"inDetails":[{"modality":"TEXT","tokenCount":7}]}}"#;

#[test]
fn a_text_is_read() {
    for (text, wanted) in [
        (TEXT, (12, 8)),
        (r#"{"choices":[],"usage":{"total_tokens":3}}"#, (3, 3)),
    ] {
        let mut texts = TextReader::new(Arc::clone(&WITH_OTHER));
        texts.feed(text.as_bytes());
        let totals = &texts.facts().totals;
        assert_eq!(super::all_and_fresh(totals), Some(wanted), "{text}");
    }
}

#[test]
fn a_stream_is_read_to_its_end() {
    let data = TEXT.replace('\n', "");
    let stream = format!("data: {{}}\n\ndata: {data}\n\ndata: [END]\n\n");
    for size in 1..stream.len() {
        let mut events = Events::new(Arc::clone(&WITH_OTHER));
        for piece in stream.as_bytes().chunks(size) {
            events.feed(piece);
        }
        assert_eq!(events.facts().totals.tokens(), Some(12));
        assert_eq!((events.count(), events.has_ended()), (2, true));
    }
}

#[test]
fn a_request_is_read_by_pointers() {
    let body = br#"{"contents":[],"sizes":{"most":90,"answers":2}}"#;
    let asked = request::read(body, &WITH_OTHER).asked.unwrap();
    assert_eq!((asked.completion, asked.choices), (Some(90), 2));
    let wrong = br#"{"sizes":7,"max_tokens":5}"#;
    let asked = request::read(wrong, &WITH_OTHER).asked.unwrap();
    assert_eq!((asked.completion, asked.choices), (Some(5), 1));
}
