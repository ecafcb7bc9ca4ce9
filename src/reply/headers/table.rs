//! The styles that give each number a header of its own: names, limits and formats.
//!
//! Sources: `OpenAI` (platform.openai.com/docs/guides/rate-limits, "Rate limits in headers"),
//! Anthropic (docs.claude.com/en/api/rate-limits, "Response headers"), Groq
//! (console.groq.com/docs/rate-limits, "Rate limit headers"), Mistral (replies of api.mistral.ai:
//! mistralai/client-ts issue 169).

use crate::limits::Snapshot;
use crate::limits::kinds::Per;
use crate::limits::snapshot::{Gauge, RefusedBy, Tells};
use crate::limits::units::Unit;
use crate::reply::go_duration::GoDuration;
use crate::time::{Span, Wall};
use crate::zone::rfc3339;
use itoa::Buffer;

/// One header of a style.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderField {
    pub name: &'static str,
    pub of: LimitOf,
    pub says: Says,
}

/// The limit that a header tells of; of several the tightest.
#[derive(Clone, Copy, Debug)]
pub(super) enum LimitOf {
    /// Those on a unit over a time.
    Kind(Unit, Per),
    /// Those on requests a day. An account without one is told those a minute.
    RequestsOfDay,
    /// The limits of a day and longer.
    Long,
    /// The request itself.
    Request,
}

/// The fact of its limit that a header says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Says {
    /// The size.
    Limit,
    /// The rest.
    Remaining,
    /// The time until nothing is used, as Go prints it.
    ResetGo,
    /// The moment at which nothing will be used, rounded up to the second.
    ResetAt,
    /// The tokens that the request counts.
    Cost,
    /// `rejected` by a limit of a day or longer, or `allowed_warning` over 80 % of one.
    UnifiedStatus,
    /// When a refusing limit of a day or longer lets the account in, in seconds since 1970.
    UnifiedReset,
}

const fn field(name: &'static str, of: LimitOf, says: Says) -> HeaderField {
    HeaderField { name, of, says }
}

const REQUESTS: LimitOf = LimitOf::Kind(Unit::Requests, Per::Minute);
const TOKENS: LimitOf = LimitOf::Kind(Unit::Tokens, Per::Minute);
const INPUT: LimitOf = LimitOf::Kind(Unit::InputTokens, Per::Minute);
const OUTPUT: LimitOf = LimitOf::Kind(Unit::OutputTokens, Per::Minute);
const TOKENS_OF_MONTH: LimitOf = LimitOf::Kind(Unit::Tokens, Per::Month);

pub(super) const OPENAI: [HeaderField; 6] = [
    field("x-ratelimit-limit-requests", REQUESTS, Says::Limit),
    field("x-ratelimit-remaining-requests", REQUESTS, Says::Remaining),
    field("x-ratelimit-reset-requests", REQUESTS, Says::ResetGo),
    field("x-ratelimit-limit-tokens", TOKENS, Says::Limit),
    field("x-ratelimit-remaining-tokens", TOKENS, Says::Remaining),
    field("x-ratelimit-reset-tokens", TOKENS, Says::ResetGo),
];

/// OpenAI's names, whose requests are those of a day.
pub(super) const GROQ: [HeaderField; 6] = {
    let [limit, remaining, reset, tokens @ ..] = OPENAI;
    let [tokens_limit, tokens_remaining, tokens_reset] = tokens;
    [
        of_day(limit),
        of_day(remaining),
        of_day(reset),
        tokens_limit,
        tokens_remaining,
        tokens_reset,
    ]
};

const fn of_day(field: HeaderField) -> HeaderField {
    let of = LimitOf::RequestsOfDay;
    HeaderField { of, ..field }
}

pub(super) const MISTRAL: [HeaderField; 7] = [
    field("x-ratelimit-limit-req-minute", REQUESTS, Says::Limit),
    field(
        "x-ratelimit-remaining-req-minute",
        REQUESTS,
        Says::Remaining,
    ),
    field("x-ratelimit-limit-tokens-minute", TOKENS, Says::Limit),
    field(
        "x-ratelimit-remaining-tokens-minute",
        TOKENS,
        Says::Remaining,
    ),
    field(
        "x-ratelimit-limit-tokens-month",
        TOKENS_OF_MONTH,
        Says::Limit,
    ),
    field(
        "x-ratelimit-remaining-tokens-month",
        TOKENS_OF_MONTH,
        Says::Remaining,
    ),
    field(
        "x-ratelimit-tokens-query-cost",
        LimitOf::Request,
        Says::Cost,
    ),
];

pub(super) const ANTHROPIC: [HeaderField; 14] = [
    field("anthropic-ratelimit-requests-limit", REQUESTS, Says::Limit),
    field(
        "anthropic-ratelimit-requests-remaining",
        REQUESTS,
        Says::Remaining,
    ),
    field(
        "anthropic-ratelimit-requests-reset",
        REQUESTS,
        Says::ResetAt,
    ),
    field("anthropic-ratelimit-tokens-limit", TOKENS, Says::Limit),
    field(
        "anthropic-ratelimit-tokens-remaining",
        TOKENS,
        Says::Remaining,
    ),
    field("anthropic-ratelimit-tokens-reset", TOKENS, Says::ResetAt),
    field("anthropic-ratelimit-input-tokens-limit", INPUT, Says::Limit),
    field(
        "anthropic-ratelimit-input-tokens-remaining",
        INPUT,
        Says::Remaining,
    ),
    field(
        "anthropic-ratelimit-input-tokens-reset",
        INPUT,
        Says::ResetAt,
    ),
    field(
        "anthropic-ratelimit-output-tokens-limit",
        OUTPUT,
        Says::Limit,
    ),
    field(
        "anthropic-ratelimit-output-tokens-remaining",
        OUTPUT,
        Says::Remaining,
    ),
    field(
        "anthropic-ratelimit-output-tokens-reset",
        OUTPUT,
        Says::ResetAt,
    ),
    field(
        "anthropic-ratelimit-unified-status",
        LimitOf::Long,
        Says::UnifiedStatus,
    ),
    field(
        "anthropic-ratelimit-unified-reset",
        LimitOf::Long,
        Says::UnifiedReset,
    ),
];

/// The percentage of a limit of a day or longer over which Anthropic warns.
const WARNS_OVER: u128 = 80;

impl LimitOf {
    /// Has snapshots keep the limit.
    pub fn add_to(self, tells: &mut Tells) {
        let mut add = |unit, per| {
            if !tells.kinds.contains(&(unit, per)) {
                tells.kinds.push((unit, per));
            }
        };
        match self {
            Self::Kind(unit, per) => add(unit, per),
            Self::RequestsOfDay => {
                add(Unit::Requests, Per::Day);
                add(Unit::Requests, Per::Minute);
            }
            Self::Long => tells.long = true,
            Self::Request => {}
        }
    }

    fn gauge(self, snapshot: &Snapshot) -> Option<&Gauge> {
        match self {
            Self::Kind(unit, per) => snapshot.tightest(unit, per),
            Self::RequestsOfDay => {
                let daily = snapshot.tightest(Unit::Requests, Per::Day);
                daily.or_else(|| snapshot.tightest(Unit::Requests, Per::Minute))
            }
            Self::Long | Self::Request => None,
        }
    }
}

impl Says {
    /// True for a moment on the wall clock.
    pub const fn needs_wall_clock(self) -> bool {
        matches!(self, Self::ResetAt | Self::UnifiedReset)
    }
}

impl HeaderField {
    /// Calls `set` with the header's value; `None` without a limit.
    pub fn tell(&self, snapshot: &Snapshot, set: &mut impl FnMut(&'static str, Option<&str>)) {
        let gauge = self.of.gauge(snapshot);
        let mut digits = Buffer::new();
        let span;
        let text;
        let value = match (self.says, gauge) {
            (Says::Limit, Some(gauge)) => Some(digits.format(gauge.limit)),
            (Says::Remaining, Some(gauge)) => Some(digits.format(gauge.remaining)),
            (Says::ResetGo, Some(gauge)) => {
                span = GoDuration::new(gauge.resets_in);
                Some(span.as_str())
            }
            (Says::ResetAt, Some(gauge)) => {
                text = at(snapshot, gauge.resets_in).map(rfc3339::text);
                text.as_deref()
            }
            (Says::Cost, _) => snapshot.cost.map(|cost| digits.format(cost)),
            (Says::UnifiedStatus, _) => unified_status(snapshot),
            (Says::UnifiedReset, _) => {
                let refused = snapshot.refused.filter(is_used_up);
                let end = refused.and_then(|refused| at(snapshot, refused.wait));
                end.map(|end| digits.format(end.as_millis().div_euclid(1_000)))
            }
            (Says::Limit | Says::Remaining | Says::ResetGo | Says::ResetAt, None) => None,
        };
        set(self.name, value);
    }
}

/// Returns a moment after the decision, rounded up to the second: never early.
fn at(snapshot: &Snapshot, after: Span) -> Option<Wall> {
    let end = snapshot.wall?.as_millis().saturating_add(after.as_millis());
    Some(Wall::from_millis(end.div_ceil(1_000).saturating_mul(1_000)))
}

/// True for a limit of a day or longer that is used up. One that is lowered for load lets the account in
/// as soon as the load allows: a client that read `rejected` would stop until its plan begins anew.
const fn is_used_up(refused: &RefusedBy) -> bool {
    refused.kind.is_long() && !refused.overloaded
}

fn unified_status(snapshot: &Snapshot) -> Option<&'static str> {
    if let Some(refused) = snapshot.refused {
        return is_used_up(&refused).then_some("rejected");
    }
    let warns = |gauge: &Gauge| {
        u128::from(gauge.used).saturating_mul(100)
            > u128::from(gauge.limit).saturating_mul(WARNS_OVER)
    };
    let mut long = snapshot.all().filter(|(kind, _)| kind.is_long());
    long.any(|(_, gauge)| warns(gauge))
        .then_some("allowed_warning")
}
