//! The fields of a request's JSON body, and the splice that makes its stream report usage.
//!
//! The body is never serialised again. A splice replaces a few bytes; all others stay as the client
//! sent them.

use crate::host::{Header, Request};
use crate::tokens::dialect::openai::{STREAM, STREAM_OPTIONS};
use crate::tokens::dialect::{self, Dialects};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The maximum number of choices that is counted.
const MOST_CHOICES: u64 = 128;

/// The token-related fields of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The length of the body, in bytes.
    pub bytes: u64,
    /// The maximum of completion tokens of one choice, if the body has one.
    pub completion: Option<u64>,
    /// The number of choices, at least 1.
    pub choices: u64,
    /// The change that makes a stream report usage; `None` when the body needs or allows none.
    pub splice: Option<Splice>,
}

/// A replacement of some bytes of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The offset.
    pub at: usize,
    /// The number of removed bytes.
    pub remove: usize,
    /// The bytes to insert.
    pub insert: &'static str,
}

/// The values of an object. Of two equal names the last counts, as in most parsers.
#[derive(Debug)]
struct Members<'a, 'n> {
    names: &'n [&'static str],
    values: Vec<Option<&'a RawValue>>,
    /// True when the object has one of the marks.
    is_marked: bool,
}

impl<'a> Members<'a, '_> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let at = self.names.iter().position(|n| *n == name)?;
        *self.values.get(at)?
    }

    /// Returns the value at a pointer.
    fn find(&self, pointer: &'static str) -> Option<&'a RawValue> {
        let mut names = pointer.split('/').skip(1);
        let value = self.get(names.next()?)?;
        names.try_fold(value, |value, name| {
            let names = [name];
            let mut deserializer = serde_json::Deserializer::from_str(value.get());
            let visitor = MembersVisitor {
                names: &names,
                marks: &[],
            };
            deserializer.deserialize_map(visitor).ok()?.get(name)
        })
    }

    /// Returns the largest number at any of the pointers.
    fn largest(&self, pointers: &[&'static str]) -> Option<u64> {
        let values = pointers.iter().filter_map(|pointer| self.find(pointer));
        values.filter_map(positive).max()
    }
}

/// Reads the members with these names, and looks for the marks among all names.
struct MembersVisitor<'n> {
    names: &'n [&'static str],
    marks: &'n [&'static str],
}

impl<'de, 'n> Visitor<'de> for MembersVisitor<'n> {
    type Value = Members<'de, 'n>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members {
            names: self.names,
            values: vec![None; self.names.len()],
            is_marked: false,
        };
        let meaning = |name: &str| {
            let at = self.names.iter().position(|n| *n == name);
            (at, self.marks.contains(&name))
        };
        while let Some((at, is_mark)) = map.next_key_seed(Name(meaning))? {
            members.is_marked |= is_mark;
            if let Some(value) = at.and_then(|at| members.values.get_mut(at)) {
                *value = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}

/// Passes an object's name to a function, without a copy.
struct Name<F>(F);

impl<'de, R, F: FnOnce(&str) -> R> DeserializeSeed<'de> for Name<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<R, F: FnOnce(&str) -> R> Visitor<'_> for Name<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<R, E> {
        Ok((self.0)(name))
    }
}

#[derive(Debug, serde::Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// Reads a value that is present, including null.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a positive whole number, also as 1e5 or 100.0, capped at the maximum of a response.
/// Anything else counts as absent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the float is a whole number within the bound"
)]
fn positive(value: &RawValue) -> Option<u64> {
    let text = value.get();
    let bound = f64::from(u32::MAX);
    let number: f64 = match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => text.parse().ok()?,
        false => return None,
    };
    (number >= 1.0 && number.fract() == 0.0).then(|| number.min(bound) as u64)
}

/// True when a request's headers allow reading its body.
///
/// Not read: a body that is longer than `limit`, encoded, multipart or gRPC, and a tunnel.
pub fn is_readable(request: &dyn Request, limit: u64) -> bool {
    let is_absent = |name| matches!(request.header(name), Header::Absent);
    let length_fits = match request.header("content-length") {
        Header::Absent => true,
        Header::Once(value) => str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
            .is_some_and(|length| length <= limit),
        Header::Repeated => false,
    };
    let kind_fits = match request.header("content-type") {
        Header::Absent => true,
        Header::Once(value) => ![&b"multipart/"[..], b"application/grpc"]
            .iter()
            .any(|prefix| value.starts_with(prefix)),
        Header::Repeated => false,
    };
    let is_tunnel =
        !is_absent("upgrade") || matches!(request.header(":method"), Header::Once(b"CONNECT"));
    length_fits && kind_fits && is_absent("content-encoding") && !is_tunnel
}

/// Reads a body; `None` when it is not a JSON object.
pub fn read(body: &[u8]) -> Option<Asked> {
    read_by(body, &dialect::ALL)
}

/// Reads a body in some dialects; `None` when it is not a JSON object.
pub fn read_by(body: &[u8], dialects: &Dialects) -> Option<Asked> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let visitor = MembersVisitor {
        names: &dialects.request_names,
        marks: &dialects.completes,
    };
    let members = deserializer.deserialize_map(visitor).ok()?;
    deserializer.end().ok()?;
    Some(Asked {
        bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
        // The upstream's dialect is unknown, so the largest value of all dialects counts.
        completion: members.largest(&dialects.completion),
        choices: members
            .largest(&dialects.choices)
            .unwrap_or(1)
            .min(MOST_CHOICES),
        splice: include_usage(body, &members),
    })
}

/// Returns the splice that sets `stream_options.include_usage`, for a stream of completions.
fn include_usage(body: &[u8], members: &Members<'_, '_>) -> Option<Splice> {
    if members.get(STREAM)?.get() != "true" || !members.is_marked {
        return None;
    }
    let Some(options) = members.get(STREAM_OPTIONS) else {
        return Some(Splice {
            at: after_brace(body)?,
            remove: 0,
            insert: r#""stream_options":{"include_usage":true},"#,
        });
    };
    let at = offset(body, options)?;
    if options.get() == "null" {
        return Some(Splice {
            at,
            remove: 4,
            insert: r#"{"include_usage":true}"#,
        });
    }
    let parsed: StreamOptions<'_> = serde_json::from_str(options.get()).ok()?;
    match parsed.include_usage {
        Some(value) if value.get() == "true" => None,
        Some(value) => Some(Splice {
            at: offset(body, value)?,
            remove: value.get().len(),
            insert: "true",
        }),
        None => {
            let inside = options.get().strip_prefix('{')?;
            let is_empty = inside.trim_ascii_start().starts_with('}');
            Some(Splice {
                at: at.checked_add(1)?,
                remove: 0,
                insert: if is_empty {
                    r#""include_usage":true"#
                } else {
                    r#""include_usage":true,"#
                },
            })
        }
    }
}

fn after_brace(body: &[u8]) -> Option<usize> {
    body.iter().position(|b| *b == b'{')?.checked_add(1)
}

/// Returns the offset in `body` of a value that was borrowed from it.
fn offset(body: &[u8], value: &RawValue) -> Option<usize> {
    let at = value
        .get()
        .as_ptr()
        .addr()
        .checked_sub(body.as_ptr().addr())?;
    (at < body.len()).then_some(at)
}

impl Splice {
    /// Applies the splice to a body.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let end = self.at.saturating_add(self.remove);
        let mut out = Vec::with_capacity(body.len().saturating_add(self.insert.len()));
        out.extend_from_slice(body.get(..self.at).unwrap_or(body));
        out.extend_from_slice(self.insert.as_bytes());
        out.extend_from_slice(body.get(end..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> (Option<u64>, u64) {
        let asked = read(body.as_bytes()).unwrap();
        (asked.completion, asked.choices)
    }

    #[test]
    fn the_completion_is_the_most_that_is_asked_for() {
        for (body, completion, choices) in [
            (r#"{"max_tokens":50}"#, Some(50), 1),
            (
                r#"{"max_tokens":50,"max_completion_tokens":70,"n":3}"#,
                Some(70),
                3,
            ),
            (r#"{"max_output_tokens":90}"#, Some(90), 1),
            (r#"{"max_tokens":null,"n":0}"#, None, 1),
            (r#"{"max_tokens":-5,"n":"2"}"#, None, 1),
            (r#"{"max_tokens":1.5,"n":1000000}"#, None, 128),
            (r#"{"max_tokens":1e3,"n":2.0}"#, Some(1000), 2),
            (
                r#"{"max_completion_tokens":1,"max_tokens":100000}"#,
                Some(100_000),
                1,
            ),
            (r#"{"max_tokens":1,"max_tokens":70}"#, Some(70), 1),
            (
                r#"{"max_tokens":99999999999999999999}"#,
                Some(4_294_967_295),
                1,
            ),
            ("{}", None, 1),
        ] {
            assert_eq!(asked(body), (completion, choices), "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_not_read() {
        let deep = format!("{{\"a\":{}", "[".repeat(10_000));
        for body in ["", "[]", "{", "{\"a\":}", "\u{1f}\u{8b}", &deep, "null"] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }

    fn spliced(body: &str) -> Option<String> {
        let splice = read(body.as_bytes()).unwrap().splice?;
        Some(String::from_utf8(splice.apply(body.as_bytes())).unwrap())
    }

    #[test]
    fn a_stream_is_made_to_say_its_usage_and_nothing_else_changes() {
        for (body, wanted) in [
            (
                r#" { "messages":[], "stream" : true }"#,
                r#" {"stream_options":{"include_usage":true}, "messages":[], "stream" : true }"#,
            ),
            (
                r#"{"prompt":"x","stream":true,"stream_options": null}"#,
                r#"{"prompt":"x","stream":true,"stream_options": {"include_usage":true}}"#,
            ),
            (
                r#"{"stream_options":{ },"messages":[],"stream":true}"#,
                r#"{"stream_options":{"include_usage":true },"messages":[],"stream":true}"#,
            ),
            (
                r#"{"stream_options":{"x":1},"messages":[],"stream":true}"#,
                r#"{"stream_options":{"include_usage":true,"x":1},"messages":[],"stream":true}"#,
            ),
            (
                r#"{"messages":[],"stream":true,"stream_options":{"include_usage": false}}"#,
                r#"{"messages":[],"stream":true,"stream_options":{"include_usage": true}}"#,
            ),
        ] {
            assert_eq!(spliced(body).as_deref(), Some(wanted));
            assert_eq!(spliced(wanted), None, "once is enough");
        }
        for body in [
            r#"{"messages":[],"stream":false}"#,
            r#"{"messages":[]}"#,
            r#"{"input":"the Responses API","stream":true}"#,
            r#"{"messages":[],"stream":true,"stream_options":7}"#,
        ] {
            assert_eq!(spliced(body), None, "{body}");
        }
    }
}
