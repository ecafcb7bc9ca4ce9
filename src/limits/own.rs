//! Limits as they are written: by name, a number or an object with a meaning of its own.

use super::kinds::{Counted, Limit, LimitKind, Limits, Per};
use super::units::Unit;
use crate::json::values::Duration;
use crate::json::{Invalid, Named};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, Visitor};
use std::fmt;

/// One written limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnLimit {
    /// The limit.
    pub limit: Limit,
    /// The meaning, where the object form says it.
    pub counted: Option<Counted>,
}

/// The object form.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitObject {
    #[serde(deserialize_with = "unit_of_this_version")]
    unit: UnitName,
    per: PerText,
    limit: Limit,
}

/// Refuses the unit of the contract that this version lacks.
fn unit_of_this_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnitName, D::Error> {
    match UnitName::deserialize(deserializer)? {
        UnitName::Usd => Err(de::Error::custom(
            "\"usd\" is not in this version: use requests, tokens, input_tokens or output_tokens",
        )),
        unit => Ok(unit),
    }
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnitName {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    Usd,
}

impl UnitName {
    const fn unit(self) -> Unit {
        match self {
            Self::Requests => Unit::Requests,
            Self::Tokens => Unit::Tokens,
            Self::InputTokens => Unit::InputTokens,
            Self::OutputTokens => Unit::OutputTokens,
            Self::Usd => Unit::Usd,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct PerText(Per);

impl PerText {
    fn parse(text: &str) -> Option<Self> {
        let named = match text {
            "second" => Per::Second,
            "minute" => Per::Minute,
            "hour" => Per::Hour,
            "day" => Per::Day,
            "week" => Per::Week,
            "month" => Per::Month,
            _ => {
                let Duration(length) = Duration::parse(text)?;
                let fits = u32::try_from(length.as_millis()).is_ok_and(|ms| ms >= 60);
                return fits.then_some(Self(Per::Custom(length)));
            }
        };
        Some(Self(named))
    }
}

impl<'de> Deserialize<'de> for PerText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let allowed = "second, minute, hour, day, week, month, or a duration from \"60ms\" to \
                           \"1193h\"";
            de::Error::invalid_value(de::Unexpected::Str(&text), &allowed)
        })
    }
}

/// The maximum number of limits of a tier or an account, and of both together.
pub const MOST: usize = 12;

struct OwnLimitVisitor;

impl<'de> Visitor<'de> for OwnLimitVisitor {
    type Value = OwnLimit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a whole number from 1 to {}, \"unlimited\", or an object with unit, per and limit",
            Limit::MAX
        )
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<OwnLimit, E> {
        plain(Limit::deserialize(value.into_deserializer()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<OwnLimit, E> {
        plain(Limit::deserialize(value.into_deserializer()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<OwnLimit, E> {
        plain(Limit::deserialize(value.into_deserializer()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<OwnLimit, E> {
        plain(Limit::deserialize(value.into_deserializer()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OwnLimit, A::Error> {
        let object = LimitObject::deserialize(MapAccessDeserializer::new(map))?;
        Ok(OwnLimit {
            limit: object.limit,
            counted: Some(Counted::Sum(object.unit.unit(), object.per.0)),
        })
    }
}

fn plain<E>(limit: Result<Limit, E>) -> Result<OwnLimit, E> {
    limit.map(|limit| OwnLimit {
        limit,
        counted: None,
    })
}

impl<'de> Deserialize<'de> for OwnLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OwnLimitVisitor)
    }
}

impl OwnLimit {
    /// Returns the kind of the limit of this name.
    ///
    /// # Errors
    /// The problem, in words.
    pub fn kind(&self, name: &str) -> Result<LimitKind, String> {
        match (LimitKind::known(name), self.counted) {
            (Some(kind), None) => Ok(kind),
            (Some(kind), Some(counted)) if kind.counted() == counted => Ok(kind),
            (Some(kind), Some(_)) => Err(format!(
                "{name} counts {}: another meaning needs another name",
                kind.in_words()
            )),
            (None, _) if !LimitKind::is_name(name) => {
                Err("a name has 1 to 32 of a to z, 0 to 9 and _".to_owned())
            }
            (None, Some(counted)) => LimitKind::named(name, counted).ok_or_else(|| {
                "4096 names of limits are in use in this VM: reuse names, or restart Envoy"
                    .to_owned()
            }),
            (None, None) => {
                let known: Vec<&str> = LimitKind::known_names().collect();
                Err(format!(
                    "{name:?} is not known: one of {}, or an object with unit, per and limit",
                    known.join(", ")
                ))
            }
        }
    }
}

/// Checks the limits of a tier, which must name the four necessary ones.
///
/// # Errors
/// [`Invalid`] at `path`.
pub fn tier_limits(path: &str, written: &Named<OwnLimit>) -> Result<Limits, Invalid> {
    let Named(written) = written;
    for name in LimitKind::NECESSARY {
        if !written.iter().any(|(written, _)| written == name) {
            let problem = format!("missing field `{name}`: \"unlimited\" where there is no limit");
            return Err(Invalid::new(path, problem));
        }
    }
    at_most(path, written.len())?;
    let kinds = written.iter();
    kinds
        .map(|(name, own)| Ok((kind_at(path, name, own)?, own.limit)))
        .collect()
}

fn at_most(path: &str, count: usize) -> Result<(), Invalid> {
    if count <= MOST {
        return Ok(());
    }
    let problem = format!("{count} limits: at most {MOST} are allowed");
    Err(Invalid::new(path, problem))
}

fn kind_at(path: &str, name: &str, own: &OwnLimit) -> Result<LimitKind, Invalid> {
    let named = |problem| Invalid::new(format!("{path}.{name}"), problem);
    own.kind(name).map_err(named)
}

/// An account's own limits, by name. A plain number keeps the meaning of the tier's limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(pub Vec<(String, OwnLimit)>);

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Named::deserialize(deserializer).map(|Named(all)| Self(all))
    }
}

impl Overrides {
    /// True when the account has none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the names, and the meanings that limits have by themselves. A plain number of another
    /// name takes its meaning from a tier.
    ///
    /// # Errors
    /// [`Invalid`] at `limits`.
    pub fn check(&self) -> Result<(), Invalid> {
        at_most("limits", self.0.len())?;
        for (name, own) in &self.0 {
            let takes_the_tiers = own.counted.is_none() && LimitKind::is_name(name);
            if !takes_the_tiers {
                kind_at("limits", name, own)?;
            }
        }
        Ok(())
    }

    /// Checks the limits beside those of a tier: each has a meaning there, or one of its own, and
    /// they are at most 12 together.
    ///
    /// # Errors
    /// [`Invalid`] at `limits`.
    pub fn check_in(&self, tier: &Limits) -> Result<(), Invalid> {
        for (name, own) in &self.0 {
            let is_in_tier = own.counted.is_none() && of_name(tier, name).is_some();
            if !is_in_tier {
                kind_at("limits", name, own)?;
            }
        }
        let together = self.over(tier).iter().count();
        if together > MOST {
            let problem = format!("{together} limits with those of the tier: at most {MOST}");
            return Err(Invalid::new("limits", problem));
        }
        Ok(())
    }

    /// Returns the tier's limits, replaced where the account has its own. A number whose name has
    /// no meaning in the tier is left out.
    pub fn over(&self, tier: &Limits) -> Limits {
        let mut limits = tier.clone();
        for (name, own) in &self.0 {
            let tiers = of_name(tier, name)
                .filter(|kind| own.counted.is_none_or(|counted| counted == kind.counted()));
            if let Some(kind) = tiers.or_else(|| own.kind(name).ok()) {
                limits.remove_name(name);
                limits.set(kind, own.limit);
            }
        }
        limits
    }
}

fn of_name(limits: &Limits, name: &str) -> Option<LimitKind> {
    let mut kinds = limits.iter().map(|(kind, _)| kind);
    kinds.find(|kind| kind.as_str() == name)
}
