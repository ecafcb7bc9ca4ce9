//! A limit in JSON: a positive integer or "unlimited".

use super::per_limit::Limit;
use crate::json::as_integer;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::num::NonZeroU64;

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.finite() {
            Some(n) => serializer.serialize_u64(n),
            None => serializer.serialize_str("unlimited"),
        }
    }
}

struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a whole number from 1 to {} or \"unlimited\"",
            Limit::MAX
        )
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Limit, E> {
        NonZeroU64::new(value)
            .filter(|n| n.get() <= Limit::MAX)
            .map(Limit::Finite)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Limit, E> {
        match as_integer(value) {
            Some(n) => self.visit_u64(n),
            None => Err(E::invalid_value(de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Limit, E> {
        if value == "unlimited" {
            return Ok(Limit::Unlimited);
        }
        Err(E::invalid_value(de::Unexpected::Str(value), &self))
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}
