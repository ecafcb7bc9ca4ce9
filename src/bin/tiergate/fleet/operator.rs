//! The calls of operators: a scale on the limits of all edges, resets, and an account's use over all
//! edges. Bodies, answers and errors are those of the filter's admin API.

use super::batch::Batches;
use super::directory::StoredAccount;
use super::orders::{OrderBook, OrderError};
use super::store::Live;
use redis::Value;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tiergate::admin::overload::{self, OverloadStatus};
use tiergate::admin::{Problem, known_tier};
use tiergate::config::Config;
use tiergate::fleet::hex::{AccountId, Hex};
use tiergate::fleet::orders::LoadOrder;
use tiergate::limits::Scale;

/// An account in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUse {
    /// The generation: a reset begins another one.
    generation: u32,
    /// The time for which nothing is granted after a loss of the store, in milliseconds.
    closed_ms: u64,
    /// The used and held amounts, by meter.
    #[serde(default)]
    meters: BTreeMap<String, StoredMeter>,
    /// The edges that hold something, by id.
    #[serde(default)]
    edges: BTreeMap<String, EdgeShare>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredMeter {
    /// The use by edges, as far as they told; 0 for requests in flight, which are held.
    used: u64,
    /// The amount that edges hold: allowances that are not told to be spent, or requests in flight.
    held: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EdgeShare {
    /// The time since the edge last spoke of the account.
    seen_ms_ago: u64,
    /// The amounts that it holds, by meter.
    held: BTreeMap<String, u64>,
}

/// The reason why an operator's call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// As at the filter.
    #[error(transparent)]
    Call(#[from] Problem),
    /// The store is away, or the account's key is not ours.
    #[error("the store can't be used: {0}")]
    Store(String),
}

impl From<OrderError> for CallError {
    fn from(error: OrderError) -> Self {
        Self::Store(error.to_string())
    }
}

/// The calls, for the namespace of a config.
#[derive(Clone, Copy)]
pub struct Operator<'a> {
    pub batches: &'a Batches,
    pub config: &'a Config,
}

impl Operator<'_> {
    pub fn live(&self) -> Result<Arc<Live>, CallError> {
        self.batches.store.live().map_err(CallError::Store)
    }

    /// Returns the scale that holds on all edges.
    pub async fn load(&self) -> Result<OverloadStatus, CallError> {
        let live = self.live()?;
        let (store, ns) = (&self.batches.store, &self.config.namespace);
        let book = self.batches.orders.book(store, &live, ns).await?;
        Ok(self.status(&book))
    }

    /// Sets a scale on the limits of all edges.
    pub async fn put_load(&self, body: &[u8]) -> Result<OverloadStatus, CallError> {
        let put = overload::put(body)?;
        for (name, _) in &put.tiers {
            known_tier(&self.config.tiers, name, &format!("tiers.{name}"))?;
        }
        let tiers = put.tiers.iter();
        self.order(&LoadOrder {
            scale: put.scale.millionths(),
            tiers: tiers
                .map(|(name, scale)| (name.clone(), scale.millionths()))
                .collect(),
            ttl_ms: put.ttl.as_millis(),
        })
        .await
    }

    /// Ends the scale on all edges.
    pub async fn delete_load(&self) -> Result<OverloadStatus, CallError> {
        self.order(&LoadOrder::default()).await
    }

    async fn order(&self, order: &LoadOrder) -> Result<OverloadStatus, CallError> {
        let live = self.live()?;
        let (store, ns) = (&self.batches.store, &self.config.namespace);
        let book = self
            .batches
            .orders
            .set_load(store, &live, ns, order)
            .await?;
        Ok(self.status(&book))
    }

    fn status(&self, book: &OrderBook) -> OverloadStatus {
        let Some(load) = book.load() else {
            let tiers = self.config.tiers.iter();
            return OverloadStatus {
                in_force: tiers.map(|tier| (tier.name.clone(), 1.0)).collect(),
                ..OverloadStatus::default()
            };
        };
        let part = |millionths| Scale::from_millionths(millionths).as_f64();
        let tiers: BTreeMap<String, f64> = load
            .tiers
            .iter()
            .map(|(name, scale)| (name.clone(), part(*scale)))
            .collect();
        let scale = part(load.scale);
        let of = |name: &String| tiers.get(name).copied().unwrap_or(scale);
        let all = self.config.tiers.iter();
        OverloadStatus {
            scale,
            ttl_ms: Some(load.ttl_ms),
            set_ms_ago: Some(book.load_age),
            auto: None,
            in_force: all
                .map(|tier| (tier.name.clone(), of(&tier.name)))
                .collect(),
            tiers,
        }
    }

    /// Begins the use of an account anew, in the store and on all edges.
    pub async fn reset(&self, id: &str) -> Result<serde_json::Value, CallError> {
        let live = self.live()?;
        let (store, ns) = (&self.batches.store, &self.config.namespace);
        let alias = self.stored(id).await?;
        let target = alias.as_ref().and_then(StoredAccount::target);
        let target = target.unwrap_or(id);
        let account = (ns.as_str(), target, self.account_id(target));
        let generation = self.batches.orders.reset(store, &live, account).await?;
        Ok(json!({"id": id, "reset": true, "generation": generation}))
    }

    /// Returns an account's use over all edges; `None` for one that the store does not know.
    pub async fn account_use(&self, id: &str) -> Result<Option<AccountUse>, CallError> {
        let live = self.live()?;
        let store = &self.batches.store;
        let key = super::step::key(&self.config.namespace, self.account_id(id));
        let reply = store.run(&live, &store.look, &key, &[]).await;
        let reply = reply.map_err(|error| CallError::Store(error.to_string()))?;
        read(&reply).map_err(CallError::Store)
    }

    /// Returns an account's name in the store.
    fn account_id(&self, id: &str) -> AccountId {
        let fleet = self.config.fleet.as_ref();
        Hex(fleet.map_or([0; 16], |fleet| fleet.account(id.as_bytes()).0))
    }
}

/// Reads the reply of `look.lua`.
fn read(reply: &Value) -> Result<Option<AccountUse>, String> {
    let Value::Array(list) = reply else {
        return Err("the reply has another form".to_owned());
    };
    match list.as_slice() {
        [Value::BulkString(kind), Value::BulkString(text)] if kind == b"done" => {
            serde_json::from_slice(text).map_err(|error| error.to_string())
        }
        [_, Value::BulkString(why)] => Err(String::from_utf8_lossy(why).into_owned()),
        _ => Err("the reply has another form".to_owned()),
    }
}
