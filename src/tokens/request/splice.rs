//! The splice that makes a stream report its usage.
//!
//! The body is never serialised again. A splice replaces a few bytes; all others stay as the client
//! sent them.

use super::loose_splice;
use crate::tokens::dialect::Dialects;
use crate::tokens::dialect::openai::{STREAM, STREAM_OPTIONS};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

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

/// The members of an object that a splice needs. Of two equal names the last counts, as in most
/// parsers.
#[derive(Debug, Default)]
struct Members<'a> {
    stream: Option<&'a RawValue>,
    options: Option<&'a RawValue>,
    /// True when the object has one of the marks.
    is_marked: bool,
}

/// The meaning of a member's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberName {
    Stream,
    Options,
    Mark,
    Other,
}

/// Reads the members of an object, and looks for the marks among all names.
struct MembersVisitor<'n> {
    marks: &'n [&'static str],
}

impl<'de> Visitor<'de> for MembersVisitor<'_> {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        let meaning = |name: &str| match name {
            STREAM => MemberName::Stream,
            STREAM_OPTIONS => MemberName::Options,
            name if self.marks.contains(&name) => MemberName::Mark,
            _ => MemberName::Other,
        };
        while let Some(name) = map.next_key_seed(Name(meaning))? {
            members.is_marked |= name == MemberName::Mark;
            match name {
                MemberName::Stream => members.stream = Some(map.next_value()?),
                MemberName::Options => members.options = Some(map.next_value()?),
                MemberName::Mark | MemberName::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
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

/// Returns the splice that makes the stream of a body report usage; `None` when the body needs or
/// allows none, or is not JSON.
pub fn ask_for_usage(body: &[u8], dialects: &Dialects) -> Option<Splice> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let visitor = MembersVisitor {
        marks: &dialects.completes,
    };
    let read = deserializer.deserialize_map(visitor);
    let members = read.and_then(|members| deserializer.end().map(|()| members));
    match members {
        Ok(members) => include_usage(body, &members),
        Err(_) => loose_splice::ask_for_usage(body, dialects),
    }
}

/// True for what lenient upstreams take for true too.
pub(super) fn is_true(value: &str) -> bool {
    let names = [
        "true",
        "1",
        "1.0",
        r#""true""#,
        r#""1""#,
        r#""yes""#,
        r#""on""#,
        r#""t""#,
    ];
    names.iter().any(|name| value.eq_ignore_ascii_case(name))
}

/// Returns the splice that sets `stream_options.include_usage`, for a stream of completions.
fn include_usage(body: &[u8], members: &Members<'_>) -> Option<Splice> {
    if !is_true(members.stream?.get()) || !members.is_marked {
        return None;
    }
    let Some(options) = members.options else {
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
    let Ok(parsed) = serde_json::from_str::<StreamOptions<'_>>(options.get()) else {
        // Options that name it twice, say: parsers differ in which of them counts.
        return options.get().starts_with('{').then(|| Splice {
            at,
            remove: options.get().len(),
            insert: r#"{"include_usage":true}"#,
        });
    };
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
    use crate::tokens::dialect;

    fn spliced(body: &str) -> Option<String> {
        let splice = ask_for_usage(body.as_bytes(), &dialect::ALL)?;
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
            // Lenient upstreams take these for a stream.
            (
                r#"{"messages":[],"stream":"True","stream_options":{}}"#,
                r#"{"messages":[],"stream":"True","stream_options":{"include_usage":true}}"#,
            ),
            // Parsers differ in which of two counts.
            (
                r#"{"messages":[],"stream":1,"stream_options":{"include_usage":true,"include_usage":false}}"#,
                r#"{"messages":[],"stream":1,"stream_options":{"include_usage":true}}"#,
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
