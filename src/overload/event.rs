//! Changes of the effective limits, for the log. The worker that makes a change logs it once.

use super::{ManualScale, Part, TierScales};
use crate::limits::Scale;
use std::fmt;

/// A change of the effective limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverloadEvent {
    /// An operator set a scale.
    Set {
        /// The new setting.
        now: ManualScale,
        /// The replaced setting, unless it had expired.
        before: Option<ManualScale>,
    },
    /// An operator withdrew a setting.
    Withdrawn(ManualScale),
    /// A setting expired.
    Ended(ManualScale),
    /// The controller moved the scales.
    Moved {
        /// The load, or the share of overloaded answers.
        load: Part,
        /// True when the pressure rose.
        down: bool,
        /// The scale of each tier.
        tiers: TierScales,
    },
}

impl fmt::Display for OverloadEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { now, before: None } => {
                write!(f, "limits set manually to {}", Describe(now))
            }
            Self::Set {
                now,
                before: Some(before),
            } => write!(
                f,
                "limits set manually to {}, in place of {}",
                Describe(now),
                Describe(before)
            ),
            Self::Withdrawn(setting) => {
                write!(f, "manual limits withdrawn: {}", Describe(setting))
            }
            Self::Ended(setting) => write!(f, "manual limits ended: {}", Describe(setting)),
            Self::Moved { load, down, tiers } => {
                let load = load.as_f64();
                let which = if *down {
                    "lowered"
                } else {
                    "on their way back"
                };
                write!(f, "limits {which} at load {load:.3}")?;
                let lowered = tiers.iter().filter(|(_, scale)| *scale < Scale::ONE);
                let mut separator = ':';
                for (name, scale) in lowered {
                    write!(f, "{separator} {name} × {:.3}", scale.as_f64())?;
                    separator = ',';
                }
                if separator == ':' {
                    write!(f, ": all are at their base")?;
                }
                Ok(())
            }
        }
    }
}

/// Text of a setting.
struct Describe<'a>(&'a ManualScale);

impl fmt::Display for Describe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.0;
        write!(f, "× {}", setting.scale.as_f64())?;
        for (name, scale) in &setting.tiers {
            write!(f, ", {name} × {}", scale.as_f64())?;
        }
        let ttl = setting.ends.since(setting.set).as_millis();
        write!(f, " for {ttl} ms")
    }
}
