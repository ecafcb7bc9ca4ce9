//! What an account has used, as clients and operators are told: the numbers of the response headers,
//! for all four limits.

use crate::limits::admit::{InUse, Level};
use crate::limits::{Limit, LimitName, Limits};
use serde::Serialize;

/// Usage of the four limits.
#[derive(Clone, Debug, Serialize)]
pub struct UsageView {
    /// Requests in process.
    pub concurrency: UseView,
    /// Requests in the minute window.
    pub rpm: UseView,
    /// Tokens in the minute window.
    pub tpm: UseView,
    /// Tokens of the day.
    pub tpd: UseView,
}

/// Usage of one limit.
#[derive(Clone, Debug, Serialize)]
pub struct UseView {
    /// The limit that was base.
    pub limit: Limit,
    /// What is in force of it, while it is lowered for load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u64>,
    /// Used now.
    pub used: u64,
    /// What is left now of what is in force; null where unlimited.
    pub remaining: Option<u64>,
    /// Until nothing is used any more, if nothing more happens; null for concurrency.
    pub reset_ms: Option<u64>,
}

impl UsageView {
    /// What is used of limits that may be lowered.
    pub fn new(base: &Limits, in_force: &Limits, used: &InUse) -> Self {
        let view = |name, level: &Level, reset_ms| {
            let (limit, in_force) = (base.get(name), in_force.get(name));
            UseView {
                limit,
                in_force: in_force.finite().filter(|_| in_force != limit),
                used: level.used,
                remaining: level.remaining,
                reset_ms,
            }
        };
        let window = |name, level: &Level| view(name, level, Some(level.resets_in.as_millis()));
        Self {
            concurrency: view(LimitName::Concurrency, &used.concurrency, None),
            rpm: window(LimitName::Rpm, &used.rpm),
            tpm: window(LimitName::Tpm, &used.tpm),
            tpd: window(LimitName::Tpd, &used.tpd),
        }
    }
}

/// What a client is told of itself.
#[derive(Debug, Serialize)]
pub struct ClientView<'a> {
    /// The tier's name.
    pub tier: &'a str,
    /// Each limit.
    pub limits: UsageView,
}
