//! The use of an account's limits, as shown to clients and operators.

use crate::json::Named;
use crate::limits::snapshot::Level;
use crate::limits::{Limits, PerLimit, Shown};
use serde::Serialize;

/// The use of each limit, by name.
pub type UsageByName = Named<UseView>;

/// The use of an account's limits.
#[derive(Clone, Debug, Serialize)]
pub struct UsageView {
    /// The account's own limits.
    pub limits: UsageByName,
    /// The limits on families of models, by family.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub models: Named<UsageByName>,
}

/// The use of one limit.
#[derive(Clone, Debug, Serialize)]
pub struct UseView {
    /// The base limit.
    pub limit: Shown,
    /// The effective limit, while it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Shown>,
    /// The amount in use; null when unlimited, which is not counted.
    pub used: Option<Shown>,
    /// The rest of the effective limit; null when unlimited.
    pub remaining: Option<Shown>,
    /// The time until nothing is used, without new requests; null for concurrency, and when
    /// unlimited.
    pub reset_ms: Option<u64>,
}

impl UseView {
    /// True when something is counted.
    pub fn is_used(&self) -> bool {
        self.used.and_then(Shown::finite).unwrap_or(0) > 0
    }
}

/// Returns the view of base limits and their effective values.
pub fn usage_view(base: &Limits, effective: &Limits, levels: &PerLimit<Level>) -> UsageView {
    let view = levels.map(|kind, level| {
        // The end of a lease is unknown.
        let has_end = !kind.is_concurrency() && level.used.is_some();
        let (base, effective) = (kind.limit(base.of(kind)), kind.limit(effective.of(kind)));
        UseView {
            limit: base,
            in_force: (effective != base).then_some(effective),
            used: level.used.map(|n| kind.used(n)),
            remaining: level.remaining.map(|n| kind.rest(n)),
            reset_ms: has_end.then(|| level.resets_in.as_millis()),
        }
    });
    UsageView {
        limits: view.named(),
        models: view.models(),
    }
}

/// A client's own usage.
#[derive(Debug, Serialize)]
pub struct ClientView<'a> {
    /// The tier's name.
    pub tier: &'a str,
    /// The use of each limit.
    #[serde(flatten)]
    pub usage: UsageView,
}
