//! The use of an account's limits, as clients and operators are told.

use crate::limits::snapshot::Level;
use crate::limits::{Limit, LimitKind, Limits, PerLimit};
use serde::Serialize;

/// The use of each limit.
pub type UsageView = PerLimit<UseView>;

/// Usage of one limit.
#[derive(Clone, Debug, Serialize)]
pub struct UseView {
    /// The base limit.
    pub limit: Limit,
    /// The effective limit, while it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u64>,
    /// Used now.
    pub used: u64,
    /// The rest of the effective limit; null where unlimited.
    pub remaining: Option<u64>,
    /// The time until nothing is used, if nothing more happens; null for concurrency.
    pub reset_ms: Option<u64>,
}

/// The view of base limits, of which `effective` holds now.
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
    /// Each limit.
    pub limits: UsageView,
}
