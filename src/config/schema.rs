//! The config as it is written: field names and types, nothing checked beyond one value.

use super::value::{Count, Duration, Money, Offset};
use super::{Mode, OnFault, Settle};
use crate::json::{Named, Object};
use crate::limit::Limits;
use crate::usage::Cached;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde_json::Value;
use std::fmt;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Root {
    pub namespace: Option<String>,
    pub mode: Option<Mode>,
    pub on_fault: Option<OnFault>,
    pub tiers: Option<Vec<Object<Tier>>>,
    pub account: Option<Vec<Object<Source>>>,
    pub tier: Option<Vec<TierEntry>>,
    pub unknown_tier: Option<String>,
    pub strip_headers: Option<bool>,
    pub windows: Object<Windows>,
    pub tokens: Object<Tokens>,
    pub headers: Option<Vec<String>>,
    pub concurrency_retry_after: Option<Duration>,
    /// A part of the contract that this version does not have: named, so that it is refused as such
    /// and not as misspelt.
    pub routes: Option<Vec<Value>>,
    pub capacity: Object<Capacity>,
    pub admin: Option<Object<Admin>>,
    /// Null: no voucher.
    #[serde(deserialize_with = "present")]
    pub voucher: Option<Option<Object<Voucher>>>,
    pub not_ready: Option<String>,
    pub directory: Option<Object<Feed>>,
    pub usage_path: Option<String>,
    pub load: Option<Object<Load>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    pub from: LoadOrigin,
    pub start: Option<f64>,
    pub full: Option<f64>,
    pub floor: Option<f64>,
    pub weights: Option<Named<Count>>,
    pub interval: Option<Duration>,
    pub smooth: Option<Duration>,
    pub hold: Option<Duration>,
}

/// An object with a header, or the word "overload".
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum LoadOrigin {
    Header(String),
    Overload,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub path: String,
    pub token_sha256: Option<String>,
    pub insecure: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Voucher {
    pub at: Money,
    pub amount: Money,
}

/// Tells a field that is null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    pub name: String,
    pub recharge: Money,
    pub limits: Object<Limits>,
    pub wait: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Source {
    pub header: Option<String>,
    pub property: Option<Vec<String>>,
    pub query: Option<String>,
    pub digest: Option<bool>,
    pub prefix: Option<String>,
    #[serde(rename = "as")]
    pub reading: Option<Reading>,
    pub shared_data: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reading {
    Name,
    Recharge,
}

/// An object, or the word "directory".
#[derive(Debug)]
pub(super) enum TierEntry {
    Directory,
    Source(Source),
}

struct TierEntryVisitor;

impl<'de> Visitor<'de> for TierEntryVisitor {
    type Value = TierEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with header, property or shared_data, or \"directory\"")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<TierEntry, E> {
        if value == "directory" {
            return Ok(TierEntry::Directory);
        }
        Err(E::invalid_value(de::Unexpected::Str(value), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TierEntry, A::Error> {
        Source::deserialize(MapAccessDeserializer::new(map)).map(TierEntry::Source)
    }
}

impl<'de> Deserialize<'de> for TierEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TierEntryVisitor)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Windows {
    pub minute: Option<Duration>,
    pub day: Option<Object<Day>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Day {
    pub calendar: Option<Offset>,
    pub rolling: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tokens {
    pub settle: Option<Settle>,
    pub bytes_per_token: Option<Count>,
    pub context: Option<Count>,
    pub prompt: Option<Count>,
    pub completion: Option<Count>,
    pub read_body: Option<bool>,
    pub body_limit: Option<Count>,
    pub include_usage: Option<bool>,
    pub cached: Option<Cached>,
    pub header: Option<String>,
    pub identity: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Feed {
    pub cluster: String,
    pub authority: String,
    pub path: String,
    pub interval: Duration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Capacity {
    pub accounts: Option<Count>,
    pub directory: Option<Count>,
}
