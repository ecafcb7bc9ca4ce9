//! The part `load` of the config: the policy by which limits follow the upstream's load.

use super::{Origin, Part, Policy};
use crate::http::names::header_name;
use crate::json::values::{Count, Duration};
use crate::json::{Invalid, Named, Object, in_range};
use crate::limits::Scale;
use crate::tiers::TierTable;
use crate::time::Span;
use serde::Deserialize;
use std::ops::RangeInclusive;

/// The maximum weight of a tier.
const HEAVIEST: u64 = 1_000;

/// The policy as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OverloadConfig {
    /// The origin of the load.
    from: OriginConfig,
    /// The load from which limits fall.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = Part::LARGEST.as_f64())))]
    start: Option<f64>,
    /// The load at which they have fallen to the floor.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = Part::LARGEST.as_f64())))]
    full: Option<f64>,
    /// The lowest share of a limit.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = 1)))]
    floor: Option<f64>,
    /// The speed at which the limits of each tier fall; 1 where none is named.
    #[cfg_attr(
        feature = "cli",
        schemars(extend("additionalProperties" = {"type": "integer", "minimum": 0, "maximum": HEAVIEST}))
    )]
    weights: Option<Named<Count>>,
    /// The time between steps, `500ms` to `5s`.
    interval: Option<Duration>,
    /// The time over which the load is smoothed, `1ms` to `1m`; of a header alone.
    smooth: Option<Duration>,
    /// The time for which limits stay low, `1ms` to `10m`.
    hold: Option<Duration>,
}

/// An object with a header, or the word "overload".
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OriginConfig {
    /// A response header with the load.
    Header(String),
    /// The 503s and 429s of the upstream.
    Overload,
}

impl Policy {
    /// Checks the policy for these tiers.
    ///
    /// # Errors
    /// [`Invalid`] for the first invalid field.
    pub fn check(
        Object(written): Object<OverloadConfig>,
        tiers: &TierTable,
    ) -> Result<Self, Invalid> {
        let (origin, start, full, most) = match written.from {
            OriginConfig::Header(name) => {
                let name = header_name("load.from.header", &name)?;
                (Origin::Header(name), 0.8, 1.0, Part::LARGEST.as_f64())
            }
            OriginConfig::Overload => (Origin::Overload, 0.01, 0.5, 1.0),
        };
        if origin == Origin::Overload && written.smooth.is_some() {
            let problem = "is of a load header; with \"from\": \"overload\" leave it out";
            return Err(Invalid::new("load.smooth", problem));
        }
        let load = |path, value| in_range(path, value, 0.0..=most).map(Part::from_f64);
        let start = load("load.start", written.start.unwrap_or(start))?;
        let full = load("load.full", written.full.unwrap_or(full))?;
        if start >= full {
            let problem = "is not over load.start: limits fall from the one to the other";
            return Err(Invalid::new("load.full", problem));
        }
        let floor = Scale::from_f64(written.floor.unwrap_or(0.2)).ok_or_else(|| {
            Invalid::new("load.floor", "out of range: 0 to 1 is allowed, such as 0.2")
        })?;
        Ok(Self {
            origin,
            start,
            full,
            floor,
            weights: weights(written.weights.unwrap_or_default(), tiers)?,
            interval: span("load.interval", written.interval, 1_000, 500..=5_000)?,
            smooth: span("load.smooth", written.smooth, 5_000, 1..=60_000)?,
            hold: span("load.hold", written.hold, 5_000, 1..=600_000)?,
        })
    }
}

/// Checks a duration whose default and bounds are milliseconds.
fn span(
    path: &str,
    value: Option<Duration>,
    default: u64,
    allowed: RangeInclusive<u64>,
) -> Result<Span, Invalid> {
    let (least, most) = allowed.into_inner();
    let span = value.map_or(Span::from_millis(default), |d| d.0);
    in_range(
        path,
        span,
        Span::from_millis(least)..=Span::from_millis(most),
    )
}

/// Returns a weight for each tier; the default is 1.
fn weights(Named(written): Named<Count>, tiers: &TierTable) -> Result<Vec<(String, u32)>, Invalid> {
    for (name, Count(weight)) in &written {
        let path = format!("load.weights.{name}");
        if tiers.by_name(name.as_bytes()).is_none() {
            return Err(Invalid::new(path, "is not the name of a tier"));
        }
        in_range(&path, *weight, 0..=HEAVIEST)?;
    }
    let weight = |name: &str| {
        let found = written.iter().find(|(written, _)| written == name);
        u32::try_from(found.map_or(1, |(_, weight)| weight.0)).unwrap_or(u32::MAX)
    };
    let weights: Vec<_> = tiers
        .iter()
        .map(|tier| (tier.name.clone(), weight(&tier.name)))
        .collect();
    if weights.iter().all(|(_, weight)| *weight == 0) {
        let problem = "are all 0, so nothing would be lowered: leave load out";
        return Err(Invalid::new("load.weights", problem));
    }
    Ok(weights)
}
