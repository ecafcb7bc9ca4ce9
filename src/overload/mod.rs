//! Overload control: base limits are lowered while the upstream gets more than it can serve.
//!
//! Architecture: an operator sets a [`ManualScale`] for a time, or the [`Controller`] of a
//! [`Policy`] follows the upstream. Both hold for all filters of a namespace, and the lower scale
//! is effective. [`OverloadView`] is one worker's view; only ticks and admin calls touch the stored
//! [`State`].
//!
//! Algorithm: a pressure from 0 to 1 lowers the tiers in their order. It rises at once and falls
//! late, in small steps (additive increase, multiplicative decrease of the admitted rate).
//!
//! ```text
//! pressure   ______            hold     small steps back
//!           |      \________________
//!  knee ----|                       \__
//!      _____|                           \____
//! ```
//! Bounds: one value for each namespace, with one scale for each tier.

mod adaptive;
pub mod config;
mod controller;
#[cfg(test)]
mod edges;
mod event;
mod part;
mod policy;
#[cfg(test)]
mod properties;
mod signal;
mod stored;
mod view;

pub use adaptive::{Adaptive, Ownership};
pub use controller::{Controller, Recent, Sample};
pub use event::OverloadEvent;
pub use part::Part;
pub use policy::{Candidate, Origin, OriginKind, Policy};
pub use signal::{Observed, load_of};
pub use stored::StoredOverload;
pub use view::OverloadView;

use crate::limits::{Lowering, Scale, Until};
use crate::time::{Mono, Span};

/// Scales by the names of tiers.
pub type TierScales = Vec<(String, Scale)>;

/// A scale that an operator set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ManualScale {
    /// The scale of tiers without their own scale.
    pub scale: Scale,
    /// The scales of single tiers.
    pub tiers: TierScales,
    /// The time of the setting.
    pub set: Mono,
    /// The time at which the setting expires.
    pub ends: Mono,
}

impl ManualScale {
    /// Returns the scale of a tier.
    pub fn of(&self, tier: &str) -> Scale {
        find(&self.tiers, tier).unwrap_or(self.scale)
    }
}

/// The stored overload state of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// The manual scale, until it expires.
    pub manual: Option<ManualScale>,
    /// The adaptive lowering.
    pub adaptive: Adaptive,
}

/// The longest duration of a manual scale.
pub const LONGEST: Span = Span::from_secs(86_400);

impl State {
    /// Moves times ahead of the clock to `now`, so that no lowering lasts too long.
    pub fn correct(&mut self, now: Mono) {
        self.adaptive.correct(now);
        if let Some(setting) = &mut self.manual {
            let ttl = setting.ends.since(setting.set).min(LONGEST);
            setting.set = setting.set.min(now);
            setting.ends = setting.ends.min(setting.set.after(ttl));
        }
    }

    /// Returns the lowering of the named tier; `policy` is this config's.
    pub fn lowering(&self, tier: &str, policy: Option<&Policy>) -> Lowering {
        let manual = self.manual.as_ref();
        Lowering {
            manual: manual.map(|setting| Until {
                value: setting.of(tier),
                expires_at: setting.ends,
            }),
            adaptive: self.adaptive.lowering(tier, policy),
        }
    }
}

fn find(tiers: &TierScales, tier: &str) -> Option<Scale> {
    let found = tiers.iter().find(|(name, _)| name == tier);
    found.map(|(_, scale)| *scale)
}
