//! The reader of a request's body before the table of dialects: a struct by hand.
//!
//! A property test compares the current reader with it.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

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
