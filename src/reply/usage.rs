//! The use of an account's limits, as shown to clients and operators.

use crate::limits::snapshot::Level;
use crate::limits::{Limit, LimitKind, Limits, PerLimit};
use serde::Serialize;

/// The use of each limit.
pub type UsageView = PerLimit<UseView>;

/// The use of one limit.
#[derive(Clone, Debug, Serialize)]
pub struct UseView {
    /// The base limit.
    pub limit: Limit,
    /// The effective limit, while it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u64>,
    /// The amount in use.
    pub used: u64,
    /// The rest of the effective limit; null when unlimited.
    pub remaining: Option<u64>,
    /// The time until nothing is used, without new requests; null for concurrency.
    pub reset_ms: Option<u64>,
}

/// Returns the view of base limits and their effective values.
pub fn usage_view(base: &Limits, effective: &Limits, levels: &PerLimit<Level>) -> UsageView {
    PerLimit::from_fn(|kind| {
        let level = &levels[kind];
        // The end of a lease is unknown.
        let has_end = kind != LimitKind::Concurrency;
        UseView {
            limit: base[kind],
            in_force: effective[kind]
                .finite()
                .filter(|_| effective[kind] != base[kind]),
            used: level.used,
            remaining: level.remaining,
            reset_ms: has_end.then(|| level.resets_in.as_millis()),
        }
    })
}

/// A client's own usage.
#[derive(Debug, Serialize)]
pub struct ClientView<'a> {
    /// The tier's name.
    pub tier: &'a str,
    /// The use of each limit.
    pub limits: UsageView,
}
