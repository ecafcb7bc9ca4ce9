//! Limits as they are written: by name, a number or an object with a meaning of its own.

use super::kinds::{Counted, LimitKind, Per};
use super::per_limit::{Limit, Limits};
use super::units::{CENT, Unit};
use crate::json::values::Duration;
use crate::json::{Invalid, Named, decimal, nearest};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::num::NonZeroU64;

/// One written limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnLimit {
    /// The number.
    pub size: Size,
    /// The meaning, if it was written; else that of the name.
    pub counted: Option<Counted>,
}

/// The number of a written limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A whole number, of dollars for a limit on money; or no limit.
    Whole(Limit),
    /// Money with decimals, in cents.
    Cents(u64),
}

/// The largest limit on money, in cents: ten million dollars.
const MOST_CENTS: u64 = 1_000_000_000;

impl Size {
    /// Returns the limit on a unit; `None` where it can't be one.
    fn limit(self, counted: Counted) -> Option<Limit> {
        let is_money = counted.is_money();
        let cents = match self {
            Self::Whole(limit) if !is_money => return Some(limit),
            Self::Whole(Limit::Unlimited) => return Some(Limit::Unlimited),
            Self::Whole(Limit::Finite(dollars)) => dollars.get().checked_mul(100)?,
            Self::Cents(_) if !is_money => return None,
            Self::Cents(cents) => cents,
        };
        let amount = cents.checked_mul(CENT).filter(|_| cents <= MOST_CENTS)?;
        NonZeroU64::new(amount).map(Limit::Finite)
    }

    fn cents(text: &str) -> Option<Self> {
        decimal::parse(text.as_bytes(), 2).map(Self::Cents)
    }
}

/// The object form.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct LimitObject {
    /// The unit that counts.
    unit: UnitName,
    /// The window or period: `second`, `minute`, `hour`, `day`, `week`, `month`, or a duration.
    per: PerText,
    /// The limit.
    limit: Size,
}

#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum UnitName {
    /// Requests.
    Requests,
    /// Weighted tokens of all kinds.
    Tokens,
    /// Input tokens, cached ones too.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// US dollars, by the prices of families.
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

impl From<Unit> for UnitName {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Requests => Self::Requests,
            Unit::Tokens => Self::Tokens,
            Unit::InputTokens => Self::InputTokens,
            Unit::OutputTokens => Self::OutputTokens,
            Unit::Usd => Self::Usd,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct PerText(Per);

impl Serialize for PerText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Per::Second => serializer.serialize_str("second"),
            Per::Minute => serializer.serialize_str("minute"),
            Per::Hour => serializer.serialize_str("hour"),
            Per::Day => serializer.serialize_str("day"),
            Per::Week => serializer.serialize_str("week"),
            Per::Month => serializer.serialize_str("month"),
            Per::Custom(length) => serializer.collect_str(&length),
        }
    }
}

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

/// The maximum number of limits of a tier or an account; and of all that one request meets.
pub const MOST: usize = 12;

const A_NUMBER: &str = "a whole number from 1 to 9007199254740991 or \"unlimited\"; for a usd \
                        limit an amount with at most two decimals";

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A_NUMBER)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Size, E> {
        Limit::deserialize(value.into_deserializer()).map(Size::Whole)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Size, E> {
        Limit::deserialize(value.into_deserializer()).map(Size::Whole)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Size, E> {
        match value.fract() == 0.0 {
            true => Limit::deserialize(value.into_deserializer()).map(Size::Whole),
            // The shortest decimal of this number is the written one.
            false => Size::cents(&value.to_string())
                .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Size, E> {
        match Size::cents(value) {
            Some(size) => Ok(size),
            None => Limit::deserialize(value.into_deserializer()).map(Size::Whole),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct OwnLimitVisitor;

impl<'de> Visitor<'de> for OwnLimitVisitor {
    type Value = OwnLimit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{A_NUMBER}, or an object with unit, per and limit")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<OwnLimit, E> {
        SizeVisitor.visit_u64(value).map(plain)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<OwnLimit, E> {
        SizeVisitor.visit_i64(value).map(plain)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<OwnLimit, E> {
        SizeVisitor.visit_f64(value).map(plain)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<OwnLimit, E> {
        SizeVisitor.visit_str(value).map(plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OwnLimit, A::Error> {
        let object = LimitObject::deserialize(MapAccessDeserializer::new(map))?;
        let own = OwnLimit {
            size: object.limit,
            counted: Some(Counted::Sum(object.unit.unit(), object.per.0)),
        };
        Ok(own)
    }
}

const fn plain(size: Size) -> OwnLimit {
    OwnLimit {
        size,
        counted: None,
    }
}

impl<'de> Deserialize<'de> for OwnLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OwnLimitVisitor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(limit) => limit.serialize(serializer),
            Self::Cents(cents) => {
                let (dollars, cents) = (cents.div_euclid(100), cents.rem_euclid(100));
                serializer.collect_str(&format_args!("{dollars}.{cents:02}"))
            }
        }
    }
}

/// Written as it was read.
impl Serialize for OwnLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.counted {
            None | Some(Counted::Leases) => self.size.serialize(serializer),
            Some(Counted::Sum(unit, per)) => LimitObject {
                unit: unit.into(),
                per: PerText(per),
                limit: self.size,
            }
            .serialize(serializer),
        }
    }
}

impl OwnLimit {
    /// Returns the kind of the limit of this name, for all requests of an account.
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
            (None, Some(counted)) => LimitKind::named(name, counted).ok_or_else(too_many_names),
            (None, None) => {
                let known: Vec<&str> = LimitKind::known_names().collect();
                let near = nearest(name, known.iter().copied());
                let near = near.map(|near| format!(" (did you mean `{near}`?)"));
                Err(format!(
                    "unknown limit `{name}`{}, expected one of {}, or an object with unit, per and \
                     limit",
                    near.unwrap_or_default(),
                    known.join(", ")
                ))
            }
        }
    }

    /// Returns the limit as one of this kind.
    ///
    /// # Errors
    /// The problem, in words.
    pub(super) fn limit(&self, kind: LimitKind) -> Result<Limit, String> {
        let limit = self.size.limit(kind.counted());
        limit.ok_or_else(|| match kind.counted().is_money() {
            true => "an amount from \"0.01\" to \"10000000\" USD is allowed".to_owned(),
            false => format!("a limit on {} is a whole number", kind.in_words()),
        })
    }
}

fn too_many_names() -> String {
    "16384 names of limits and families are in use in this VM: reuse names, or restart Envoy"
        .to_owned()
}

/// Checks the limits of a tier, which must name the four necessary ones.
///
/// # Errors
/// [`Invalid`] at `path`.
pub fn tier_limits(path: &str, written: &Named<OwnLimit>) -> Result<Limits, Invalid> {
    let Named(all) = written;
    for name in LimitKind::NECESSARY {
        if written.get(name).is_none() {
            let problem = format!("missing field `{name}`: \"unlimited\" where there is no limit");
            return Err(Invalid::new(path, problem));
        }
    }
    limits_at(path, all, None)
}

/// Checks the limits of a family of models.
///
/// # Errors
/// [`Invalid`] at `path`.
pub fn model_limits(path: &str, model: &str, written: &Named<OwnLimit>) -> Result<Limits, Invalid> {
    limits_at(path, &written.0, Some(model))
}

fn limits_at(
    path: &str,
    written: &[(String, OwnLimit)],
    model: Option<&str>,
) -> Result<Limits, Invalid> {
    at_most(path, written.len())?;
    let kinds = written.iter();
    kinds
        .map(|(name, own)| limit_at(path, name, own, model))
        .collect()
}

/// Checks a number of limits.
///
/// # Errors
/// [`Invalid`] at `path`, for more than 12.
pub fn at_most(path: &str, count: usize) -> Result<(), Invalid> {
    if count <= MOST {
        return Ok(());
    }
    let problem = format!("{count} limits: at most {MOST} are allowed");
    Err(Invalid::new(path, problem))
}

pub(super) fn limit_at(
    path: &str,
    name: &str,
    own: &OwnLimit,
    model: Option<&str>,
) -> Result<(LimitKind, Limit), Invalid> {
    let named = |problem| Invalid::new(format!("{path}.{name}"), problem);
    let kind = own.kind(name).map_err(named)?;
    let limit = own.limit(kind).map_err(named)?;
    let kind = match model {
        None => Some(kind),
        Some(model) => kind.of_model(model),
    };
    let kind = kind.ok_or_else(|| named(too_many_names()))?;
    Ok((kind, limit))
}

#[cfg(feature = "cli")]
crate::json::schema::has_schema!(PerText, "Per", {
    "anyOf": [
        {"enum": ["second", "minute", "hour", "day", "week", "month"]},
        {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}
    ]
});

#[cfg(feature = "cli")]
crate::json::schema::has_schema!(Size, "Size", {
    "description": "A whole number, \"unlimited\", or an amount in USD for a limit on money.",
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_u64},
        {"const": "unlimited"},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,2})?$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 10_000_000}
    ]
});

#[cfg(feature = "cli")]
impl schemars::JsonSchema for OwnLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let size = generator.subschema_for::<Size>();
        let object = generator.subschema_for::<LimitObject>();
        schemars::json_schema!({
            "description": "A known limit's size, or any other limit with what it counts.",
            "anyOf": [size, object]
        })
    }
}
