//! `on_fault`: the action for requests while the ledger can't be used, by the cause.

use crate::ledger::FaultCause;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;

/// The action for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// Forwards it, without the count that failed.
    #[default]
    Allow,
    /// Refuses it with a 503.
    Deny,
}

/// The action for each cause of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnFault {
    /// No VM slot is free, so leases can't be counted; touches concurrency alone.
    pub no_slot: FaultAction,
    /// Other writers were faster at each try.
    pub lost_races: FaultAction,
    /// The host failed.
    pub host: FaultAction,
    /// The stored value is of a newer layout.
    pub newer_layout: FaultAction,
}

impl OnFault {
    const fn all(action: FaultAction) -> Self {
        Self {
            no_slot: action,
            lost_races: action,
            host: action,
            newer_layout: action,
        }
    }

    /// Returns the action for a cause.
    pub const fn action(&self, cause: FaultCause) -> FaultAction {
        match cause {
            FaultCause::NoSlot => self.no_slot,
            FaultCause::LostRaces => self.lost_races,
            FaultCause::Host => self.host,
            FaultCause::NewerLayout => self.newer_layout,
        }
    }
}

/// The object of causes as it is written.
#[derive(Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct OnFaultConfig {
    /// No VM slot is free, so leases can't be counted.
    no_slot: Option<FaultAction>,
    /// Other writers were faster at each try.
    lost_races: Option<FaultAction>,
    /// The host failed.
    host: Option<FaultAction>,
    /// The stored value is of a newer version.
    newer_layout: Option<FaultAction>,
}

struct OnFaultVisitor;

impl<'de> Visitor<'de> for OnFaultVisitor {
    type Value = OnFault;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "\"allow\", \"deny\", or an object with no_slot, lost_races, host and newer_layout",
        )
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<OnFault, E> {
        match value {
            "allow" => Ok(OnFault::all(FaultAction::Allow)),
            "deny" => Ok(OnFault::all(FaultAction::Deny)),
            _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnFault, A::Error> {
        let written = OnFaultConfig::deserialize(MapAccessDeserializer::new(map))?;
        Ok(OnFault {
            no_slot: written.no_slot.unwrap_or_default(),
            lost_races: written.lost_races.unwrap_or_default(),
            host: written.host.unwrap_or_default(),
            newer_layout: written.newer_layout.unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for OnFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnFaultVisitor)
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for OnFault {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OnFault".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let action = generator.subschema_for::<FaultAction>();
        let by_cause = generator.subschema_for::<OnFaultConfig>();
        schemars::json_schema!({"anyOf": [action, by_cause]})
    }
}
