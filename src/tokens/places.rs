//! The config part `tokens.usage`: places of the usage that no dialect has.

use crate::json::{Invalid, Object};
use crate::tokens::dialect::{self, Dialects, Field, OwnCount, TABLE};
use crate::tokens::scan::{MOST_DEPTH, names};
use serde::Deserialize;
use std::sync::Arc;

/// The maximum number of places.
pub const MOST_PLACES: usize = 16;
/// The maximum length of a name in a pointer, in bytes.
const LONGEST_NAME: usize = 64;

/// A place as written in the config: JSON pointers.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct UsagePlaceConfig {
    /// The JSON pointer of the whole prompt. `*` is any element or member.
    input: Option<String>,
    /// The JSON pointer of the output.
    output: Option<String>,
    /// The JSON pointer of the total.
    total: Option<String>,
    /// The JSON pointer of cached input.
    cached: Option<String>,
    /// The JSON pointer of input that was written to the cache.
    cache_write: Option<String>,
}

/// Returns the dialects with some places before theirs.
///
/// # Errors
/// [`Invalid`] for too many places, for one without a count, and for what is no pointer.
pub fn dialects(written: Vec<Object<UsagePlaceConfig>>) -> Result<Arc<Dialects>, Invalid> {
    if written.is_empty() {
        return Ok(Arc::clone(&dialect::ALL));
    }
    if written.len() > MOST_PLACES {
        return Err(Invalid::new("tokens.usage", "at most 16 places"));
    }
    let mut own: Vec<OwnCount> = Vec::new();
    for (at, Object(place)) in written.into_iter().enumerate() {
        let path = format!("tokens.usage[{at}]");
        if place.output.is_none() && place.total.is_none() {
            let problem = "needs \"output\" or \"total\", a JSON pointer such as \"/meta/out\"";
            return Err(Invalid::new(path, problem));
        }
        for (name, pointer, field) in [
            ("input", place.input, Field::Prompt),
            ("output", place.output, Field::Output),
            ("total", place.total, Field::Total),
            ("cached", place.cached, Field::CachedInside),
            ("cache_write", place.cache_write, Field::CacheWriteBeside),
        ] {
            if let Some(pointer) = pointer {
                check_pointer(&pointer)
                    .map_err(|problem| Invalid::new(format!("{path}.{name}"), problem))?;
                own.push((pointer, field));
            }
        }
    }
    Ok(Arc::new(Dialects::with(&own, TABLE)))
}

/// Checks a pointer that an operator wrote.
///
/// # Errors
/// The form that it must have.
pub fn check_pointer(pointer: &str) -> Result<(), &'static str> {
    let names = || names(pointer);
    if !pointer.starts_with('/') {
        return Err("a JSON pointer, such as \"/meta/out\" or \"/results/*/out\"");
    }
    if names().count() >= MOST_DEPTH || names().any(|name| name.len() > LONGEST_NAME) {
        return Err("at most 15 names of 64 bytes each");
    }
    if names().any(|name| name.is_empty()) {
        return Err("a name is empty");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::rates::TokenCounts;
    use crate::tokens::text::TextReader;

    fn read(json: &str) -> Result<Arc<Dialects>, String> {
        let written = crate::json::read(json.as_bytes()).map_err(|error| error.to_string())?;
        dialects(written).map_err(|error| error.to_string())
    }

    #[test]
    fn a_named_cache_is_inside_the_input() {
        let place = r#"[{"input": "/m/in", "output": "/m/out", "cached": "/m/hit", "cache_write": "/m/new"}]"#;
        let mut texts = TextReader::new(read(place).unwrap());
        texts.feed(br#"{"m":{"in":1000,"out":10,"hit":300,"new":200}}"#);
        let totals = texts.facts().totals;
        assert_eq!(totals.tokens(), Some(1_010));
        let wanted = TokenCounts {
            input: 500,
            cached: 300,
            cache_write: 200,
            output: 0,
        };
        assert_eq!(totals.input(), Some(wanted));
    }

    #[test]
    fn places_are_pointers() {
        assert!(read(r#"[{"input": "/meta/in", "output": "/meta/*/out"}]"#).is_ok());
        for (json, problem) in [
            (
                r#"[{"input": "/in"}]"#,
                "tokens.usage[0]: needs \"output\" or \"total\"",
            ),
            (
                r#"[{"output": "out"}]"#,
                "tokens.usage[0].output: a JSON pointer",
            ),
            (
                r#"[{"output": "/"}]"#,
                "tokens.usage[0].output: a name is empty",
            ),
            (
                r#"[{"total": "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"}]"#,
                "at most 15 names",
            ),
            (r#"[{"outptu": "/a"}]"#, "unknown field"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
