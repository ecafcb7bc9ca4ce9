//! The counts of one text, in any dialect, and their sum over the texts of a response.
//!
//! In a stream the counts are cumulative: what says most counts, and nothing is added. Some upstreams
//! send zeros before or after the real counts.

use crate::tokens::dialect::Field;
use crate::tokens::rates::TokenCounts;

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
    extra_input: T,
    extra_output: T,
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
            Field::ExtraInput => &mut self.extra_input,
            Field::ExtraOutput => &mut self.extra_output,
        }
    }
}

/// The count under the name with the lowest rank that says more than zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SaidCount {
    tokens: Option<u32>,
    rank: u8,
    /// The sum of the parts.
    parts: Option<u32>,
}

impl SaidCount {
    fn said(self) -> Option<u64> {
        self.tokens.max(self.parts).map(u64::from)
    }
}

/// The counts of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage(PerField<SaidCount>);

impl Usage {
    /// Takes a count under the name of `rank`. The lowest rank decides, but a zero says nothing; of
    /// two counts under one name, the larger counts.
    pub fn offer(&mut self, field: Field, rank: u8, tokens: u64) {
        let count = self.0.get_mut(field);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let has_more = |said: u32| match (tokens > 0, said > 0) {
            (true, true) => rank < count.rank || (rank == count.rank && tokens > said),
            (has, had) => has && !had,
        };
        if count.tokens.is_none_or(has_more) {
            count.tokens = Some(tokens);
            count.rank = rank;
        }
    }

    /// Adds the count of a part of the response.
    pub fn add(&mut self, field: Field, tokens: u64) {
        let count = self.0.get_mut(field);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        count.parts = Some(count.parts.unwrap_or(0).saturating_add(tokens));
    }

    /// True when the text says how many tokens came out, or all of them.
    pub fn says_output(&self) -> bool {
        let Self(counts) = self;
        let all = [counts.completion, counts.output, counts.total];
        all.into_iter().any(|count| count.said().is_some())
    }
}

/// The sum of the counts of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// The input by kind, of the text that says most of it.
    input: Option<TokenCounts>,
    output: Option<u64>,
    total: Option<u64>,
    /// Tokens that neither the total nor the other counts have.
    extra_input: u64,
    extra_output: u64,
}

impl UsageTotals {
    /// Takes what a later text says more, unless it has only cache counts.
    ///
    /// The kinds of input are those of one text, which may say the cache apart that another one has in
    /// its input. A text without an input, or with a zero, adds to the cache alone.
    pub fn update(&mut self, later: &Usage) {
        let Usage(counts) = later;
        let extra = |count: SaidCount| count.said().unwrap_or(0);
        self.extra_input = self.extra_input.max(extra(counts.extra_input));
        self.extra_output = self.extra_output.max(extra(counts.extra_output));
        let later = Said {
            prompt: counts.prompt.said(),
            input: counts.input.said(),
            output: counts.completion.said().max(counts.output.said()),
            total: counts.total.said(),
            inside: counts.cached_inside.said().unwrap_or(0),
            write: counts.cache_write_beside.said().unwrap_or(0),
            read: counts.cache_read_beside.said().unwrap_or(0),
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
    pub fn input(&self) -> Option<TokenCounts> {
        self.input.map(|input| TokenCounts {
            input: input.input.saturating_add(self.extra_input),
            ..input
        })
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
        let extra = self.extra_input.saturating_add(self.extra_output);
        let tokens = tokens.saturating_add(extra);
        (tokens <= MAX_TOKENS).then_some(tokens)
    }

    /// True when there is an input, and no output.
    pub fn is_input_alone(&self) -> bool {
        let input = self.input.map_or(0, |input| input.all_input());
        let output = self.output.unwrap_or(0).max(self.extra_output);
        input > 0 && output == 0 && self.total.unwrap_or(0) <= input
    }

    /// Returns the output of a response that says nothing of the input, or zeros.
    pub fn output_alone(&self) -> Option<u64> {
        let output = self
            .output
            .filter(|output| (1..=MAX_TOKENS).contains(output))?;
        let has_input = self.input.is_some_and(|input| input.all_input() > 0);
        let has_more = self.total.is_some_and(|total| total > output);
        let output = output.saturating_add(self.extra_output);
        (!has_input && !has_more).then_some(output)
    }
}

/// The counts of one text.
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
