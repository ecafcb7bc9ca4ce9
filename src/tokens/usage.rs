//! The `usage` object, in the shapes that LLM APIs write, and the tokens that it comes to.
//!
//! | API | fields |
//! |---|---|
//! | OpenAI chat, completions, embeddings | `prompt_tokens`, `completion_tokens`, `total_tokens`, `prompt_tokens_details.cached_tokens` |
//! | Kimi | the same, with `cached_tokens` |
//! | OpenAI Responses | `input_tokens`, `output_tokens`, `total_tokens`, `input_tokens_details.cached_tokens` |
//! | Anthropic Messages | `input_tokens`, `output_tokens`, and beside them `cache_creation_input_tokens`, `cache_read_input_tokens` |
//!
//! In a stream the objects are cumulative: the last value of each field counts, none is added.

use serde::Deserialize;

/// More tokens than this in one response are not believed.
pub const MAX_TOKENS: u64 = 4_294_967_295;

/// Whether prompt tokens that came out of the upstream's cache count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cached {
    /// They count as all others.
    #[default]
    Count,
    /// They are not counted.
    Free,
}

/// A `usage` object; a field that is neither null nor a whole number makes all of it void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// Part of the prompt tokens.
    cached_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    /// Some gateways write both names, and zeros for those that they do not fill.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    /// Beside the input tokens.
    cache_creation_input_tokens: Option<u64>,
    /// Beside the input tokens.
    cache_read_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Usage {
    fn prompt(&self) -> Option<u64> {
        self.prompt_tokens.or(self.input_tokens)
    }

    fn completion(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens)
    }

    fn cached(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.or(self.input_tokens_details);
        self.cached_tokens
            .or(details.and_then(|details| details.cached_tokens))
    }

    /// Whether it has a field that counts.
    fn says_something(&self) -> bool {
        self.prompt()
            .or(self.completion())
            .or(self.total_tokens)
            .is_some()
    }
}

/// What the usage objects of one response say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotals(Usage);

impl UsageTotals {
    /// Takes over each field that a later object has.
    pub fn update(&mut self, later: &Usage) {
        if !later.says_something() {
            return;
        }
        let sum = &mut self.0;
        let fields = [
            (&mut sum.prompt_tokens, later.prompt()),
            (&mut sum.completion_tokens, later.completion()),
            (&mut sum.total_tokens, later.total_tokens),
            (&mut sum.cached_tokens, later.cached()),
            (
                &mut sum.cache_creation_input_tokens,
                later.cache_creation_input_tokens,
            ),
            (
                &mut sum.cache_read_input_tokens,
                later.cache_read_input_tokens,
            ),
        ];
        for (field, value) in fields {
            *field = value.or(*field);
        }
    }

    /// The prompt tokens, those beside them included; `None` when they were not said.
    pub fn prompt(&self) -> Option<u64> {
        let usage = &self.0;
        let beside = [
            usage.cache_creation_input_tokens,
            usage.cache_read_input_tokens,
        ];
        let beside = beside
            .iter()
            .flatten()
            .fold(0, |sum: u64, n| sum.saturating_add(*n));
        usage.prompt_tokens.map(|n| n.saturating_add(beside))
    }

    /// The tokens; `None` when nothing was said, or nothing that can be believed.
    pub fn tokens(&self, cached: Cached) -> Option<u64> {
        let usage = &self.0;
        let said = match (usage.prompt_tokens, usage.completion_tokens) {
            (Some(prompt), Some(completion)) => prompt.checked_add(completion)?,
            (prompt, completion) => usage.total_tokens.or(prompt).or(completion)?,
        };
        let beside = usage.cache_creation_input_tokens.unwrap_or(0);
        let all = said.checked_add(beside)?;
        let read = usage.cache_read_input_tokens.unwrap_or(0);
        let tokens = match cached {
            Cached::Count => all.checked_add(read)?,
            Cached::Free => all.saturating_sub(usage.cached_tokens.unwrap_or(0)),
        };
        (tokens <= MAX_TOKENS).then_some(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(objects: &[&str], cached: Cached) -> Option<u64> {
        let mut totals = UsageTotals::default();
        for object in objects {
            totals.update(&serde_json::from_str(object).unwrap());
        }
        totals.tokens(cached)
    }

    #[test]
    fn each_shape_comes_to_its_tokens() {
        for (objects, all, fresh) in [
            (
                &[r#"{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}"#][..],
                12,
                12,
            ),
            (&[r#"{"prompt_tokens":8,"total_tokens":8}"#], 8, 8),
            (
                &[
                    r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}"#,
                ],
                10,
                6,
            ),
            (
                &[r#"{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":9}"#],
                10,
                1,
            ),
            (
                &[
                    r#"{"input_tokens":9,"output_tokens":2,"input_tokens_details":{"cached_tokens":8}}"#,
                ],
                11,
                3,
            ),
            (
                &[
                    r#"{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":1}"#,
                    r#"{"output_tokens":20}"#,
                    r#"{"output_tokens":30}"#,
                ],
                145,
                45,
            ),
        ] {
            assert_eq!(tokens(objects, Cached::Count), Some(all), "{objects:?}");
            assert_eq!(tokens(objects, Cached::Free), Some(fresh), "{objects:?}");
        }
    }

    #[test]
    fn both_names_at_once_are_those_of_openai() {
        let both = r#"{"prompt_tokens":12,"completion_tokens":223,"total_tokens":235,
            "input_tokens":0,"output_tokens":0,"input_tokens_details":null}"#;
        assert_eq!(tokens(&[both], Cached::Count), Some(235));
    }

    #[test]
    fn what_is_said_twice_counts_once_and_null_takes_nothing_back() {
        let said = r#"{"total_tokens":40}"#;
        assert_eq!(tokens(&[said, said], Cached::Count), Some(40));
        let null = r#"{"total_tokens":null}"#;
        assert_eq!(tokens(&[said, null], Cached::Count), Some(40));
        assert_eq!(tokens(&["{}"], Cached::Count), None);
    }

    #[test]
    fn absurd_numbers_are_not_believed() {
        let huge = r#"{"total_tokens":9223372036854775808}"#;
        assert_eq!(tokens(&[huge], Cached::Count), None);
        let sum = r#"{"prompt_tokens":18446744073709551615,"completion_tokens":2}"#;
        assert_eq!(tokens(&[sum], Cached::Count), None);
    }
}
