//! The metrics for operators. Each worker gathers counts and flushes them on its slow ticks, so
//! requests make no host calls for them.
//!
//! Names are flat, since a proxy-wasm host has no labels: `tiergate_requests.namespace.N.tier.T.`
//! `outcome.O`. The project's `stats_tags` turn the parts into Prometheus labels.

pub mod names;

use crate::host::MetricSink;
use crate::ledger::Health;
use crate::ledger::in_flight::Moves;
use crate::limits::LimitKind;
use crate::models::{Families, FamilyId};
use crate::tiers::table::NO_TIER;
use crate::tiers::{Tier, TierId, TierTable};
use crate::tokens::rates::TokenCounts;
use names::MetricFamily;
use std::collections::BTreeMap;

/// The series of a tier, without those of its limits and models: outcomes, tokens, the requests in
/// flight and the scale.
pub const SERIES_OF_TIER: usize = Outcome::ALL.len() + TokenKind::ALL.len() + 2;
/// The series of a tier for each family of models, and for requests without one.
pub const SERIES_OF_FAMILY: usize = 4;

/// The counters of health.
const HEALTH: [MetricFamily; 11] = [
    names::CAS_RETRIES,
    names::EVICTED_LIVE,
    names::OVERFLOW_REQUESTS,
    names::DAMAGED_VALUES,
    names::STALE_LEASES,
    names::LOST_PAGES,
    names::UNLEASED,
    names::UNPRICED,
    names::MODEL_UNKNOWN,
    names::ADMIN_WRITES,
    names::DIRECTORY_FULL,
];

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Forwarded and recorded.
    Admitted,
    /// Refused with a 429.
    Limited,
    /// Forwarded in shadow mode in place of a refusal.
    Shadowed,
    /// Refused for a reason other than a full limit.
    Refused,
    /// The ledger, the directory or the host failed.
    Faulted,
    /// Forwarded and not counted, by a rule.
    Exempt,
    /// Answered with the account's usage.
    Usage,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 7] = [
        Self::Admitted,
        Self::Limited,
        Self::Shadowed,
        Self::Refused,
        Self::Faulted,
        Self::Exempt,
        Self::Usage,
    ];

    /// Returns the outcome's label in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Limited => "limited",
            Self::Shadowed => "shadowed",
            Self::Refused => "refused",
            Self::Faulted => "faulted",
            Self::Exempt => "exempt",
            Self::Usage => "usage",
        }
    }
}

/// The kind of a token count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Reserved at admission.
    Reserved,
    /// Used, as reported by the response.
    Used,
    /// Reserved and not used.
    Refunded,
    /// Estimated, since the response did not report all tokens.
    Estimated,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Reserved, Self::Used, Self::Refunded, Self::Estimated];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Used => "used",
            Self::Refunded => "refunded",
            Self::Estimated => "estimated",
        }
    }
}

/// One counter for each value of a label.
#[derive(Clone, Debug)]
struct Row<const N: usize>([u64; N]);

impl<const N: usize> Default for Row<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Row<N> {
    fn add(&mut self, value: usize, n: u64) {
        if let Some(count) = self.0.get_mut(value) {
            *count = count.saturating_add(n);
        }
    }
}

/// The counts of one tier since the last flush.
#[derive(Clone, Debug, Default)]
struct TierCounts {
    requests: Row<{ Outcome::ALL.len() }>,
    limited: BTreeMap<LimitKind, u64>,
    /// The part of `limited` that only limits lowered for overload refused.
    overloaded: BTreeMap<LimitKind, u64>,
    tokens: Row<{ TokenKind::ALL.len() }>,
    /// The tokens that responses reported, by family of models; `None` for those without one.
    usage: BTreeMap<Option<FamilyId>, TokenCounts>,
    /// True when a request ended.
    moved: bool,
}

/// The counts of one worker since the last flush.
#[derive(Debug)]
pub struct Counts {
    namespace: String,
    names: Vec<String>,
    models: Vec<String>,
    /// The limits of each tier, until their counters exist.
    undefined: Vec<Vec<LimitKind>>,
    tiers: Vec<TierCounts>,
}

impl Counts {
    /// Creates counts for the tiers and the families, all zero.
    pub fn new(namespace: &str, tiers: &TierTable, models: &Families) -> Self {
        let mut names: Vec<String> = tiers.iter().map(|t| t.name.clone()).collect();
        names.push(NO_TIER.to_owned());
        Self {
            namespace: namespace.to_owned(),
            undefined: tiers.iter().map(limited_kinds).collect(),
            models: models.iter().map(|family| family.name.clone()).collect(),
            tiers: vec![TierCounts::default(); names.len()],
            names,
        }
    }

    /// Returns the counts of a tier; the last ones are for requests without a tier.
    fn tier(&mut self, tier: Option<TierId>) -> Option<&mut TierCounts> {
        let none = self.tiers.len().saturating_sub(1);
        self.tiers.get_mut(tier.map_or(none, TierId::index))
    }

    /// Counts one request with an outcome.
    pub fn request(&mut self, tier: Option<TierId>, outcome: Outcome) {
        if let Some(counts) = self.tier(tier) {
            counts.requests.add(outcome as usize, 1);
        }
    }

    /// Counts one request over a limit; `overloaded`: only a lowered limit refuses.
    pub fn limited(&mut self, tier: TierId, kind: LimitKind, overloaded: bool) {
        if let Some(counts) = self.tier(Some(tier)) {
            let add = |counts: &mut BTreeMap<LimitKind, u64>, n: u64| {
                let count = counts.entry(kind).or_default();
                *count = count.saturating_add(n);
            };
            add(&mut counts.limited, 1);
            add(&mut counts.overloaded, overloaded.into());
        }
    }

    /// Counts tokens of a kind.
    pub fn tokens(&mut self, tier: TierId, kind: TokenKind, n: u64) {
        if let Some(counts) = self.tier(Some(tier)) {
            counts.tokens.add(kind as usize, n);
        }
    }

    /// Counts the tokens that a response reported.
    pub fn usage(&mut self, tier: TierId, family: Option<FamilyId>, counts: &TokenCounts) {
        if let Some(tier) = self.tier(Some(tier)) {
            let sum = tier.usage.entry(family).or_default();
            *sum = sum.plus(counts);
        }
    }

    /// Counts the end of an admitted request.
    pub fn ended(&mut self, tier: TierId) {
        if let Some(counts) = self.tier(Some(tier)) {
            counts.moved = true;
        }
    }

    /// Makes the counters exist before their first event, so that a rate of it can be seen.
    fn define(&mut self, sink: &mut dyn MetricSink) {
        let undefined = std::mem::take(&mut self.undefined);
        if undefined.is_empty() {
            return;
        }
        let namespace = self.namespace.as_str();
        for (name, kinds) in self.names.iter().zip(undefined) {
            let outcomes = Outcome::ALL.map(Outcome::as_str);
            let tokens = TokenKind::ALL.map(TokenKind::as_str);
            for (family, label, values) in [
                (names::REQUESTS, "outcome", &outcomes[..]),
                (names::TOKENS, "kind", &tokens[..]),
            ] {
                let name = family.of_tier(namespace, name);
                for value in values {
                    sink.count(&format!("{name}.{label}.{value}"), 0);
                }
            }
            for kind in kinds {
                sink.count(&names::LIMITED.of_limit(namespace, name, kind), 0);
                sink.count(&names::OVERLOADED.of_limit(namespace, name, kind), 0);
            }
            let models = self.models.iter().map(Some).chain([None]);
            for model in models {
                let tier = (namespace, name.as_str());
                emit_usage(sink, tier, model, &TokenCounts::default(), true);
            }
        }
        let no_tier = names::REQUESTS.of_tier(namespace, NO_TIER);
        for outcome in [
            Outcome::Refused,
            Outcome::Faulted,
            Outcome::Shadowed,
            Outcome::Exempt,
        ] {
            sink.count(&format!("{no_tier}.outcome.{}", outcome.as_str()), 0);
        }
        for family in HEALTH {
            sink.count(&family.of(namespace), 0);
        }
    }

    /// Flushes all counts and resets them; moves the gauge by `moves`.
    pub fn flush(&mut self, health: Health, mut moves: Moves, sink: &mut dyn MetricSink) {
        self.define(sink);
        for (name, counts) in self.names.iter().zip(&mut self.tiers) {
            let TierCounts {
                requests,
                limited,
                overloaded,
                tokens,
                usage,
                moved,
            } = std::mem::take(counts);
            let tier = (self.namespace.as_str(), name.as_str());
            let outcomes = Outcome::ALL.map(Outcome::as_str);
            let kinds = TokenKind::ALL.map(TokenKind::as_str);
            emit(sink, names::REQUESTS, tier, "outcome", outcomes, &requests);
            for (family, counts) in [(names::LIMITED, limited), (names::OVERLOADED, overloaded)] {
                for (kind, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
                    sink.count(&family.of_limit(tier.0, tier.1, kind), n);
                }
            }
            emit(sink, names::TOKENS, tier, "kind", kinds, &tokens);
            for (family, counts) in usage {
                let model = family.and_then(|id| self.models.get(id.index()));
                emit_usage(sink, tier, model, &counts, false);
            }
            // A tier whose requests all began and ended between two ticks shows as 0.
            if moved {
                moves.entry(name.clone()).or_default();
            }
        }
        for (name, delta) in moves {
            sink.gauge(&names::IN_FLIGHT.of_tier(&self.namespace, &name), delta);
        }
        let fill = names::PAGE_FILL.of(&self.namespace);
        sink.set(&fill, health.page_fill.into());
        for (family, n) in HEALTH.into_iter().zip([
            health.cas_retries,
            health.evicted,
            health.overflow,
            health.corrupt,
            health.stale_leases,
            health.lost_pages,
            health.unleased,
            health.unpriced,
            health.model_unknown,
            health.admin_writes,
            health.directory_full,
        ]) {
            if n > 0 {
                sink.count(&family.of(&self.namespace), n);
            }
        }
    }
}

/// Returns the kinds that a tier limits.
fn limited_kinds(tier: &Tier) -> Vec<LimitKind> {
    tier.all_limits().finite().map(|(kind, _)| kind).collect()
}

fn emit_usage(
    sink: &mut dyn MetricSink,
    (namespace, tier): (&str, &str),
    model: Option<&String>,
    counts: &TokenCounts,
    defines: bool,
) {
    let name = names::USAGE_TOKENS.of_tier(namespace, tier);
    let model = model.map_or(String::new(), |model| format!(".model.{model}"));
    for (kind, n) in [
        ("input", counts.input),
        ("cached", counts.cached),
        ("cache_write", counts.cache_write),
        ("output", counts.output),
    ] {
        if n > 0 || defines {
            sink.count(&format!("{name}.kind.{kind}{model}"), n);
        }
    }
}

fn emit<const N: usize>(
    sink: &mut dyn MetricSink,
    family: MetricFamily,
    (namespace, tier): (&str, &str),
    label: &str,
    values: [&'static str; N],
    counts: &Row<N>,
) {
    for (value, n) in values.iter().zip(counts.0).filter(|(_, n)| *n > 0) {
        let name = family.of_tier(namespace, tier);
        sink.count(&format!("{name}.{label}.{value}"), n);
    }
}
