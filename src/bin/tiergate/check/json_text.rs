//! JSON text as a tree with places.

use super::tree::{Bytes, DocNode, DocValue, Member};
use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

/// Text that is no JSON.
pub struct NotJson {
    /// The first byte that is not JSON.
    pub at: usize,
    pub problem: String,
    pub remedy: Option<&'static str>,
}

/// Strict JSON: the tree must not take what the filter refuses.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

const NOTHING_ELSE: CollectOptions = CollectOptions {
    comments: CommentCollectionStrategy::Off,
    tokens: false,
};

/// Reads a text that is one JSON value, with the filter's JSON parser as the judge.
///
/// # Errors
/// [`NotJson`] with the first place that is no JSON.
pub fn read(text: &str) -> Result<DocNode, NotJson> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let at = byte_of(text, error.line(), error.column());
        return Err(NotJson {
            at,
            problem: without_place(&error.to_string()).to_owned(),
            remedy: remedy(text, at),
        });
    }
    let read = parse_to_ast(text, &NOTHING_ELSE, &STRICT).map_err(|error| NotJson {
        at: error.range().start,
        problem: error.kind().to_string(),
        remedy: remedy(text, error.range().start),
    })?;
    match read.value {
        Some(value) => Ok(node(&value)),
        None => Ok(DocNode::new(0..0, DocValue::Null)),
    }
}

/// Returns what to do about a habit of other formats, at the first byte that is not JSON.
pub fn remedy(text: &str, at: usize) -> Option<&'static str> {
    let rest = text.get(at..).unwrap_or_default();
    let before = text.get(..at).unwrap_or_default().trim_end();
    let line = text
        .get(before.rfind('\n').unwrap_or(0)..)
        .and_then(|from| from.trim_start().lines().next());
    match rest.chars().next() {
        _ if text.starts_with('\u{feff}') => Some("save the file without a byte order mark"),
        _ if line.is_some_and(|line| line.contains("{{")) => {
            Some("a template must be rendered first, as by helm template")
        }
        Some('/' | '#') => Some("JSON has no comments: take it out"),
        Some('\'') => Some("texts of JSON have double quotes"),
        Some('}' | ']') if before.ends_with(',') => Some("take the comma before it out"),
        Some(c) if c.is_alphabetic() || c == '_' => {
            Some("put names and words in double quotes, or give a file of YAML a name in .yaml")
        }
        _ => None,
    }
}

fn node(value: &ast::Value<'_>) -> DocNode {
    let range = value.range();
    let read = match value {
        ast::Value::StringLit(text) => DocValue::Text(text.value.clone().into_owned()),
        ast::Value::NumberLit(number) => DocValue::Number(number.value.to_owned()),
        ast::Value::BooleanLit(bool) => DocValue::Bool(bool.value),
        ast::Value::NullKeyword(_) => DocValue::Null,
        ast::Value::Array(array) => DocValue::List(array.elements.iter().map(node).collect()),
        ast::Value::Object(object) => DocValue::Map(object.properties.iter().map(member).collect()),
    };
    DocNode::new(range.start..range.end, read)
}

fn member(property: &ast::ObjectProp<'_>) -> Member {
    let range = property.name.range();
    Member {
        name: property.name.as_str().to_owned(),
        name_at: range.start..range.end,
        value: node(&property.value),
    }
}

/// Moves all places of a tree.
pub fn moved(mut node: DocNode, to: &impl Fn(&Bytes) -> Bytes) -> DocNode {
    node.at = to(&node.at);
    node.value = match node.value {
        DocValue::List(elements) => {
            DocValue::List(elements.into_iter().map(|e| moved(e, to)).collect())
        }
        DocValue::Map(members) => {
            let members = members.into_iter().map(|member| Member {
                name_at: to(&member.name_at),
                value: moved(member.value, to),
                ..member
            });
            DocValue::Map(members.collect())
        }
        other => other,
    };
    node
}

/// Returns serde's message without the place that it ends with.
pub fn without_place(message: &str) -> &str {
    let Some((before, place)) = message.rsplit_once(" at line ") else {
        return message;
    };
    let is_place = place
        .split_once(" column ")
        .is_some_and(|(line, column)| is_number(line) && is_number(column));
    if is_place { before } else { message }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the byte at a line and a column, both from 1 and in bytes.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
    let byte = before
        .saturating_add(column.saturating_sub(1))
        .min(text.len());
    floor(text, byte)
}

/// Returns the start of the character at or before a byte.
fn floor(text: &str, mut byte: usize) -> usize {
    while !text.is_char_boundary(byte) {
        byte = byte.saturating_sub(1);
    }
    byte
}
