//! The rules of an edge's part in the fleet, and what it knows of the others.

use super::message::LossRule;
use crate::time::Span;
use serde::Deserialize;

/// The time beyond the time-out in which an answer still counts.
const GRACE: Span = Span::from_millis(10);

/// The rule of an edge while the service is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It admits what it holds, and then its share of each limit.
    #[default]
    Share,
    /// It admits each whole limit.
    Local,
    /// It admits what it holds, and refuses the rest.
    Deny,
}

/// The fate of requests in flight on an edge that is cut off for longer than their leases live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CutOff {
    /// They go on.
    #[default]
    Keep,
    /// They are reset.
    Reset,
}

/// The rules by which an edge takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetPolicy {
    /// The time between reports.
    pub sync: Span,
    /// The longest wait of a request for an answer.
    pub timeout: Span,
    /// The rule without the service.
    pub on_failure: OnFailure,
    /// The rule of the store after a loss.
    pub after_loss: LossRule,
    /// The rule for requests in flight.
    pub cut_off: CutOff,
    /// The least number of edges that a limit is shared among; 0 for none.
    pub least_edges: u32,
}

impl FleetPolicy {
    /// Returns the time from a message within which its answer counts.
    pub const fn answer_within(&self) -> Span {
        self.timeout.plus(GRACE)
    }
}

/// An edge's knowledge of the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeView {
    /// This edge: an Envoy process and a namespace.
    pub epoch: u64,
    /// Its rank among the edges, from 0; `None` before the first answer.
    pub rank: Option<u32>,
    /// The number of edges; 0 before the first answer.
    pub edges: u32,
    /// True while the service is away.
    pub away: bool,
}
