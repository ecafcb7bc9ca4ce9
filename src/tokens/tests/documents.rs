//! Random documents, with counts at every place of the table and at all others, read as `serde_json`
//! reads them.

use crate::tokens::dialect::{self, Field, TABLE};
use crate::tokens::text::TextReader;
use crate::tokens::usage::{MAX_TOKENS, Usage, UsageTotals};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pointer of the table.
#[derive(Clone, Debug)]
struct Pointer {
    path: String,
    /// The pointer inside its shape: equal ones have equal rank.
    name: &'static str,
    field: Field,
    is_part: bool,
}

fn pointers() -> Vec<Pointer> {
    let mut all = BTreeMap::new();
    for shape in TABLE.iter().flat_map(|dialect| dialect.usage) {
        for at in shape.at {
            for (counts, is_part) in [(shape.counts, false), (shape.parts, true)] {
                for (name, field) in counts {
                    let path = format!("{at}{name}");
                    all.entry(path.clone()).or_insert(Pointer {
                        path,
                        name,
                        field: *field,
                        is_part,
                    });
                }
            }
        }
    }
    all.into_values().collect()
}

/// Returns the rank of each name: the order in the table.
fn rank(name: &str) -> u8 {
    let shapes = TABLE.iter().flat_map(|dialect| dialect.usage);
    let mut names: Vec<&str> = Vec::new();
    for (known, _) in shapes.flat_map(|shape| shape.counts) {
        if !names.contains(known) {
            names.push(known);
        }
    }
    u8::try_from(names.iter().position(|n| *n == name).unwrap_or(0)).unwrap()
}

/// Returns the values at a pointer's names.
pub fn values<'a>(value: &'a Value, names: &[&str]) -> Vec<&'a Value> {
    let Some((name, rest)) = names.split_first() else {
        return vec![value];
    };
    let inner: Vec<&Value> = match value {
        Value::Array(elements) if *name == "*" => elements.iter().collect(),
        Value::Object(members) if *name == "*" => members.values().collect(),
        Value::Object(members) => members.get(*name).into_iter().collect(),
        _ => Vec::new(),
    };
    inner
        .into_iter()
        .flat_map(|value| values(value, rest))
        .collect()
}

fn oracle(document: &Value) -> UsageTotals {
    let mut usage = Usage::default();
    for pointer in pointers() {
        let names: Vec<_> = pointer.path.split('/').skip(1).collect();
        for value in values(document, &names) {
            let Some(number) = value
                .as_f64()
                .filter(|n| (0.0..=4_294_967_295.0).contains(n))
            else {
                continue;
            };
            let tokens = number.ceil() as u64;
            assert!(tokens <= MAX_TOKENS);
            match pointer.is_part {
                true => usage.add(pointer.field, tokens),
                false => usage.offer(pointer.field, rank(pointer.name), tokens),
            }
        }
    }
    let mut totals = UsageTotals::default();
    totals.update(&usage);
    totals
}

/// All names of the table, and some others.
fn names() -> Vec<String> {
    let pointers = pointers();
    let in_table = pointers.iter().flat_map(|p| p.path.split('/').skip(1));
    let mut names: Vec<_> = in_table
        .filter(|name| *name != "*")
        .map(str::to_owned)
        .collect();
    names.extend(["x", "tools", "metadata", "content", "delta"].map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn noise() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => (0..100_u32).prop_map(Value::from),
        1 => prop_oneof![Just(Value::Null), Just(Value::from(-1)), Just(Value::from(1.5)), Just(Value::from(1e300))],
        2 => prop::sample::select(vec![
            "", "\"usage\":{\"total_tokens\":99}", "}{][", "\\\"", "Ünïcödé \u{1F600}",
        ]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let name = prop::sample::select(names());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Sets the value at a pointer, in place of what was there.
pub fn set(value: &mut Value, names: &[&str], count: Value) {
    let Some((name, rest)) = names.split_first() else {
        *value = count;
        return;
    };
    if *name == "*" {
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
        let elements = value.as_array_mut().unwrap();
        elements.push(Value::Null);
        set(elements.last_mut().unwrap(), rest, count);
    } else {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        let members = value.as_object_mut().unwrap();
        set(members.entry(*name).or_insert(Value::Null), rest, count);
    }
}

fn document() -> impl Strategy<Value = Value> {
    let count = prop_oneof![
        (0..100_000_u32).prop_map(Value::from),
        Just(Value::from(6.2))
    ];
    let counts = prop::collection::vec((prop::sample::select(pointers()), count), 0..6);
    (noise(), counts).prop_map(|(noise, counts)| {
        let mut document = match noise {
            Value::Object(members) => Value::Object(members),
            _ => Value::Object(Map::new()),
        };
        for (pointer, count) in counts {
            let names: Vec<_> = pointer.path.split('/').skip(1).collect();
            set(&mut document, &names, count);
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn counts_are_read_at_their_places_alone(
        document in document(),
        pretty: bool,
        escaped: bool,
        size in 1_usize..300,
    ) {
        let mut text = match pretty {
            true => serde_json::to_string_pretty(&document).unwrap(),
            false => document.to_string(),
        };
        if escaped {
            text = text.replace("\"usage\"", "\"\\u0075sage\"").replace("_tokens\"", "\\u005Ftokens\"");
        }
        let mut texts = TextReader::new(Arc::clone(&dialect::ALL));
        for piece in text.as_bytes().chunks(size) {
            texts.feed(piece);
        }
        prop_assert_eq!(texts.facts().texts, 1);
        let (read, wanted) = (texts.facts().totals, oracle(&document));
        prop_assert_eq!(read.tokens(), wanted.tokens());
        prop_assert_eq!(read.input(), wanted.input());
        prop_assert_eq!(read.output_alone(), wanted.output_alone());
    }
}
