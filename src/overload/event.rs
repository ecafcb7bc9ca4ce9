//! What changed, for the log: each change is told once, by whoever made it.

use super::{ManualScale, TierScales};
use crate::limits::Scale;
use std::fmt;

/// A change of the limits in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverloadEvent {
    /// An operator set them.
    Set {
        /// What is in force now.
        now: ManualScale,
        /// What it replaces, if that had not ended.
        before: Option<ManualScale>,
    },
    /// An operator took back what was set.
    Withdrawn(ManualScale),
    /// The time of what was set is over.
    Ended(ManualScale),
    /// The load moved them.
    Moved {
        /// The load or the share of overloaded answers, in millionths.
        load: u32,
        /// Whether they are lower than before.
        down: bool,
        /// The scale of each tier.
        tiers: TierScales,
    },
}

impl fmt::Display for OverloadEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { now, before: None } => write!(f, "limits set by hand to {}", Describe(now)),
            Self::Set {
                now,
                before: Some(before),
            } => write!(
                f,
                "limits set by hand to {}, in place of {}",
                Describe(now),
                Describe(before)
            ),
            Self::Withdrawn(setting) => {
                write!(f, "limits set by hand withdrawn: {}", Describe(setting))
            }
            Self::Ended(setting) => write!(f, "limits set by hand ended: {}", Describe(setting)),
            Self::Moved { load, down, tiers } => {
                let load = f64::from(*load) / 1e6;
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
                    write!(f, ": all are as bought")?;
                }
                Ok(())
            }
        }
    }
}

/// A setting in words.
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
