//! The dialects of LLM APIs: the names of usage, request fields and end of stream in each.
//!
//! A new dialect is a file here and a line in [`TABLE`]. The API of a text is unknown, so every
//! text is read in all dialects at once: [`Dialects`] merges them. If several have a count for one
//! field, the order of the table decides; inside a dialect, the order of its lists.

pub mod anthropic;
pub mod bedrock;
pub mod cloudflare;
pub mod cohere;
pub mod dashscope;
pub mod gemini;
pub mod groq;
pub mod kimi;
pub mod ollama;
pub mod openai;
pub mod responses;
pub mod tgi;
pub mod watsonx;

mod merged;

pub use merged::{Dialects, Leaf, OwnCount, RequestLeaf};

use std::sync::{Arc, LazyLock};

/// The dialects. Kimi extends OpenAI's, so Kimi's names come first.
pub static TABLE: &[&Dialect] = &[
    &kimi::KIMI,
    &openai::OPENAI,
    &anthropic::ANTHROPIC,
    &responses::RESPONSES,
    &groq::GROQ,
    &gemini::GEMINI,
    &cloudflare::CLOUDFLARE,
    &ollama::OLLAMA,
    &cohere::COHERE,
    &bedrock::BEDROCK,
    &watsonx::WATSONX,
    &dashscope::DASHSCOPE,
    &tgi::TGI,
];

/// The merged dialects of [`TABLE`].
pub static ALL: LazyLock<Arc<Dialects>> = LazyLock::new(|| Arc::new(Dialects::of(TABLE)));

/// The names of one API. Pointers are those of [`crate::tokens::scan::Tree`].
#[derive(Debug)]
pub struct Dialect {
    /// The API's name.
    pub name: &'static str,
    /// The counts in a response or in an event's data.
    pub usage: &'static [UsageShape],
    /// Pointers to other facts in a response or in an event's data.
    pub facts: &'static [(&'static str, Fact)],
    /// The names at a pointer to [`Fact::Kind`].
    pub kinds: &'static [(&'static str, TextKind)],
    /// The request fields.
    pub request: RequestShape,
    /// The first bytes of the data of a stream's last event, if that event is no JSON.
    pub end_of_stream: Option<&'static [u8]>,
}

impl Dialect {
    /// A dialect without names.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            usage: &[],
            facts: &[],
            kinds: &[],
            request: RequestShape::NONE,
            end_of_stream: None,
        }
    }
}

/// The counts of a usage object, wherever it is.
#[derive(Debug)]
pub struct UsageShape {
    /// Pointers to the object.
    pub at: &'static [&'static str],
    /// Pointers from there to counts.
    pub counts: &'static [(&'static str, Field)],
    /// Pointers from there to counts that are added to one another: those of the parts of a response.
    pub parts: &'static [(&'static str, Field)],
    /// True when the output is not known yet at the time of the object.
    pub is_early: bool,
}

impl UsageShape {
    /// A usage of some counts.
    pub const fn new(
        at: &'static [&'static str],
        counts: &'static [(&'static str, Field)],
    ) -> Self {
        Self {
            at,
            counts,
            parts: &[],
            is_early: false,
        }
    }
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
    /// Input that no other count has, the total neither.
    ExtraInput,
    /// Output that no other count has, the total neither.
    ExtraOutput,
}

/// A fact about a text that is no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The name of the text's kind.
    Kind,
    /// The text is the last one of its stream, unless the value is null, false, 0 or an empty text.
    Ends,
    /// The text is the last one of a choice, unless the value is one of these. Other choices may go on.
    EndsChoice,
    /// The text is an error, unless the value is one of these.
    Fails,
    /// A text in base64.
    Wrapped,
}

/// The kind of a text, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// The last text of its stream.
    Last,
    /// An error.
    Error,
    /// Before any output, or beside it.
    Silent,
}

/// The names of the fields in a request's body.
#[derive(Debug)]
pub struct RequestShape {
    /// Pointers to the maximum of completion tokens of one choice.
    pub completion: &'static [&'static str],
    /// Pointers to the number of choices.
    pub choices: &'static [&'static str],
    /// Pointers to a prompt or a list of them. Each has a completion of its own.
    pub prompts: &'static [&'static str],
    /// Pointers to pictures and files inside the body.
    pub media: &'static [(&'static str, MediaForm)],
    /// Top-level names that mark a body whose stream takes `stream_options.include_usage`.
    pub completes: &'static [&'static str],
}

impl RequestShape {
    /// A request without names.
    pub const NONE: Self = Self {
        completion: &[],
        choices: &[],
        prompts: &[],
        media: &[],
        completes: &[],
    };
}

/// The form of a picture or a file inside a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaForm {
    /// A URL, which has the bytes inside if it begins with `data:`.
    Url,
    /// Base64, or a URL that begins with `data:`.
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::scan::MOST_DEPTH;

    #[test]
    fn no_pointer_has_two_meanings_in_the_table() {
        let shapes = || TABLE.iter().flat_map(|dialect| dialect.usage);
        let all: Vec<_> = shapes()
            .flat_map(|shape| shape.at.iter().map(move |at| (at, shape)))
            .flat_map(|(at, shape)| {
                let counts = shape.counts.iter().chain(shape.parts);
                counts.map(move |(pointer, field)| (format!("{at}{pointer}"), field))
            })
            .collect();
        for (pointer, field) in &all {
            let other = all.iter().find(|(p, f)| p == pointer && f != field);
            assert_eq!(other, None, "{pointer}");
            assert!(pointer.starts_with('/') && !pointer.ends_with('*'));
            assert!(pointer.split('/').count() < MOST_DEPTH);
        }
        let facts: Vec<_> = TABLE.iter().flat_map(|dialect| dialect.facts).collect();
        for (pointer, fact) in &facts {
            let other = facts.iter().find(|(p, f)| p == pointer && f != fact);
            assert_eq!(other, None, "{pointer}");
            assert!(all.iter().all(|(p, _)| p != pointer), "{pointer}");
        }
        let requests = || TABLE.iter().map(|dialect| &dialect.request);
        let media: Vec<_> = requests().flat_map(|shape| shape.media).collect();
        for (pointer, form) in &media {
            let other = media.iter().find(|(p, f)| p == pointer && f != form);
            assert_eq!(other, None, "{pointer}");
            assert!(pointer.split('/').count() < MOST_DEPTH);
            let numbers = requests().flat_map(|shape| shape.completion.iter().chain(shape.choices));
            assert!(numbers.into_iter().all(|p| p != pointer), "{pointer}");
        }
        let kinds: Vec<_> = TABLE.iter().flat_map(|dialect| dialect.kinds).collect();
        for (name, kind) in &kinds {
            let other = kinds.iter().find(|(n, k)| n == name && k != kind);
            assert_eq!(other, None, "{name}");
        }
    }

    #[test]
    fn each_dialect_has_a_name_of_its_own() {
        let mut names: Vec<_> = TABLE.iter().map(|dialect| dialect.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }
}
