//! The scanner, compared with `serde_json` on texts of any form.

use super::*;
use proptest::prelude::*;

/// A leaf that a scan found, and its value as JSON.
#[derive(Debug, Default, PartialEq)]
struct Found {
    values: Vec<(usize, String)>,
    texts: usize,
}

impl Sink<usize> for Found {
    fn value(&mut self, leaf: &usize, value: Value<'_>) {
        let value = match value {
            Value::Null => "null".to_owned(),
            Value::Bare(bare) => String::from_utf8_lossy(bare).into_owned(),
            Value::Text { start, .. } => format!("{:?}", String::from_utf8_lossy(start)),
            Value::Object => "{}".to_owned(),
            Value::Array => "[]".to_owned(),
        };
        self.values.push((*leaf, value));
    }

    fn text_ends(&mut self) {
        self.texts += 1;
    }
}

fn tree(pointers: &[&str]) -> Tree<usize> {
    let pointers = pointers.iter().zip(0..);
    Tree::of(pointers.map(|(pointer, at)| ((*pointer).to_owned(), at)))
}

fn scan(pointers: &[&str], text: &[u8], size: usize) -> Found {
    let mut found = Found::default();
    let mut scanner = Scanner::default();
    let tree = tree(pointers);
    for piece in text.chunks(size) {
        scanner.feed(&tree, piece, &mut found);
    }
    found
}

fn values(pointers: &[&str], text: &str) -> Vec<(usize, String)> {
    let whole = scan(pointers, text.as_bytes(), text.len().max(1));
    for size in 1..text.len().min(40) {
        assert_eq!(scan(pointers, text.as_bytes(), size), whole, "{size}");
    }
    whole.values
}

fn strings(found: &[(usize, &str)]) -> Vec<(usize, String)> {
    let found = found.iter();
    found
        .map(|(at, value)| (*at, (*value).to_owned()))
        .collect()
}

#[test]
fn values_are_found_on_their_paths_alone() {
    let pointers = ["/usage/n", "/choices/*/usage/n", "/error", "/n"];
    for (text, found) in [
        (r#"{"usage":{"n":1}}"#, &[(0, "1")][..]),
        (r#"{"x":{"usage":{"n":1}},"y":[{"usage":{"n":2}}]}"#, &[]),
        (
            r#"{"choices":[{"usage":{"n":2}},{"x":{"usage":{"n":3}}},[{"usage":{"n":4}}],{"usage":{"n":5}}]}"#,
            &[(1, "2"), (1, "5")],
        ),
        (r#"{"\u0075s\u0061ge":{"n": null }}"#, &[(0, "null")]),
        (
            r#"{"x":"{\"usage\":{\"n\":1}","n":"a\"}\\"}"#,
            &[(3, r#""a\"}\\""#)],
        ),
        (r#"{"error":{"n":1},"n":[1,2]}"#, &[(2, "{}"), (3, "[]")]),
        (
            "{\"n\":1}\n{\"n\":2} {\"n\":3}",
            &[(3, "1"), (3, "2"), (3, "3")],
        ),
        ("[{\"n\":1},\n{\"n\":2}\n]", &[(3, "1"), (3, "2")]),
        (r#""{\"n\":1}" {"n":2}"#, &[(3, "2")]),
        (r#"{"usage":7,"n":-1.5e3}"#, &[(3, "-1.5e3")]),
        (r#"{"n":1"#, &[]),
    ] {
        assert_eq!(values(&pointers, text), strings(found), "{text}");
    }
}

#[test]
fn what_is_no_json_is_passed_over() {
    for (text, found) in [
        ("{\"x\":\"\\ud83d\",\"n\":1}", &[(0, "1")][..]),
        ("{\"x\":[NaN,-Infinity,1e999],\"n\":1}", &[(0, "1")]),
        ("{\"x\":\"\\u12\",\"n\":1}", &[(0, "1")]),
        ("{\"x\":,\"n\":1}", &[(0, "1")]),
        ("{\"x\",\"n\":1}", &[(0, "1")]),
        ("{,,\"n\":1,}", &[(0, "1")]),
    ] {
        assert_eq!(values(&["/n"], text), strings(found), "{text}");
    }
    let deep = format!(
        "{{\"x\":{}1{},\"n\":1}}",
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    assert_eq!(
        values(&["/n", "/x/*/*"], &deep).last(),
        Some(&(0, "1".to_owned()))
    );
    let long = format!("{{\"{}\":1,\"n\":1}}", "n".repeat(9_000));
    assert_eq!(values(&["/n"], &long), strings(&[(0, "1")]));
    let digits = format!("{{\"n\":{}}}", "1".repeat(9_000));
    assert_eq!(values(&["/n"], &digits), strings(&[(0, "")]));
    assert!(size_of::<Scanner>() <= 400, "{}", size_of::<Scanner>());
}

#[test]
fn a_long_string_is_known_by_its_start_and_length() {
    struct Long(Vec<u8>, u64);
    impl Sink<usize> for Long {
        fn value(&mut self, _: &usize, value: Value<'_>) {
            let Value::Text {
                start,
                is_whole,
                length,
            } = value
            else {
                panic!("{value:?}");
            };
            assert_eq!((start.len(), is_whole), (string::KEPT_BYTES, false));
            self.1 = length;
        }
        fn piece(&mut self, _: &usize, raw: &[u8]) {
            self.0.extend_from_slice(raw);
        }
        fn text_ends(&mut self) {}
    }
    let content = "data:\\u0041\\/".repeat(1_000);
    let text = format!("{{\"n\":\"{content}\"}}");
    for size in [1, 7, 100_000] {
        let mut long = Long(Vec::new(), 0);
        let mut scanner = Scanner::default();
        for piece in text.as_bytes().chunks(size) {
            scanner.feed(&tree(&["/n"]), piece, &mut long);
        }
        assert_eq!(long.0, content.as_bytes(), "{size}");
        assert_eq!(long.1, u64::try_from(content.len()).unwrap());
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "usage"];

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        r#"[\\"{}\[\]:,a]{0,9}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const POINTERS: [&str; 8] = [
    "/a",
    "/a/b",
    "/a/*/c",
    "/b/*/*",
    "/usage/a",
    "/usage/*",
    "/c/*/usage/d",
    "/*/d",
];

/// Adds the values at the leaves below a value, in the order of the text.
fn visit(
    tree: &Tree<usize>,
    at: NodeId,
    value: &serde_json::Value,
    found: &mut Vec<(usize, String)>,
) {
    use serde_json::Value;
    if let Some(leaf) = tree.leaf(at) {
        found.push((
            *leaf,
            match value {
                Value::String(text) => {
                    let kept = text.as_bytes().get(..string::KEPT_BYTES);
                    format!(
                        "{:?}",
                        String::from_utf8_lossy(kept.unwrap_or(text.as_bytes()))
                    )
                }
                Value::Array(_) => "[]".to_owned(),
                Value::Object(_) => "{}".to_owned(),
                other => other.to_string(),
            },
        ));
    }
    match value {
        Value::Array(elements) => {
            for element in elements {
                if let Some(next) = tree.element(at) {
                    visit(tree, next, element, found);
                }
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(next) = tree.member(at, name.as_bytes()) {
                    visit(tree, next, member, found);
                }
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_scan_finds_what_serde_json_does(json in json(), pretty: bool, size in 1_usize..200) {
        let json = match json.is_object() {
            true => json,
            false => serde_json::json!({ "a": json }),
        };
        let text = match pretty {
            true => serde_json::to_vec_pretty(&json).unwrap(),
            false => serde_json::to_vec(&json).unwrap(),
        };
        let mut wanted = Vec::new();
        visit(&tree(&POINTERS), NodeId::ROOT, &json, &mut wanted);
        let found = scan(&POINTERS, &text, size);
        prop_assert_eq!(found, Found { values: wanted, texts: 1 });
    }

    #[test]
    fn any_bytes_give_the_same_however_they_are_cut(
        text in prop::collection::vec(prop::sample::select(&b"{}[]\":,\\u0a1n \n\xFF"[..]), 0..200),
        size in 1_usize..50,
    ) {
        let whole = scan(&POINTERS, &text, text.len().max(1));
        prop_assert_eq!(scan(&POINTERS, &text, size), whole);
    }
}
