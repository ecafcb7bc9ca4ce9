//! The `usage` object of any dialect, and its token count.
//!
//! In a stream the objects are cumulative: the last value of each field counts, and nothing is
//! added.

use crate::tokens::dialect::{self, Field};
use crate::tokens::parse;
use crate::tokens::rates::TokenCounts;
use serde::{Deserialize, Deserializer};

/// The maximum plausible number of tokens in one response.
pub const MAX_TOKENS: u64 = 4_294_967_295;

/// A value for each [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PerField<T> {
    input: T,
    output: T,
    total: T,
    cached_inside: T,
    cache_write_beside: T,
    cache_read_beside: T,
}

impl<T> PerField<T> {
    const fn get_mut(&mut self, field: Field) -> &mut T {
        match field {
            Field::Input => &mut self.input,
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
pub struct UsageTotals(PerField<Option<u64>>);

impl UsageTotals {
    /// Takes each field of a later object, unless the object has only cache counts.
    pub fn update(&mut self, later: &Usage) {
        let said = |said: Option<RankedCount>| said.and_then(|said| said.tokens);
        let later = &later.0;
        let (input, output, total) = (said(later.input), said(later.output), said(later.total));
        if input.or(output).or(total).is_none() {
            return;
        }
        let sum = &mut self.0;
        for (field, value) in [
            (&mut sum.input, input),
            (&mut sum.output, output),
            (&mut sum.total, total),
            (&mut sum.cached_inside, said(later.cached_inside)),
            (&mut sum.cache_write_beside, said(later.cache_write_beside)),
            (&mut sum.cache_read_beside, said(later.cache_read_beside)),
        ] {
            *field = value.or(*field);
        }
    }

    /// Returns the input tokens by kind, without output; `None` when they were not reported.
    pub fn input(&self) -> Option<TokenCounts> {
        let usage = &self.0;
        let reported = usage.input?;
        let inside = usage.cached_inside.unwrap_or(0).min(reported);
        let beside = usage.cache_read_beside.unwrap_or(0);
        Some(TokenCounts {
            input: reported.saturating_sub(inside),
            cached: inside.saturating_add(beside),
            cache_write: usage.cache_write_beside.unwrap_or(0),
            output: 0,
        })
    }

    /// Returns the tokens of all kinds; `None` when they were not reported, or are implausible.
    pub fn tokens(&self) -> Option<u64> {
        let usage = &self.0;
        let said = match (usage.input, usage.output) {
            (Some(prompt), Some(completion)) => prompt.checked_add(completion)?,
            (prompt, completion) => usage.total.or(prompt).or(completion)?,
        };
        let tokens = said
            .checked_add(usage.cache_write_beside.unwrap_or(0))?
            .checked_add(usage.cache_read_beside.unwrap_or(0))?;
        (tokens <= MAX_TOKENS).then_some(tokens)
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

    #[test]
    fn absurd_numbers_are_not_believed() {
        let huge = r#"{"total_tokens":9223372036854775808}"#;
        assert_eq!(tokens(&[huge]), None);
        let sum = r#"{"prompt_tokens":18446744073709551615,"completion_tokens":2}"#;
        assert_eq!(tokens(&[sum]), None);
    }
}
