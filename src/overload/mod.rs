//! Limits that follow the load: what is in force of the limits that accounts base.
//!
//! An operator sets a scale for a time ([`ManualScale`]), or a [`Policy`] follows what the upstream says
//! ([`Controller`]). Both stand for all filters of one namespace, as the counters do, and of both the
//! lower counts. Nothing here knows where they are kept ([`crate::store`]) or who reads them on
//! which tick ([`crate::limiter`]); no request pays for them.

mod adaptive;
pub mod config;
mod controller;
#[cfg(test)]
mod differential;
mod event;
mod part;
mod policy;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
mod signal;
mod stored;
mod view;

pub use adaptive::{Adaptive, Ownership};
pub use controller::{Controller, Recent, Sample};
pub use event::OverloadEvent;
pub use part::Part;
pub use policy::{Candidate, Kind, Origin, Policy};
pub use signal::{Observed, load_of};
pub use stored::{StoredOverload, overload};
pub use view::OverloadView;

use crate::limits::{Lowering, Scale, Until};
use crate::time::{Mono, Span};

/// Scales by the names of tiers.
pub type TierScales = Vec<(String, Scale)>;

/// What an operator set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ManualScale {
    /// The scale of all tiers that are not named.
    pub scale: Scale,
    /// The scales of those that are.
    pub tiers: TierScales,
    /// When it was set.
    pub set: Mono,
    /// When it ends, whether or not the operator is still there.
    pub ends: Mono,
}

impl ManualScale {
    /// The scale of a tier.
    pub fn of(&self, tier: &str) -> Scale {
        find(&self.tiers, tier).unwrap_or(self.scale)
    }
}

/// The load of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// What an operator set, until it ends.
    pub manual: Option<ManualScale>,
    /// What follows the upstream.
    pub adaptive: Adaptive,
}

/// The longest time for which an operator can set anything.
pub const LONGEST: Span = Span::from_secs(86_400);

impl State {
    /// Moves times that are ahead of the clock to it, so that nothing lasts longer than it should.
    pub fn correct(&mut self, now: Mono) {
        self.adaptive.correct(now);
        if let Some(setting) = &mut self.manual {
            let ttl = setting.ends.since(setting.set).min(LONGEST);
            setting.set = setting.set.min(now);
            setting.ends = setting.ends.min(setting.set.after(ttl));
        }
    }

    /// By how much the limits of the tier of that name are lowered; `policy`: this config's.
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
