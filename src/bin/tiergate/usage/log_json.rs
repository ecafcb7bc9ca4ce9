//! The strings of a JSON line, with the paths of their fields.
//!
//! One pass that keeps nothing but what can be a filter state. A field that stands twice is an error:
//! in JSON that a text format was made to write, a client could add one.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// A value that can be a filter state.
#[derive(Debug, PartialEq, Eq)]
pub struct LogString<'a> {
    /// The names of the fields around it, and its own, with dots between.
    pub path: String,
    /// The text; `None` for null, and for what Envoy prints in its place.
    pub text: Option<Cow<'a, str>>,
}

/// The values of a line to look at.
#[derive(Clone, Copy)]
pub struct Wanted<'w> {
    /// All at these paths.
    pub paths: &'w [&'w str],
    /// Texts that begin so, wherever they are.
    pub prefixes: &'w [&'static str],
}

/// Reads a line.
///
/// # Errors
/// The parser's error, where the line is no JSON or a field stands twice.
pub fn read<'a>(
    line: &'a str,
    wanted: Wanted<'_>,
) -> Result<Vec<LogString<'a>>, serde_json::Error> {
    let (mut path, mut found) = (String::new(), Vec::new());
    let mut parser = serde_json::Deserializer::from_str(line);
    (&mut parser).deserialize_map(Walk {
        wanted,
        path: &mut path,
        found: &mut found,
    })?;
    parser.end()?;
    Ok(found)
}

/// Returns the paths of all values of a line; none for a line that is no JSON.
pub fn paths(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    if let Ok(value) = serde_json::from_str(line) {
        push_paths(&value, String::new(), &mut all);
    }
    all
}

fn push_paths(value: &Value, path: String, all: &mut Vec<String>) {
    let inner = |name: &str| match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                push_paths(value, inner(name), all);
            }
        }
        Value::Array(elements) => {
            for (place, value) in elements.iter().enumerate() {
                push_paths(value, inner(&place.to_string()), all);
            }
        }
        _ => all.push(path),
    }
}

struct Walk<'w, 'de> {
    wanted: Wanted<'w>,
    path: &'w mut String,
    found: &'w mut Vec<LogString<'de>>,
}

impl<'de> Walk<'_, 'de> {
    fn value(self, text: Option<Cow<'de, str>>) {
        let text = text.filter(|text| !matches!(&**text, "" | "-"));
        let begins = |text: &str| self.wanted.prefixes.iter().any(|p| text.starts_with(p));
        let path = self.path.as_str();
        if self.wanted.paths.contains(&path) || text.as_deref().is_some_and(begins) {
            let path = path.to_owned();
            self.found.push(LogString { path, text });
        }
    }

    /// The walk of the value in a field.
    fn inner<'i>(&'i mut self) -> Walk<'i, 'de> {
        Walk {
            wanted: self.wanted,
            path: self.path,
            found: self.found,
        }
    }

    /// Puts the name of a field behind the path, and returns the length to cut it to afterwards.
    fn enter(&mut self, name: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        before
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.value(Some(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.value(Some(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.value(None);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.value(Some(Cow::Owned(value.to_string())));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.value(Some(Cow::Owned(value.to_string())));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.value(Some(Cow::Owned(value.to_string())));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.value(Some(Cow::Owned(value.to_string())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let before = self.enter(&index.to_string());
            let read = seq.next_element_seed(self.inner())?;
            self.path.truncate(before);
            if read.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key_seed(FieldName)? {
            let before = self.enter(&name);
            map.next_value_seed(self.inner())?;
            self.path.truncate(before);
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format_args!(
                    "field {twice:?} stands twice"
                )));
            }
        }
        Ok(())
    }
}

/// The name of a field, borrowed where it has no escape.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for FieldName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'static> = Wanted {
        paths: &["u", "o.s"],
        prefixes: &["at="],
    };

    fn found(line: &str) -> Vec<(String, Option<String>)> {
        let found = read(line, WANTED).unwrap().into_iter();
        found
            .map(|s| (s.path, s.text.map(Cow::into_owned)))
            .collect()
    }

    #[test]
    fn states_are_found_by_name_and_by_their_beginning() {
        let some = |path: &str, text: &str| (path.to_owned(), Some(text.to_owned()));
        let line = r#"{"a": 1, "u": "x", "deep": {"b": ["c", "at=\u0031"]}, "o": {"s": true}}"#;
        let expected = [
            some("u", "x"),
            some("deep.b.1", "at=1"),
            some("o.s", "true"),
        ];
        assert_eq!(found(line), expected);
        for empty in ["null", "\"-\"", "\"\""] {
            let line = format!("{{\"u\": {empty}, \"v\": {empty}}}");
            assert_eq!(found(&line), [("u".to_owned(), None)]);
        }
    }

    #[test]
    fn paths_are_those_of_all_values() {
        let line = r#"{"a": 1, "o": {"s": null, "l": ["x", {"y": true}]}}"#;
        assert_eq!(paths(line), ["a", "o.l.0", "o.l.1.y", "o.s"]);
        assert_eq!(paths("{"), [""; 0]);
    }

    #[test]
    fn what_is_no_object_or_has_a_field_twice_is_refused() {
        for line in [
            "",
            "[]",
            "{\"a\": 1",
            "{} {}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": 1, \"\\u0061\": 2}",
            "{\"o\": {\"b\": 1, \"b\": 2}}",
        ] {
            assert!(read(line, WANTED).is_err(), "{line}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(60_000));
        assert!(read(&deep, WANTED).is_err());
    }
}
