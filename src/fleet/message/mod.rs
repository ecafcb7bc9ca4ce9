//! The one call between an edge and the service: `POST /v1/step`.
//!
//! Ask, report, give-back and heartbeat are one kind of message. All amounts are integers from 0 to
//! [`MOST_AMOUNT`], in the unit of the meter: requests, tokens, requests in flight, or 10^-9 USD.
//! Fields are only added within one version, and readers skip those that they don't know.

use super::hex::{AccountId, EdgeId, Incarnation};
use super::orders::Orders;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

/// The version of the messages.
pub const VERSION: u32 = 1;
/// The maximum number of items in a request.
pub const MOST_ITEMS: usize = 500;
/// The maximum number of meters in a request.
pub const MOST_METERS: usize = 1_000;
/// The maximum number of meters in an item, and the same of leases.
pub const MOST_ITEM_METERS: usize = 64;
/// The maximum number of parts of a [`Cumulative`] total.
pub const MOST_PARTS: usize = 8;
/// The largest amount: 2^53 - 1. The store's script computes with doubles.
pub const MOST_AMOUNT: u64 = 9_007_199_254_740_991;
/// The maximum size of a request's body, in bytes.
pub const MOST_REQUEST_BYTES: usize = 256 * 1024;
/// The maximum size of an answer's body, in bytes.
pub const MOST_ANSWER_BYTES: usize = 1024 * 1024;
/// The time for which an allowance is good, from the sending of the message that brought it.
pub const LIFE_MS: u64 = 10_000;

/// A request of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRequest {
    /// [`VERSION`].
    pub v: u32,
    /// The namespace: 1 to 64 characters.
    pub ns: String,
    /// The edge.
    pub edge: EdgeId,
    /// The edge's name for people; at most 128 characters.
    #[serde(default)]
    pub name: String,
    /// The meters that items name by their index; see [`super::meter_name`].
    #[serde(default)]
    pub meters: Vec<String>,
    /// The incarnation of the store that the edge last saw; empty before the first answer.
    #[serde(default)]
    pub store: String,
    /// The store's rule after a loss; without it, that of the service's flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_loss: Option<LossRule>,
    /// The number of the last order that the edge followed; 0 before the first.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub orders: u64,
    /// One item an account, at most [`MOST_ITEMS`]; none for a mere heartbeat.
    #[serde(default)]
    pub items: Vec<StepItem>,
}

const fn is_none_yet(order: &u64) -> bool {
    *order == 0
}

/// The store's treatment of an account after it lost acknowledged writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LossRule {
    /// It grants nothing for the life of an allowance.
    #[default]
    Close,
    /// It grants nothing for the longest sliding window and the life of an allowance.
    Strict,
}

/// An edge's message about one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepItem {
    /// The account.
    #[serde(rename = "a")]
    pub account: AccountId,
    /// The incarnation of the edge's state of the account.
    #[serde(rename = "i")]
    pub incarnation: Incarnation,
    /// The number of the message within the incarnation, from 1.
    #[serde(rename = "n")]
    pub seq: u32,
    /// The generation of the account that the edge last heard; 0 before the first answer.
    #[serde(rename = "g", default)]
    pub generation: u32,
    /// The meters of windows and periods.
    #[serde(rename = "m", default)]
    pub meters: Vec<MeterAsk>,
    /// The meters of requests in flight.
    #[serde(rename = "l", default)]
    pub leases: Vec<LeaseAsk>,
}

/// A cumulative total since the beginning of the incarnation, with what is not acknowledged:
/// `[base, age, total, age, total…]`, or empty where nothing was ever counted.
///
/// `base` is the total that the store last acknowledged. Each `total` covers what lies between it
/// and the total before. `age` is in milliseconds, at the moment of sending, of the newest event: a
/// message that travels for long makes it later, which is safe. A refund must not become later, or it
/// would be taken from a newer use: in place of its age stands the time of the oldest admission by the
/// account's clock in the store, as [`ItemAnswer::time`] last said it, rounded to earlier. For a
/// period, its end in milliseconds of the wall clock stands in place of both.
pub type Cumulative = Vec<u64>;

/// A meter of a window or a period in a message:
/// `[meter, limit, held, spent, extra, refunded, own, need, want]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MeterAskList", into = "MeterAskList")]
pub struct MeterAsk {
    /// The index in [`StepRequest::meters`].
    pub meter: u32,
    /// The limit.
    pub limit: u64,
    /// The granted amount that is unspent, after all of `spent`.
    pub held: u64,
    /// The amount that was spent of grants.
    pub spent: Cumulative,
    /// The amount that was used beyond reserves, and not taken from grants.
    pub extra: Cumulative,
    /// The amount that was reserved and reported, and not used in the end.
    pub refunded: Cumulative,
    /// This edge's own use in the present window or period.
    pub own: u64,
    /// The amount on top of `held` without which nothing of the item is granted.
    pub need: u64,
    /// The amount beyond it that is welcome.
    pub want: u64,
}

type MeterAskList = (
    u32,
    u64,
    u64,
    Cumulative,
    Cumulative,
    Cumulative,
    u64,
    u64,
    u64,
);

impl From<MeterAskList> for MeterAsk {
    fn from(list: MeterAskList) -> Self {
        let (meter, limit, held, spent, extra, refunded, own, need, want) = list;
        Self {
            meter,
            limit,
            held,
            spent,
            extra,
            refunded,
            own,
            need,
            want,
        }
    }
}

impl From<MeterAsk> for MeterAskList {
    fn from(ask: MeterAsk) -> Self {
        (
            ask.meter,
            ask.limit,
            ask.held,
            ask.spent,
            ask.extra,
            ask.refunded,
            ask.own,
            ask.need,
            ask.want,
        )
    }
}

/// A meter of requests in flight in a message:
/// `[meter, limit, in_process, held, need, want, waiting]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LeaseAskList", into = "LeaseAskList")]
pub struct LeaseAsk {
    /// The index in [`StepRequest::meters`].
    pub meter: u32,
    /// The limit.
    pub limit: u64,
    /// The requests in flight on this edge.
    pub in_process: u64,
    /// The granted leases without a request.
    pub held: u64,
    /// The leases on top of `held` without which nothing of the item is granted.
    pub need: u64,
    /// The leases beyond it that are welcome.
    pub want: u64,
    /// The requests that wait for a lease.
    pub waiting: u64,
}

type LeaseAskList = (u32, u64, u64, u64, u64, u64, u64);

impl From<LeaseAskList> for LeaseAsk {
    fn from((meter, limit, in_process, held, need, want, waiting): LeaseAskList) -> Self {
        Self {
            meter,
            limit,
            in_process,
            held,
            need,
            want,
            waiting,
        }
    }
}

impl From<LeaseAsk> for LeaseAskList {
    fn from(ask: LeaseAsk) -> Self {
        (
            ask.meter,
            ask.limit,
            ask.in_process,
            ask.held,
            ask.need,
            ask.want,
            ask.waiting,
        )
    }
}

/// The answer to a [`StepRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepAnswer {
    /// [`VERSION`].
    pub v: u32,
    /// The incarnation of the store.
    pub store: String,
    /// The edge's rank among the edges of the namespace, from 0.
    pub rank: u32,
    /// The number of edges that were heard of in the last 10 s, this one included.
    pub edges: u32,
    /// True for an edge that must begin anew with another id.
    #[serde(default)]
    pub fenced: bool,
    /// The orders that are newer than the last one that the edge followed; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<Orders>,
    /// The answers to the items, in the order of the request.
    pub items: Vec<ItemAnswer>,
}

/// The answer about one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ItemAnswer {
    /// The account.
    #[serde(rename = "a")]
    pub account: AccountId,
    /// The incarnation of the message.
    #[serde(rename = "i")]
    pub incarnation: Incarnation,
    /// The number of the message.
    #[serde(rename = "n")]
    pub seq: u32,
    /// The reason why this item alone failed; then nothing below has a meaning.
    pub fault: Option<String>,
    /// True when every need was granted.
    pub ok: bool,
    /// True for a message that a later one has overtaken: it changed nothing.
    pub stale: bool,
    /// The generation of the account: a newer one says that its use began anew.
    #[serde(rename = "gen")]
    pub generation: u32,
    /// The meters of windows and periods, in the order of the message.
    #[serde(rename = "m")]
    pub meters: Vec<MeterGrant>,
    /// The meters of requests in flight, in the order of the message.
    #[serde(rename = "l")]
    pub leases: Vec<LeaseGrant>,
    /// True when less than 30 % of a limit is left.
    pub tight: bool,
    /// The account's clock in the store, in milliseconds; 0 for a store that does not say it.
    ///
    /// It never runs back, and is behind the store's after that moved to another node.
    #[serde(rename = "t")]
    pub time: u64,
    /// The store's clock, in milliseconds, by which periods turn; 0 for a store that does not say it.
    #[serde(rename = "c")]
    pub clock: u64,
    /// The number of edges that spoke of the account in the last minute. A fleet of three edges or more has
    /// at least 3 here; 0 stands for a store that does not say it.
    #[serde(rename = "e")]
    pub edges: u32,
    /// The reason why nothing was granted, where something was needed.
    pub no: Option<StepRefusal>,
}

impl Serialize for ItemAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_struct("ItemAnswer", 13)?;
        all.serialize_field("a", &self.account)?;
        all.serialize_field("i", &self.incarnation)?;
        all.serialize_field("n", &self.seq)?;
        if let Some(fault) = &self.fault {
            all.serialize_field("fault", fault)?;
            return all.end();
        }
        all.serialize_field("ok", &self.ok)?;
        all.serialize_field("stale", &self.stale)?;
        all.serialize_field("gen", &self.generation)?;
        all.serialize_field("m", &self.meters)?;
        all.serialize_field("l", &self.leases)?;
        all.serialize_field("tight", &self.tight)?;
        all.serialize_field("t", &self.time)?;
        all.serialize_field("c", &self.clock)?;
        all.serialize_field("e", &self.edges)?;
        if let Some(no) = &self.no {
            all.serialize_field("no", no)?;
        }
        all.end()
    }
}

/// A grant of a meter, and the meter's state: `[meter, grant, used, left, ends_ms]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MeterGrantList", into = "MeterGrantList")]
pub struct MeterGrant {
    /// The index in [`StepRequest::meters`].
    pub meter: u32,
    /// The amount granted, on top of what the message said to be held.
    pub grant: u64,
    /// The use by all edges, as far as they reported it.
    pub used: u64,
    /// The amount that is neither used nor granted, after this grant.
    pub left: u64,
    /// The time until the period ends, by the store's clock, in milliseconds; 0 for windows.
    pub ends_ms: u64,
}

type MeterGrantList = (u32, u64, u64, u64, u64);

impl From<MeterGrantList> for MeterGrant {
    fn from((meter, grant, used, left, ends_ms): MeterGrantList) -> Self {
        Self {
            meter,
            grant,
            used,
            left,
            ends_ms,
        }
    }
}

impl From<MeterGrant> for MeterGrantList {
    fn from(one: MeterGrant) -> Self {
        (one.meter, one.grant, one.used, one.left, one.ends_ms)
    }
}

/// A grant of a meter of requests in flight: `[meter, grant, left]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u64, u64)", into = "(u32, u64, u64)")]
pub struct LeaseGrant {
    /// The index in [`StepRequest::meters`].
    pub meter: u32,
    /// The leases granted, on top of what the message said to be held.
    pub grant: u64,
    /// The leases that nobody has, after this grant.
    pub left: u64,
}

impl From<(u32, u64, u64)> for LeaseGrant {
    fn from((meter, grant, left): (u32, u64, u64)) -> Self {
        Self { meter, grant, left }
    }
}

impl From<LeaseGrant> for (u32, u64, u64) {
    fn from(one: LeaseGrant) -> Self {
        (one.meter, one.grant, one.left)
    }
}

/// The meter that refused, with the time until it may grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRefusal {
    /// The index in [`StepRequest::meters`].
    pub meter: u32,
    /// The time until the same ask may be granted, in milliseconds; [`u32::MAX`] for never.
    pub wait_ms: u32,
    /// The obstacle.
    pub by: StepObstacle,
}

/// The obstacle to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepObstacle {
    /// The limit is used up: the wait is when enough of it has expired.
    Used,
    /// Other edges hold the rest: they speak within the wait.
    Held,
    /// The store lost writes and grants nothing for a while.
    Closed,
}

#[cfg(test)]
mod tests;
