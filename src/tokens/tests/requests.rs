//! Random bodies of requests, with values at every place of the table and at others, read as
//! `serde_json` reads them.

use super::documents::{set, values};
use crate::tokens::dialect::{Dialects, MediaForm, TABLE};
use crate::tokens::request::{self, Asked, Media, ModelName};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A list of pointers of the table.
type Pointers = BTreeSet<&'static str>;

fn completion() -> Pointers {
    let shapes = TABLE.iter().map(|dialect| &dialect.request);
    shapes.flat_map(|shape| shape.completion).copied().collect()
}

fn choices() -> Pointers {
    let shapes = TABLE.iter().map(|dialect| &dialect.request);
    shapes.flat_map(|shape| shape.choices).copied().collect()
}

fn media() -> BTreeSet<(&'static str, bool)> {
    let shapes = TABLE.iter().map(|dialect| &dialect.request);
    let media = shapes.flat_map(|shape| shape.media);
    media
        .map(|(pointer, form)| (*pointer, *form == MediaForm::Bytes))
        .collect()
}

fn at<'a>(body: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let names: Vec<_> = pointer.split('/').skip(1).collect();
    values(body, &names)
}

fn largest(body: &Value, pointers: &Pointers) -> Option<u64> {
    let numbers = pointers.iter().flat_map(|pointer| at(body, pointer));
    let numbers = numbers.filter_map(Value::as_f64);
    let whole = numbers.filter(|n| *n >= 1.0 && n.fract() == 0.0);
    whole.map(|n| n.min(4_294_967_295.0) as u64).max()
}

fn is_media(text: &str, takes_bytes: bool) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric();
    text.len() > 1024
        && (text.starts_with("data:") || (takes_bytes && text.chars().take(64).all(is_base64)))
}

fn oracle(body: &Value, length: usize) -> Asked {
    let mut found = Media::default();
    for (pointer, takes_bytes) in media() {
        for text in at(body, pointer).into_iter().filter_map(Value::as_str) {
            if is_media(text, takes_bytes) {
                found.count += 1;
                found.bytes += text.len() as u64;
            }
        }
    }
    let list = body["prompt"].as_array().map_or(&[][..], Vec::as_slice);
    let prompts = list.iter().filter(|p| p.is_string() || p.is_array());
    Asked {
        bytes: length as u64,
        completion: largest(body, &completion()),
        choices: largest(body, &choices()).unwrap_or(1).min(128),
        prompts: prompts.count().max(1) as u64,
        media: found,
    }
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (0..300_u32).prop_map(Value::from),
        1 => prop::sample::select(vec![
            json!(1e3), json!(1.5), json!(-1), json!(-2), json!(1e300), json!(u64::MAX),
            json!("7"), json!(null), json!(true), json!({"max_tokens": 9}), json!([9]),
        ]),
    ]
}

fn content() -> impl Strategy<Value = Value> {
    (
        prop::sample::select(vec!["data:image/png;base64,", "", "a text, ", "https://x/"]),
        1_000..1_050_usize,
    )
        .prop_map(|(start, length)| Value::from(format!("{start}{}", "A".repeat(length))))
}

fn model() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => "[a-z0-9/. \\\\\"\n\u{1F600}]{0,20}".prop_map(Value::from),
        1 => prop::sample::select(vec![json!(null), json!(7), json!({"model": "x"}), json!(["x"])]),
    ]
}

fn entry() -> impl Strategy<Value = (String, Value)> {
    let pointers = |set: Pointers| prop::sample::select(set.into_iter().collect::<Vec<_>>());
    let media: Pointers = media().into_iter().map(|(pointer, _)| pointer).collect();
    let elsewhere = vec![
        "/x/max_tokens",
        "/messages/*/n",
        "/messages/*/content/*/text",
    ];
    let prompt = prop_oneof![Just(json!("a")), Just(json!([1, 2])), Just(json!(7))];
    let named = |pointer: &'static str, value| (pointer.to_owned(), value);
    prop_oneof![
        4 => (pointers(completion()), number()).prop_map(move |(p, v)| named(p, v)),
        3 => (pointers(choices()), number()).prop_map(move |(p, v)| named(p, v)),
        4 => (pointers(media), content()).prop_map(move |(p, v)| named(p, v)),
        2 => prompt.prop_map(move |value| named("/prompt/*", value)),
        1 => Just(named("/prompt", json!({"id": "p", "x": ["y"]}))),
        2 => model().prop_map(move |value| named("/model", value)),
        1 => (prop::sample::select(elsewhere), prop_oneof![number(), content()])
            .prop_map(move |(p, v)| named(p, v)),
    ]
}

fn body() -> impl Strategy<Value = Value> {
    prop::collection::vec(entry(), 0..8).prop_map(|entries| {
        let mut body = Value::Object(Map::new());
        for (pointer, value) in entries {
            let names: Vec<_> = pointer.split('/').skip(1).collect();
            set(&mut body, &names, value);
        }
        body
    })
}

static DIALECTS: LazyLock<Dialects> = LazyLock::new(|| {
    let mut dialects = Dialects::of(TABLE);
    assert!(dialects.add_model("/model"));
    dialects
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_request_is_read_as_serde_json_reads_it(
        body in body(),
        pretty: bool,
        escaped: bool,
        twice in 0..10_u32,
    ) {
        let mut text = match pretty {
            true => serde_json::to_string_pretty(&body).unwrap(),
            false => body.to_string(),
        };
        if escaped {
            text = text.replace("\"m", "\"\\u006D").replace("_tokens\"", "\\u005Ftokens\"");
        }
        let twice = twice == 0 && body.get("model").is_some();
        if twice {
            text = text.replacen('{', r#"{"model":"other","#, 1);
        }
        let read = request::read(text.as_bytes(), &DIALECTS);
        prop_assert_eq!(read.asked, Some(oracle(&body, text.len())));
        let wanted = match body.get("model") {
            _ if twice => ModelName::Unreadable,
            None | Some(Value::Null) => ModelName::Nothing,
            Some(Value::String(name)) if name.is_empty() => ModelName::Nothing,
            Some(Value::String(name)) => ModelName::Model(name.clone()),
            Some(_) => ModelName::Unreadable,
        };
        prop_assert_eq!(read.models, vec![wanted]);
    }
}
