//! Counts that operators see. They are gathered in the worker and handed over on each tick, so
//! that they cost a request no host call.
//!
//! Names are flat, since a proxy-wasm host has no labels: `tiergate_requests.namespace.N.tier.T.`
//! `outcome.O`. The `stats_tags` that the project ships turn the parts into Prometheus labels.

use crate::host::MetricSink;
use crate::ledger::Health;
use crate::ledger::in_flight::{Moves, PerTier};
use crate::limits::LimitKind;
use crate::tiers::table::NO_TIER;
use crate::tiers::{TierId, TierTable};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let through and recorded.
    Admitted,
    /// Refused with a 429.
    Limited,
    /// Let through in shadow mode, though it would have been refused.
    Shadowed,
    /// Refused for another reason than a limit that is full.
    Refused,
    /// The ledger could not be used.
    Faulted,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Admitted,
        Self::Limited,
        Self::Shadowed,
        Self::Refused,
        Self::Faulted,
    ];

    /// The outcome in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Limited => "limited",
            Self::Shadowed => "shadowed",
            Self::Refused => "refused",
            Self::Faulted => "faulted",
        }
    }
}

/// What became of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Reserved when a request was admitted.
    Reserved,
    /// Used, as the response said.
    Used,
    /// Reserved and given back.
    Refunded,
    /// Left at the reserve, since the response did not say.
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

/// A few counters, one for each value of a label.
#[derive(Clone, Debug, Default)]
struct Row(Vec<u64>);

impl Row {
    fn add(&mut self, at: usize, n: u64) {
        if self.0.len() <= at {
            self.0.resize(at.saturating_add(1), 0);
        }
        if let Some(count) = self.0.get_mut(at) {
            *count = count.saturating_add(n);
        }
    }
}

/// The counts of one tier since the last hand-over.
#[derive(Clone, Debug, Default)]
struct TierCounts {
    requests: Row,
    limited: Row,
    /// Those of `limited` that only limits lowered for load refused.
    overloaded: Row,
    tokens: Row,
    /// Whether anything came or went.
    moved: bool,
}

/// The counts of one worker since the last hand-over.
#[derive(Debug)]
pub struct Counts {
    namespace: String,
    names: Vec<String>,
    tiers: Vec<TierCounts>,
    /// Requests in process now, by tier; not since the last hand-over.
    in_flight: Vec<u64>,
}

fn position<T: PartialEq>(all: &[T], value: &T) -> usize {
    all.iter().position(|v| v == value).unwrap_or(0)
}

impl Counts {
    /// Counts of these tiers, all zero.
    pub fn new(namespace: &str, tiers: &TierTable) -> Self {
        let mut names: Vec<String> = tiers.iter().map(|t| t.name.clone()).collect();
        names.push(NO_TIER.to_owned());
        Self {
            namespace: namespace.to_owned(),
            tiers: vec![TierCounts::default(); names.len()],
            in_flight: vec![0; names.len()],
            names,
        }
    }

    /// The tier at that place; the last place is for requests without one.
    fn tier(&mut self, tier: Option<TierId>) -> Option<&mut TierCounts> {
        let none = self.tiers.len().saturating_sub(1);
        self.tiers.get_mut(tier.map_or(none, TierId::index))
    }

    /// One more request with that outcome.
    pub fn request(&mut self, tier: Option<TierId>, outcome: Outcome) {
        if let Some(counts) = self.tier(tier) {
            counts.requests.add(position(&Outcome::ALL, &outcome), 1);
        }
    }

    /// One more request over that limit; `overloaded`: only since it is lowered for load.
    pub fn limited(&mut self, tier: TierId, name: LimitKind, overloaded: bool) {
        if let Some(counts) = self.tier(Some(tier)) {
            let place = position(&LimitKind::ALL, &name);
            counts.limited.add(place, 1);
            counts.overloaded.add(place, overloaded.into());
        }
    }

    /// So many more tokens of that kind.
    pub fn tokens(&mut self, tier: TierId, kind: TokenKind, n: u64) {
        if let Some(counts) = self.tier(Some(tier)) {
            counts.tokens.add(position(&TokenKind::ALL, &kind), n);
        }
    }

    /// One request more in process.
    pub fn begun(&mut self, tier: TierId) {
        if let Some(n) = self.in_flight.get_mut(tier.index()) {
            *n = n.saturating_add(1);
        }
    }

    /// One request less in process.
    pub fn ended(&mut self, tier: TierId) {
        if let Some(n) = self.in_flight.get_mut(tier.index()) {
            *n = n.saturating_sub(1);
        }
        if let Some(counts) = self.tier(Some(tier)) {
            counts.moved = true;
        }
    }

    /// What is in process now.
    pub fn in_flight(&self) -> PerTier {
        let all = self
            .names
            .iter()
            .cloned()
            .zip(self.in_flight.iter().copied());
        all.filter(|(_, n)| *n > 0).collect()
    }

    /// Hands over all that was gathered, and starts again at zero; moves the gauge by `moves`.
    pub fn flush(&mut self, health: Health, mut moves: Moves, sink: &mut dyn MetricSink) {
        for (name, counts) in self.names.iter().zip(&mut self.tiers) {
            let TierCounts {
                requests,
                limited,
                overloaded,
                tokens,
                moved,
            } = std::mem::take(counts);
            let at = format!("namespace.{}.tier.{name}", self.namespace);
            emit(sink, "requests", &at, ("outcome", &requests), |i| {
                Outcome::ALL.get(i).map(|o| o.as_str())
            });
            for (family, row) in [("limited", &limited), ("overloaded", &overloaded)] {
                emit(sink, family, &at, ("limit", row), |i| {
                    LimitKind::ALL.get(i).map(|l| l.as_str())
                });
            }
            emit(sink, "tokens", &at, ("kind", &tokens), |i| {
                TokenKind::ALL.get(i).map(|k| k.as_str())
            });
            // A tier whose requests all came and went between two ticks shows as 0.
            if moved {
                moves.entry(name.clone()).or_default();
            }
        }
        for (name, delta) in moves {
            let at = format!("namespace.{}.tier.{name}", self.namespace);
            sink.gauge(&format!("tiergate_in_flight.{at}"), delta);
        }
        for (family, n) in [
            ("cas_retries", health.cas_retries),
            ("evicted_live", health.evicted),
            ("damaged_values", health.corrupt),
            ("stale_leases", health.stale_leases),
            ("lost_pages", health.lost_pages),
            ("directory_full", health.directory_full),
        ] {
            if n > 0 {
                let name = format!("tiergate_{family}.namespace.{}", self.namespace);
                sink.count(&name, n);
            }
        }
    }
}

fn emit(
    sink: &mut dyn MetricSink,
    family: &str,
    at: &str,
    (label, row): (&str, &Row),
    value: impl Fn(usize) -> Option<&'static str>,
) {
    for (i, n) in row.0.iter().enumerate().filter(|(_, n)| **n > 0) {
        if let Some(value) = value(i) {
            sink.count(&format!("tiergate_{family}.{at}.{label}.{value}"), *n);
        }
    }
}
