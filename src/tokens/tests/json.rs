//! Random chunks that may be the one to hide.

use proptest::prelude::*;

/// Values that are not a usage, a count or JSON; without positional arrays, see `usage::Usage`.
fn strange() -> impl Strategy<Value = Vec<u8>> {
    let values: &[&[u8]] = &[
        b"null",
        b"true",
        b"-1",
        b"-0",
        b"1.5",
        b"1e2",
        b"1e999",
        b"18446744073709551615",
        b"18446744073709551616",
        b"\"5\"",
        b"\"\\ud83d\"",
        b"\"\xFF\"",
        b"\"\\\"usage\\\":{\"",
        b"{}",
        b"[]",
        b"[\"x\"]",
        b"[[[[[[[[]]]]]]]]",
        b"{\"usage\":{\"total_tokens\":77}}",
        b"",
        b"{\"a\":}",
        b"nul",
    ];
    let values: Vec<_> = values.iter().map(|v| v.to_vec()).collect();
    prop::sample::select(values)
}

fn count() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => (0..50_u32).prop_map(|n| n.to_string().into_bytes()),
        2 => Just(b"null".to_vec()),
        1 => strange(),
    ]
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(names).prop_map(str::to_owned)
}

/// An object of some entries; names can repeat.
fn object(entry: impl Strategy<Value = (String, Vec<u8>)>) -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(entry, 0..5), 0..30_u32).prop_map(|(mut entries, keep)| {
        // Most objects have unique names: otherwise nearly all would be void.
        if keep > 0 {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.dedup_by(|a, b| a.0 == b.0);
            if keep % 2 == 1 {
                entries.reverse();
            }
        }
        let mut out = b"{".to_vec();
        for (at, (name, value)) in entries.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(format!("\"{name}\": ").as_bytes());
            out.extend_from_slice(value);
        }
        out.push(b'}');
        out
    })
}

fn details() -> impl Strategy<Value = Vec<u8>> {
    let entry = (
        name(&["cached_tokens", "audio_tokens", "cached\\u005ftokens"]),
        count(),
    );
    prop_oneof![6 => object(entry), 1 => Just(b"null".to_vec()), 1 => strange()]
}

fn usage() -> impl Strategy<Value = Vec<u8>> {
    let counts = name(&[
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "prompt\\u005ftokens",
        "reasoning_tokens",
    ]);
    let details_names = name(&["prompt_tokens_details", "input_tokens_details", "other"]);
    let entry = prop_oneof![
        3 => (counts, count()),
        1 => (details_names, details()),
    ];
    prop_oneof![8 => object(entry), 1 => Just(b"null".to_vec()), 1 => strange()]
}

fn holder() -> impl Strategy<Value = Vec<u8>> {
    let entry = prop_oneof![
        3 => (name(&["usage", "us\\u0061ge"]), usage()),
        1 => (name(&["delta", "usages"]), strange()),
    ];
    prop_oneof![8 => object(entry), 1 => strange()]
}

fn list(element: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(element, 0..3).prop_map(|elements| {
        let mut out = b"[".to_vec();
        out.extend_from_slice(&elements.join(&b','));
        out.push(b']');
        out
    })
}

/// The data of an event that may be the one that `stream_options.include_usage` adds.
pub fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let choices = prop_oneof![6 => Just(b"[]".to_vec()), 1 => list(holder()), 1 => strange()];
    let entry = prop_oneof![
        3 => (name(&["usage"]), usage()),
        3 => (name(&["choices"]), choices),
        1 => (name(&["id", "object"]), strange()),
    ];
    object(entry)
}
