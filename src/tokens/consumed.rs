//! The tokens that a response used, by what its texts say and how far it came.

use crate::tokens::rates::TokenCounts;
use crate::tokens::sse::Events;
use crate::tokens::text::ResponseFacts;

/// The tokens that a response used, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// The number of tokens.
    Tokens(u64),
    /// The number of output tokens; the input is unknown.
    Output(u64),
    /// Unknown.
    Unknown,
    /// A stream without complete usage.
    Streamed(Streamed),
}

/// The tokens that a response used, and the kinds of input among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// The tokens of all kinds.
    pub used: Used,
    /// The input tokens by kind, if the response reported them.
    pub input: Option<TokenCounts>,
}

impl From<Used> for Consumed {
    fn from(used: Used) -> Self {
        Self { used, input: None }
    }
}

/// A stream of events without usage, or with a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// The prompt tokens, if the stream reported them.
    pub prompt: Option<u64>,
    /// The tokens that the stream reported; zero without a report.
    pub said: u64,
    /// The events of the stream: each is at least one token.
    pub events: u64,
    /// True when the stream came to its end and reported nothing: its reserve is the least.
    pub is_whole: bool,
}

/// Returns the tokens of a JSON body, and true when no status would change them.
pub(super) fn used_by_json(facts: &ResponseFacts, complete: bool) -> (Consumed, bool) {
    let totals = &facts.totals;
    let alone = totals.output_alone().map(Used::Output);
    let used = alone.or_else(|| totals.tokens().map(Used::Tokens));
    match used {
        // Several texts are a stream.
        _ if facts.texts > 1 => {
            let pace = Pace::of(facts, complete);
            (used_by_stream(facts, &pace), false)
        }
        Some(used) => {
            let consumed = Consumed {
                used,
                input: totals.input(),
            };
            // A failure that reports a usage says that it is an error.
            (consumed, facts.errors == 0)
        }
        None if facts.errors > 0 => (Used::Tokens(0).into(), true),
        None => (Used::Unknown.into(), false),
    }
}

/// The part of a stream that came.
pub(super) struct Pace {
    /// The events or texts, without errors.
    count: u64,
    /// Those that may be output.
    outputs: u64,
    /// True when the stream said that it is at its end.
    has_ended: bool,
    /// True when its body came to its end.
    complete: bool,
}

impl Pace {
    pub fn of_events(events: &Events, complete: bool) -> Self {
        Self {
            count: events.count(),
            outputs: events.outputs(),
            has_ended: events.has_ended(),
            complete,
        }
    }

    pub const fn of(facts: &ResponseFacts, complete: bool) -> Self {
        Self {
            count: facts.texts.saturating_sub(facts.errors),
            outputs: facts.outputs,
            has_ended: facts.ends,
            complete,
        }
    }
}

/// A usage counts as it is when it says the output and the stream came to its end. Otherwise each
/// event counts too; before any output, an error costs the prompt at most. The end of one choice is no
/// end of the stream: a usage beside it can be that of the choice alone.
pub(super) fn used_by_stream(facts: &ResponseFacts, pace: &Pace) -> Consumed {
    let (said, input) = (facts.totals.tokens(), facts.totals.input());
    let alone = facts.totals.output_alone();
    // A placeholder: it came before the output, which the other events have.
    let is_early = facts.totals.is_input_alone() && pace.outputs > 1;
    let is_final = (pace.has_ended || pace.complete) && facts.has_output && !is_early;
    let has_failed = facts.errors > 0;
    let prompt = input.map(|input| input.all_input()).filter(|n| *n > 0);
    let used = match (said, alone) {
        (_, Some(output)) if is_final => Used::Output(output),
        (Some(tokens), None) if is_final => Used::Tokens(tokens),
        (None, None) if pace.count == 0 && has_failed => Used::Tokens(0),
        // Bytes without an event may be no stream at all, but an encoded body.
        (None, None) if pace.count == 0 => Used::Unknown,
        _ if has_failed && pace.outputs == 0 => Used::Streamed(Streamed {
            prompt,
            said: 0,
            events: 0,
            is_whole: false,
        }),
        (said, alone) => Used::Streamed(Streamed {
            prompt,
            said: said.unwrap_or(0),
            events: pace.count.max(alone.unwrap_or(0)),
            is_whole: (pace.complete || pace.has_ended || facts.ends_choice)
                && !has_failed
                && prompt.is_none(),
        }),
    };
    Consumed { used, input }
}
