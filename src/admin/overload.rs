//! The JSON of `{p}/load`: the manual lowering, and the effective scales.

use super::body::parse;
use super::checks::known_tier;
use super::{AdminResponse, Api, LOGGED_CHARS, Problem};
use crate::http::visible::visible;
use crate::json::Named;
use crate::json::values::null_as_default;
use crate::limits::Scale;
use crate::overload::{Controller, LONGEST, ManualScale, TierScales};
use crate::time::Span;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The minimum time of a manual lowering.
const SHORTEST: Span = Span::from_secs(1);
/// The time of a manual lowering whose body has no `ttl`.
const DEFAULT_TTL: Span = Span::from_secs(600);

/// `PUT load`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutManualBody {
    scale: Option<ScaleValue>,
    tiers: Option<Named<ScaleValue>>,
    ttl: Option<crate::json::values::Duration>,
}

/// A manual lowering to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutManual {
    /// The scale of all tiers that are not in `tiers`.
    pub scale: Scale,
    /// The scales of single tiers.
    pub tiers: TierScales,
    /// The time until the lowering expires.
    pub ttl: Span,
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug)]
struct ScaleValue(Scale);

struct ScaleVisitor;

impl Visitor<'_> for ScaleVisitor {
    type Value = ScaleValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to 1, such as 0.5")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<ScaleValue, E> {
        Scale::from_f64(value)
            .map(ScaleValue)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<ScaleValue, E> {
        match value {
            0 => Ok(ScaleValue(Scale::from_millionths(0))),
            1 => Ok(ScaleValue(Scale::ONE)),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(value), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for ScaleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(ScaleVisitor)
    }
}

/// Reads the body of a `PUT load`.
///
/// # Errors
/// [`Problem::BadBody`] with the JSON path.
pub fn put(body: &[u8]) -> Result<PutManual, Problem> {
    let body: PutManualBody = parse(body)?;
    if body.scale.is_none() && body.tiers.is_none() {
        return Err(Problem::body("$", "has at least one of scale and tiers"));
    }
    let ttl = body.ttl.map_or(DEFAULT_TTL, |ttl| ttl.0);
    if !(SHORTEST..=LONGEST).contains(&ttl) {
        let problem = "out of range: \"1s\" to \"24h\" is allowed";
        return Err(Problem::body("ttl", problem));
    }
    let Named(tiers) = body.tiers.unwrap_or_default();
    Ok(PutManual {
        scale: body.scale.map_or(Scale::ONE, |scale| scale.0),
        tiers: tiers
            .into_iter()
            .map(|(name, scale)| (name, scale.0))
            .collect(),
        ttl,
    })
}

/// The effective scales and their origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverloadStatus {
    /// The manual scale of all tiers that are not in `tiers`; 1 without a lowering.
    pub scale: f64,
    /// The manual scales by tier.
    pub tiers: BTreeMap<String, f64>,
    /// The time until the manual lowering expires; null without one.
    pub ttl_ms: Option<u64>,
    /// The age of the manual lowering; null without one.
    pub set_ms_ago: Option<u64>,
    /// The overload loop; null when this config has no `load` and no other filter of the namespace
    /// reported one.
    pub auto: Option<AdaptiveView>,
    /// The effective scale of each tier's concurrency, and of limits that slide within an hour.
    pub in_force: BTreeMap<String, f64>,
}

impl Default for OverloadStatus {
    /// The status without any lowering.
    fn default() -> Self {
        Self {
            scale: 1.0,
            tiers: BTreeMap::new(),
            ttl_ms: None,
            set_ms_ago: None,
            auto: None,
            in_force: BTreeMap::new(),
        }
    }
}

/// The state of the overload loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveView {
    /// `header` or `overload`; null from older filters whose own config has no `load`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub from: String,
    /// The smoothed load, or the share of overloaded responses.
    pub load: Option<f64>,
    /// The pressure on the tiers: 0 to 1.
    pub pressure: Option<f64>,
}

impl Api<'_> {
    /// Returns the effective scales and their origin.
    pub(super) fn overload_status(&self) -> OverloadStatus {
        let (state, policy) = self.limiter.overload().state();
        let now = self.host.mono();
        let manual = state.manual.as_ref().filter(|s| now < s.ends);
        let named = manual.map(|setting| &setting.tiers);
        let named = named.into_iter().flatten();
        let is_fresh = state.adaptive.is_fresh(now);
        let ours = policy.map(|policy| policy.origin.kind());
        let from = state.adaptive.ownership.kind.filter(|_| is_fresh).or(ours);
        let controller = match is_fresh {
            true => state.adaptive.controller,
            false => Controller::default(),
        };
        let adaptive = from.map(|from| AdaptiveView {
            from: from.as_str().to_owned(),
            load: Some(controller.load.as_f64()),
            pressure: Some(controller.pressure.as_f64()),
        });
        let in_force = self.config().tiers.iter().map(|tier| {
            let scale = state.lowering(&tier.name, policy).scale(now);
            (tier.name.clone(), scale.as_f64())
        });
        let (mut of_tiers, mut all) = (BTreeMap::new(), BTreeMap::new());
        of_tiers.extend(named.map(|(n, scale)| (n.clone(), scale.as_f64())));
        all.extend(in_force);
        OverloadStatus {
            scale: manual.map_or(1.0, |setting| setting.scale.as_f64()),
            tiers: of_tiers,
            ttl_ms: manual.map(|setting| setting.ends.since(now).as_millis()),
            set_ms_ago: manual.map(|setting| now.since(setting.set).as_millis()),
            auto: adaptive,
            in_force: all,
        }
    }

    pub(super) fn get_overload(&mut self) -> Result<AdminResponse, Problem> {
        self.limiter.overload_mut().refresh(self.host)?;
        Ok(AdminResponse::ok(&self.overload_status()))
    }

    pub(super) fn put_manual(&mut self, body: &[u8]) -> Result<AdminResponse, Problem> {
        let put = put(body)?;
        for (name, _) in &put.tiers {
            known_tier(&self.config().tiers, name, &format!("tiers.{name}"))?;
        }
        self.limiter.overload_mut().set_manual(self.host, |now| {
            Some(ManualScale {
                scale: put.scale,
                tiers: put.tiers.clone(),
                set: now,
                ends: now.after(put.ttl),
            })
        })?;
        let body = visible(body, LOGGED_CHARS);
        self.writes.push(format!("PUT load {body}"));
        Ok(AdminResponse::ok(&self.overload_status()))
    }

    pub(super) fn delete_manual(&mut self) -> Result<AdminResponse, Problem> {
        self.limiter
            .overload_mut()
            .set_manual(self.host, |_| None)?;
        self.writes.push("DELETE load".to_owned());
        Ok(AdminResponse::ok(&self.overload_status()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_a_scale_or_scales_by_tier_for_a_time() {
        let millionths = Scale::from_millionths;
        let load = put(br#"{"scale": 0.5, "tiers": {"tier0": 0.2}, "ttl": "10m"}"#).unwrap();
        assert_eq!(load.scale, millionths(500_000));
        assert_eq!(load.tiers, [("tier0".to_owned(), millionths(200_000))]);
        assert_eq!(load.ttl, Span::from_secs(600));
        let load = put(br#"{"tiers": {"tier0": 0}}"#).unwrap();
        assert_eq!((load.scale, load.ttl), (Scale::ONE, DEFAULT_TTL));
        for (body, path) in [
            ("", "$"),
            ("{}", "$"),
            (r#"{"ttl": "1m"}"#, "$"),
            (r#"{"scale": 1.01}"#, "scale"),
            (r#"{"scale": 2}"#, "scale"),
            (r#"{"scale": -0.5}"#, "scale"),
            (r#"{"scale": "0.5"}"#, "scale"),
            (r#"{"scale": 1e9}"#, "scale"),
            (r#"{"scale": NaN}"#, "scale"),
            (r#"{"scale": 0.5, "scale": 0.6}"#, "$"),
            (r#"{"tiers": {"tier0": 7}}"#, "tiers.tier0"),
            (r#"{"tiers": {"tier0": 0.1, "tier0": 0.2}}"#, "tiers"),
            (r#"{"tiers": [0.1]}"#, "tiers"),
            (r#"{"scale": 0.5, "ttl": "0s"}"#, "ttl"),
            (r#"{"scale": 0.5, "ttl": "999ms"}"#, "ttl"),
            (r#"{"scale": 0.5, "ttl": "8760h"}"#, "ttl"),
            (r#"{"scale": 0.5, "ttl": 60}"#, "ttl"),
            (r#"{"scale": 0.5, "for": "1m"}"#, "for"),
        ] {
            let problem = put(body.as_bytes()).expect_err(body).to_string();
            let wanted = format!("body at {path}: ");
            assert!(problem.starts_with(&wanted), "{body}: {problem}");
        }
    }
}
