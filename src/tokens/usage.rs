//! The `usage` object of any dialect, and its token count.
//!
//! In a stream the objects are cumulative: what says most counts, and nothing is added. Some upstreams
//! send zeros before or after the real counts.

use crate::tokens::dialect::{self, Field};
use crate::tokens::parse;
use crate::tokens::rates::TokenCounts;
use serde::{Deserialize, Deserializer};

/// The maximum plausible number of tokens in one response.
pub const MAX_TOKENS: u64 = 4_294_967_295;

/// A value for each [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PerField<T> {
    prompt: T,
    input: T,
    completion: T,
    output: T,
    total: T,
    cached_inside: T,
    cache_write_beside: T,
    cache_read_beside: T,
}

impl<T> PerField<T> {
    const fn get_mut(&mut self, field: Field) -> &mut T {
        match field {
            Field::Prompt => &mut self.prompt,
            Field::Input => &mut self.input,
            Field::Completion => &mut self.completion,
            Field::Output => &mut self.output,
            Field::Total => &mut self.total,
            Field::CachedInside => &mut self.cached_inside,
            Field::CacheWriteBeside => &mut self.cache_write_beside,
            Field::CacheReadBeside => &mut self.cache_read_beside,
        }
    }
}

/// The count under the name with the lowest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RankedCount {
    rank: usize,
    tokens: Option<u64>,
}

/// A `usage` object, with the fields of the dialects.
///
/// A known field that repeats, or is neither null nor a whole number, voids the object. The object
/// is a JSON object; only an empty one may be an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage(PerField<Option<RankedCount>>);

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse::usage(deserializer, &dialect::ALL)
    }
}

impl Usage {
    /// Sets a field under the name of `rank`, unless a name with a lower rank set it.
    pub fn offer(&mut self, field: Field, rank: usize, tokens: Option<u64>) {
        let said = self.0.get_mut(field);
        if said.is_none_or(|said| rank <= said.rank) {
            *said = Some(RankedCount { rank, tokens });
        }
    }
}

/// The sum of the usage objects of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// The input by kind, of the object that says most of it.
    input: Option<TokenCounts>,
    output: Option<u64>,
    total: Option<u64>,
}

impl UsageTotals {
    /// Takes what a later object says more, unless the object has only cache counts.
    ///
    /// The kinds of input are those of one object, which may say the cache apart that another one
    /// has in its input. An object without an input, or with a zero, adds to the cache alone.
    pub fn update(&mut self, later: &Usage) {
        let said = |said: Option<RankedCount>| said.and_then(|said| said.tokens);
        let later = Said {
            prompt: said(later.0.prompt),
            input: said(later.0.input),
            output: said(later.0.completion).max(said(later.0.output)),
            total: said(later.0.total),
            inside: said(later.0.cached_inside).unwrap_or(0),
            write: said(later.0.cache_write_beside).unwrap_or(0),
            read: said(later.0.cache_read_beside).unwrap_or(0),
        };
        if later
            .prompt
            .or(later.input)
            .or(later.output)
            .or(later.total)
            .is_none()
        {
            return;
        }
        self.output = later.output.max(self.output);
        self.total = later.total.max(self.total);
        let Some(counts) = later.input() else { return };
        let before = self.input.unwrap_or_default();
        if later.prompt.max(later.input) == Some(0) {
            self.input = Some(TokenCounts {
                cached: counts.cached.max(before.cached),
                cache_write: counts.cache_write.max(before.cache_write),
                ..before
            });
        } else if counts.all_input() >= before.all_input() {
            self.input = Some(counts);
        }
    }

    /// Returns the input tokens by kind, without output; `None` when they were not reported.
    pub const fn input(&self) -> Option<TokenCounts> {
        self.input
    }

    /// Returns the tokens of all kinds: the larger of the total and the sum of the others. `None`
    /// when they are not all reported, or are implausible.
    pub fn tokens(&self) -> Option<u64> {
        let output = self.output.unwrap_or(0);
        let sum = self
            .input
            .map(|input| input.all_input().saturating_add(output));
        let tokens = match (self.total, sum) {
            (Some(total), None) => total.max(output),
            (total, sum) => sum?.max(total.unwrap_or(0)),
        };
        (tokens <= MAX_TOKENS).then_some(tokens)
    }

    /// Returns the output of a usage that says nothing of the input, or zeros.
    pub fn output_alone(&self) -> Option<u64> {
        let output = self
            .output
            .filter(|output| (1..=MAX_TOKENS).contains(output))?;
        let has_input = self.input.is_some_and(|input| input.all_input() > 0);
        let has_more = self.total.is_some_and(|total| total > output);
        (!has_input && !has_more).then_some(output)
    }
}

/// The counts of one object.
struct Said {
    prompt: Option<u64>,
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    inside: u64,
    write: u64,
    read: u64,
}

impl Said {
    /// Returns the input by kind. Of two names, the one that says more decides.
    fn input(&self) -> Option<TokenCounts> {
        let input = self.prompt.max(self.input)?;
        let cache = self.inside.max(self.read).saturating_add(self.write);
        if !self.has_cache_inside(input) {
            return Some(TokenCounts {
                input,
                cached: self.read,
                cache_write: self.write,
                output: 0,
            });
        }
        let cached = self.inside.max(self.read).min(input);
        Some(TokenCounts {
            input: input.saturating_sub(cache),
            cached,
            cache_write: self.write.min(input.saturating_sub(cached)),
            output: 0,
        })
    }

    /// The prompt of OpenAI's names has the cache inside, whatever its names; the input of
    /// Anthropic's has not. Some gateways mix the names: there a cache larger than the prompt, or a
    /// total that has both, lies beside it.
    fn has_cache_inside(&self, input: u64) -> bool {
        let beside = self.read.saturating_add(self.write);
        let is_prompt = self.prompt.is_some() && self.prompt >= self.input;
        let all = input
            .saturating_add(beside)
            .saturating_add(self.output.unwrap_or(0));
        let adds_up = beside > 0 && self.total >= Some(all);
        (is_prompt || self.inside > 0) && beside <= input && !adds_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(objects: &[&str]) -> UsageTotals {
        let mut totals = UsageTotals::default();
        for object in objects {
            totals.update(&serde_json::from_str(object).unwrap());
        }
        totals
    }

    fn tokens(objects: &[&str]) -> Option<u64> {
        totals(objects).tokens()
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
            let cached = totals(objects).input().map_or(0, |input| input.cached);
            assert_eq!(tokens(objects), Some(all), "{objects:?}");
            assert_eq!(all - cached, fresh, "{objects:?}");
        }
    }

    #[test]
    fn both_names_at_once_are_those_of_openai() {
        let both = r#"{"prompt_tokens":12,"completion_tokens":223,"total_tokens":235,
            "input_tokens":0,"output_tokens":0,"input_tokens_details":null}"#;
        assert_eq!(tokens(&[both]), Some(235));
    }

    #[test]
    fn what_is_said_twice_counts_once_and_null_takes_nothing_back() {
        let said = r#"{"total_tokens":40}"#;
        assert_eq!(tokens(&[said, said]), Some(40));
        let null = r#"{"total_tokens":null}"#;
        assert_eq!(tokens(&[said, null]), Some(40));
        assert_eq!(tokens(&["{}"]), None);
    }

    /// Each is the form of a public report of a wrong count.
    #[test]
    fn what_upstreams_really_say_comes_to_its_tokens() {
        for (objects, all, cached) in [
            // Reasoning is in the total alone.
            (
                &[r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":1241}"#][..],
                1_241,
                0,
            ),
            (
                &[r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81}"#],
                81,
                0,
            ),
            // Zeros after the real counts.
            (
                &[
                    r#"{"input_tokens":5000,"output_tokens":1}"#,
                    r#"{"input_tokens":0,"cache_read_input_tokens":5,"output_tokens":15}"#,
                ],
                5_020,
                5,
            ),
            (
                &[
                    r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}"#,
                    r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
                ],
                1_500,
                0,
            ),
            // The cache is named twice, and inside the prompt.
            (
                &[
                    r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                    "prompt_tokens_details":{"cached_tokens":1920},
                    "cache_creation_input_tokens":0,"cache_read_input_tokens":1920}"#,
                ],
                2_306,
                1_920,
            ),
            (
                &[
                    r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                    "cache_creation_input_tokens":2000}"#,
                ],
                2_306,
                0,
            ),
            (
                &[r#"{"prompt_tokens":0,"completion_tokens":0,
                    "input_tokens":1000,"output_tokens":500}"#],
                1_500,
                0,
            ),
            (
                &[
                    r#"{"input_tokens":2006,"input_tokens_details":{"cached_tokens":1920},
                    "output_tokens":300,"cache_read_input_tokens":1920}"#,
                ],
                2_306,
                1_920,
            ),
            // OpenAI's names, and the cache beside them.
            (
                &[
                    r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":10150,
                    "cache_read_input_tokens":10000,"cache_creation_input_tokens":0}"#,
                ],
                10_150,
                10_000,
            ),
            (
                &[
                    r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":190,
                    "cache_read_input_tokens":40}"#,
                ],
                190,
                40,
            ),
            // The first object has the cache in its input, the second beside it.
            (
                &[
                    r#"{"input_tokens":1000,"output_tokens":0}"#,
                    r#"{"input_tokens":100,"cache_read_input_tokens":900,"output_tokens":50}"#,
                ],
                1_050,
                900,
            ),
            // Both names, and OpenAI's are zero.
            (
                &[
                    r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":1500,
                    "input_tokens":1000,"output_tokens":500}"#,
                ],
                1_500,
                0,
            ),
        ] {
            let totals = totals(objects);
            assert_eq!(totals.tokens(), Some(all), "{objects:?}");
            assert_eq!(totals.input().unwrap().cached, cached, "{objects:?}");
        }
    }

    #[test]
    fn an_output_alone_says_nothing_of_the_input() {
        let alone = totals(&[r#"{"completion_tokens":25}"#]);
        assert_eq!((alone.tokens(), alone.output_alone()), (None, Some(25)));
        let zeros = totals(&[
            r#"{"input_tokens":0,"output_tokens":0}"#,
            r#"{"output_tokens":62}"#,
        ]);
        assert_eq!(zeros.output_alone(), Some(62), "a zero says nothing");
        let nothing = totals(&[r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#]);
        assert_eq!((nothing.tokens(), nothing.output_alone()), (Some(0), None));
        let with_total = totals(&[r#"{"completion_tokens":25,"total_tokens":30}"#]);
        assert_eq!(
            (with_total.tokens(), with_total.output_alone()),
            (Some(30), None)
        );
    }

    #[test]
    fn absurd_numbers_are_not_believed() {
        let huge = r#"{"total_tokens":9223372036854775808}"#;
        assert_eq!(tokens(&[huge]), None);
        let sum = r#"{"prompt_tokens":18446744073709551615,"completion_tokens":2}"#;
        assert_eq!(tokens(&[sum]), None);
    }
}
