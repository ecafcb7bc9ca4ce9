//! The readers before the table of dialects: structs with derived serde.
//!
//! The property tests compare the current readers with these.

use crate::tokens::excerpt::{HEAD_BYTES, TAIL_BYTES};
use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

const KEY: &[u8] = b"\"usage\"";

/// Reads the usage in a complete text.
pub fn usage(json: &[u8]) -> Option<Usage> {
    objects(json).next()?;
    let text: Text = serde_json::from_slice(json).ok()?;
    let choices = text.choices.and_then(Loose::known);
    let choice = choices.and_then(|c| c.into_iter().find_map(|c| c.usage));
    let inside = |holder: Option<Loose<Holder>>| holder?.known()?.usage;
    text.usage
        .or(choice)
        .or_else(|| inside(text.message))
        .or_else(|| inside(text.response))
}

/// Reads the usage in a text without its middle.
pub fn usage_with_gap(text: &[u8]) -> Option<Usage> {
    let head = text.get(..HEAD_BYTES).unwrap();
    let tail = text.get(text.len() - TAIL_BYTES..).unwrap();
    last_usage(tail).or_else(|| last_usage(head))
}

fn last_usage(json: &[u8]) -> Option<Usage> {
    objects(json).find_map(|value| {
        let mut values = serde_json::Deserializer::from_slice(value).into_iter::<Usage>();
        values.next()?.ok()
    })
}

fn objects(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    memmem::rfind_iter(json, KEY).filter_map(|at| {
        let (before, rest) = json.split_at_checked(at)?;
        if before.last() == Some(&b'\\') {
            return None;
        }
        let value = rest.strip_prefix(KEY)?.trim_ascii_start();
        let value = value.strip_prefix(b":")?.trim_ascii_start();
        value.starts_with(b"{").then_some(value)
    })
}

/// True when `data` is the chunk that `stream_options.include_usage` adds.
pub fn is_usage_chunk(data: &[u8]) -> bool {
    serde_json::from_slice::<Chunk>(data)
        .is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage != Usage::default())
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<IgnoredAny>,
    usage: Usage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    usage: Option<Usage>,
    choices: Option<Loose<Vec<Holder>>>,
    message: Option<Loose<Holder>>,
    response: Option<Loose<Holder>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Loose<T> {
    Known(T),
    Other(IgnoredAny),
}

impl<T> Loose<T> {
    fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Holder {
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Usage {
    fn cached(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.or(self.input_tokens_details);
        self.cached_tokens
            .or(details.and_then(|details| details.cached_tokens))
    }

    /// Writes what was read, each count by a name of its own.
    pub fn canonical(&self) -> String {
        let counts = [
            ("prompt_tokens", self.prompt_tokens),
            ("completion_tokens", self.completion_tokens),
            ("total_tokens", self.total_tokens),
            ("cached_tokens", self.cached()),
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            (
                "cache_creation_input_tokens",
                self.cache_creation_input_tokens,
            ),
            ("cache_read_input_tokens", self.cache_read_input_tokens),
        ];
        let said = counts
            .iter()
            .filter_map(|(name, count)| count.map(|count| format!("\"{name}\":{count}")));
        format!("{{{}}}", said.collect::<Vec<_>>().join(","))
    }
}

/// Reads the maximum of completion tokens, the choices, and whether the body is a stream that takes
/// `stream_options` and has none.
pub fn asked(body: &[u8]) -> Option<(Option<u64>, u64, bool)> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = deserializer.deserialize_map(BodyVisitor).ok()?;
    deserializer.end().ok()?;
    let completion = [
        parsed.max_completion_tokens,
        parsed.max_tokens,
        parsed.max_output_tokens,
    ];
    let completion = completion.into_iter().filter_map(positive).max();
    let is_stream = parsed.stream.is_some_and(|value| value.get() == "true");
    Some((
        completion,
        positive(parsed.n).unwrap_or(1).min(128),
        is_stream && parsed.completes && parsed.stream_options.is_none(),
    ))
}

#[derive(Default)]
struct Body<'a> {
    max_completion_tokens: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_output_tokens: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    completes: bool,
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let field = match &*name {
                "max_completion_tokens" => &mut body.max_completion_tokens,
                "max_tokens" => &mut body.max_tokens,
                "max_output_tokens" => &mut body.max_output_tokens,
                "n" => &mut body.n,
                "stream" => &mut body.stream,
                "stream_options" => &mut body.stream_options,
                name => {
                    body.completes |= name == "messages" || name == "prompt";
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(body)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the float is a whole number within the bound"
)]
fn positive(value: Option<&RawValue>) -> Option<u64> {
    let text = value?.get();
    let bound = f64::from(u32::MAX);
    let number: f64 = match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => text.parse().ok()?,
        false => return None,
    };
    (number >= 1.0 && number.fract() == 0.0).then(|| number.min(bound) as u64)
}
