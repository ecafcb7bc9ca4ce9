//! The dialects of LLM APIs: the names of usage, request fields and end of stream in each.
//!
//! A new dialect is a file here and a line in [`TABLE`]. The API of a text is unknown, so every
//! text is read in all dialects at once: [`Dialects`] merges them. If several have a value, the
//! order of the table decides; inside a dialect, the order of its lists.

pub mod anthropic;
pub mod cloudflare;
pub mod gemini;
pub mod groq;
pub mod kimi;
pub mod openai;
pub mod responses;

mod tree;

use std::sync::LazyLock;
pub use tree::{Tree, segments};

/// The dialects. Kimi extends OpenAI's, so Kimi's names come first.
pub static TABLE: &[&Dialect] = &[
    &kimi::KIMI,
    &openai::OPENAI,
    &anthropic::ANTHROPIC,
    &responses::RESPONSES,
    &groq::GROQ,
    &gemini::GEMINI,
    &cloudflare::CLOUDFLARE,
];

/// The merged dialects of [`TABLE`].
pub static ALL: LazyLock<Dialects> = LazyLock::new(|| Dialects::of(TABLE));

/// The names of one API. Pointers are JSON pointers (RFC 6901) without escapes.
#[derive(Debug)]
pub struct Dialect {
    /// The API's name.
    pub name: &'static str,
    /// Pointers to the usage object in a response or in an event's data; `*` is any element.
    ///
    /// A usage at the top level is checked strictly: an invalid one voids the text. An invalid one
    /// further inside is ignored, since other APIs may use that name for something else.
    pub usage: &'static [&'static str],
    /// Pointers to counts inside the usage object.
    ///
    /// An object on the path to a count decides for that count when present, even if the count is
    /// absent.
    pub fields: &'static [(&'static str, Field)],
    /// The request fields.
    pub request: RequestShape,
    /// The first bytes of the data of a stream's last event, if that event has no usage.
    pub end_of_stream: Option<&'static [u8]>,
}

/// The meaning of a count, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The prompt tokens, with all that came from or went to the cache.
    Prompt,
    /// The input tokens, without those beside them.
    Input,
    /// The completion tokens, by OpenAI's name.
    Completion,
    /// The output tokens.
    Output,
    /// The sum of prompt and completion, and of what no other count has, such as reasoning.
    Total,
    /// The part of the prompt that was read from the cache.
    CachedInside,
    /// Tokens written to the cache, not included in [`Self::Input`] but in [`Self::Prompt`].
    CacheWriteBeside,
    /// Tokens read from the cache, not included in [`Self::Input`] but in [`Self::Prompt`].
    CacheReadBeside,
}

/// The names of the fields in a request's body.
#[derive(Debug)]
pub struct RequestShape {
    /// Pointers to the maximum of completion tokens of one choice.
    pub completion: &'static [&'static str],
    /// Pointers to the number of choices.
    pub choices: &'static [&'static str],
    /// Top-level names that mark a body whose stream takes `stream_options.include_usage`.
    pub completes: &'static [&'static str],
}

/// Several dialects, merged for the readers.
#[derive(Debug)]
pub struct Dialects {
    /// The paths of the usage object in a text.
    pub places: Tree<()>,
    /// The counts in a usage object.
    pub fields: Tree<Field>,
    /// The names of the usage object, in quotes.
    pub keys: Vec<Vec<u8>>,
    /// Pointers to the maximum of completion tokens.
    pub completion: Vec<&'static str>,
    /// Pointers to the number of choices.
    pub choices: Vec<&'static str>,
    /// The top-level names of the request fields that are read.
    pub request_names: Vec<&'static str>,
    /// The top-level names of a request that mark [`RequestShape::completes`].
    pub completes: Vec<&'static str>,
    /// The first bytes of a last event's data.
    pub ends_of_stream: Vec<&'static [u8]>,
}

impl Dialects {
    /// Merges the dialects of a table.
    pub fn of(table: &[&'static Dialect]) -> Self {
        let places = || table.iter().flat_map(|d| d.usage).copied();
        let fields = table.iter().flat_map(|d| d.fields).copied();
        let keys = places().filter_map(|place| segments(place).last());
        let completion = distinct(table.iter().flat_map(|d| d.request.completion).copied());
        let choices = distinct(table.iter().flat_map(|d| d.request.choices).copied());
        let asked = completion.iter().chain(&choices);
        let asked = asked.filter_map(|pointer| segments(pointer).next());
        let splice = [openai::STREAM, openai::STREAM_OPTIONS];
        Self {
            places: Tree::of(places().map(|place| (place, ()))),
            fields: Tree::of(fields),
            keys: distinct(keys.map(|key| format!("\"{key}\"").into_bytes())),
            request_names: distinct(asked.chain(splice)),
            completion,
            choices,
            completes: distinct(table.iter().flat_map(|d| d.request.completes).copied()),
            ends_of_stream: distinct(table.iter().filter_map(|d| d.end_of_stream)),
        }
    }
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in all {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_has_two_meanings_in_the_table() {
        let fields: Vec<_> = TABLE.iter().flat_map(|d| d.fields).collect();
        for (pointer, field) in &fields {
            let other = fields.iter().find(|(p, f)| p == pointer && f != field);
            assert_eq!(other, None, "{pointer}");
        }
    }

    /// The reader marks the members of an object in 64 bits.
    #[test]
    fn no_object_has_more_than_64_names() {
        fn check<T>(node: &Tree<T>) {
            assert!(node.members.len() <= 64);
            let elements = node.elements.as_deref();
            node.members.iter().chain(elements).for_each(check);
        }
        check(&ALL.places);
        check(&ALL.fields);
    }

    #[test]
    fn no_place_of_a_usage_lies_inside_another() {
        fn check(node: &Tree<()>) {
            let is_inner = !node.members.is_empty() || node.elements.is_some();
            assert!(node.leaf.is_none() || !is_inner, "{node:?}");
            let elements = node.elements.as_deref();
            node.members.iter().chain(elements).for_each(check);
        }
        check(&ALL.places);
        let pointers = TABLE.iter().flat_map(|d| d.usage);
        for pointer in pointers {
            assert!(
                pointer.starts_with('/') && !pointer.ends_with('*'),
                "{pointer}"
            );
        }
    }
}
