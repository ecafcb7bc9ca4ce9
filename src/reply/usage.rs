//! The use of an account's limits, as shown to clients and operators.

use crate::json::Named;
use crate::limits::snapshot::Level;
use crate::limits::{Limit, Limits, PerLimit};
use serde::Serialize;

/// The use of each limit.
pub type UsageView = Named<UseView>;

/// The use of one limit.
#[derive(Clone, Debug, Serialize)]
pub struct UseView {
    /// The base limit.
    pub limit: Limit,
    /// The effective limit, while it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u64>,
    /// The amount in use; null when unlimited, which is not counted.
    pub used: Option<u64>,
    /// The rest of the effective limit; null when unlimited.
    pub remaining: Option<u64>,
    /// The time until nothing is used, without new requests; null for concurrency, and when
    /// unlimited.
    pub reset_ms: Option<u64>,
}

/// Returns the view of base limits and their effective values.
pub fn usage_view(base: &Limits, effective: &Limits, levels: &PerLimit<Level>) -> UsageView {
    let view = levels.map(|kind, level| {
        // The end of a lease is unknown.
        let has_end = !kind.is_concurrency() && level.used.is_some();
        let (base, effective) = (base.of(kind), effective.of(kind));
        UseView {
            limit: base,
            in_force: effective.finite().filter(|_| effective != base),
            used: level.used,
            remaining: level.remaining,
            reset_ms: has_end.then(|| level.resets_in.as_millis()),
        }
    });
    view.named()
}

/// A client's own usage.
#[derive(Debug, Serialize)]
pub struct ClientView<'a> {
    /// The tier's name.
    pub tier: &'a str,
    /// The use of each limit.
    pub limits: UsageView,
}
