//! Orders of an operator to all edges: a scale on limits, and resets of accounts.
//!
//! An order has a number, which grows with each. An edge says the last number that it followed, and
//! the service answers with the newer ones. An order that comes twice changes nothing.

use serde::{Deserialize, Serialize};

/// The maximum number of resets in an answer.
pub const MOST_RESETS: usize = 100;

/// The orders that are newer than the last one that an edge followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The number of the last order here.
    #[serde(rename = "n")]
    pub last: u64,
    /// The scale on limits, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadOrder>,
    /// The resets, at most [`MOST_RESETS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resets: Vec<ResetOrder>,
}

/// A scale on the limits of all edges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadOrder {
    /// The scale of all tiers that are not in `tiers`, in millionths.
    pub scale: u32,
    /// The scales of single tiers, by name, in millionths.
    #[serde(default)]
    pub tiers: Vec<(String, u32)>,
    /// The time until it ends, in milliseconds; 0 for an order to end it now.
    pub ttl_ms: u64,
}

/// A reset: the use of an account begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetOrder {
    /// The account's id.
    pub id: String,
    /// The generation of the account that begins.
    #[serde(rename = "gen")]
    pub generation: u32,
}
