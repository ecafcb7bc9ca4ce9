//! How limits follow the load, in the config.

use super::error::ConfigError;
use super::schema::{self, LoadOrigin};
use super::sources::header_name;
use super::value::{Count, Duration};
use crate::account::TierTable;
use crate::json::{Named, Object};
use crate::limit::Scale;
use crate::overload::{LARGEST, Origin, Policy, millionths};
use crate::time::Span;

type Checked<T> = Result<T, ConfigError>;

/// A heavier tier would be nothing beside the others.
const HEAVIEST: u64 = 1_000;

/// Checks the policy by which limits follow the load.
pub(super) fn check(Object(load): Object<schema::Load>, tiers: &TierTable) -> Checked<Policy> {
    let (origin, start, full, most) = match load.from {
        LoadOrigin::Header(name) => {
            let name = header_name("load.from", &name)?;
            (Origin::Header(name), 0.8, 1.0, LARGEST)
        }
        LoadOrigin::Overload => (Origin::Overload, 0.01, 0.5, 1.0),
    };
    let start = load_at("load.start", load.start.unwrap_or(start), most)?;
    let full = load_at("load.full", load.full.unwrap_or(full), most)?;
    if start >= full {
        let problem = "is not over load.start: limits fall from the one to the other";
        return Err(ConfigError::new("load.full", problem));
    }
    let floor = Scale::from_f64(load.floor.unwrap_or(0.2));
    let floor = floor.ok_or_else(|| {
        ConfigError::new("load.floor", "out of range: 0 to 1 is allowed, such as 0.2")
    })?;
    Ok(Policy {
        origin,
        start,
        full,
        floor,
        weights: weights(load.weights.unwrap_or_default(), tiers)?,
        interval: span("interval", load.interval, 1_000, 500..=5_000)?,
        smooth: span("smooth", load.smooth, 5_000, 1..=60_000)?,
        hold: span("hold", load.hold, 5_000, 1..=600_000)?,
    })
}

fn load_at(path: &str, value: f64, most: f64) -> Checked<u32> {
    if (0.0..=most).contains(&value) {
        return Ok(millionths(value));
    }
    Err(ConfigError::new(
        path,
        format!("{value} is out of range: 0 to {most} is allowed"),
    ))
}

fn span(
    name: &str,
    value: Option<Duration>,
    default: u64,
    allowed: std::ops::RangeInclusive<u64>,
) -> Checked<Span> {
    let ms = value.map_or(default, |d| d.0.as_millis());
    if allowed.contains(&ms) {
        return Ok(Span::from_millis(ms));
    }
    let (least, most) = (allowed.start(), allowed.end());
    Err(ConfigError::new(
        format!("load.{name}"),
        format!("out of range: \"{least}ms\" to \"{most}ms\" is allowed"),
    ))
}

/// A weight for each tier, 1 where none is said.
fn weights(Named(said): Named<Count>, tiers: &TierTable) -> Checked<Vec<(String, u32)>> {
    for (name, Count(weight)) in &said {
        let path = format!("load.weights.{name}");
        if tiers.by_name(name.as_bytes()).is_none() {
            return Err(ConfigError::new(path, "is not the name of a tier"));
        }
        if *weight > HEAVIEST {
            let problem = format!("{weight} is out of range: 0 to {HEAVIEST} is allowed");
            return Err(ConfigError::new(path, problem));
        }
    }
    let weight = |name: &str| {
        let said = said.iter().find(|(said, _)| said == name);
        u32::try_from(said.map_or(1, |(_, weight)| weight.0)).unwrap_or(u32::MAX)
    };
    let weights: Vec<_> = tiers
        .iter()
        .map(|tier| (tier.name.clone(), weight(&tier.name)))
        .collect();
    if weights.iter().all(|(_, weight)| *weight == 0) {
        let problem = "are all 0, so nothing would be lowered: leave load out";
        return Err(ConfigError::new("load.weights", problem));
    }
    Ok(weights)
}
