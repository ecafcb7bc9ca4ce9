//! The configured policy by which limits follow the upstream.

use super::TierScales;
use super::part::Part;
use crate::limits::Scale;
use crate::time::{Mono, Span};
use siphasher::sip::SipHasher24;
use std::hash::{Hash as _, Hasher as _};

/// Source of the signal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The response header, by its lower-case name, in which the upstream reports its load.
    Header(String),
    /// The share of overloaded answers: status 503, 529 or 429.
    Overload,
}

/// The kind of a signal, without the name of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum OriginKind {
    /// A reported load.
    Header,
    /// The share of overloaded answers.
    Overload,
}

impl OriginKind {
    /// Returns the name in the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Overload => "overload",
        }
    }
}

impl Origin {
    /// Returns the kind of this origin.
    pub const fn kind(&self) -> OriginKind {
        match self {
            Self::Header(_) => OriginKind::Header,
            Self::Overload => OriginKind::Overload,
        }
    }
}

/// A checked policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Source of the signal.
    pub origin: Origin,
    /// Limits are lowered over this load, or over this share of overloaded answers.
    pub start: Part,
    /// Limits are at the floor from this load on. From this share of overloaded answers on, a cut
    /// halves admission. `full` is larger than `start`.
    pub full: Part,
    /// Lowest scale of a tier.
    pub floor: Scale,
    /// The tiers, lowest first, and the weight of each; a tier of weight 0 is never lowered.
    pub weights: Vec<(String, u32)>,
    /// Time from one step to the next.
    pub interval: Span,
    /// Time over which reported loads are smoothed.
    pub smooth: Span,
    /// Time for which limits stay low before a recovery begins.
    pub hold: Span,
}

/// The policy of one config, which may become active.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The policy.
    pub policy: Policy,
    /// Hash of the policy, the same in every VM.
    pub hash: u64,
    /// Time of the config's arrival.
    pub configured: Mono,
}

impl Candidate {
    /// Creates the candidate of a config that arrived at `configured`.
    pub fn new(policy: Policy, configured: Mono) -> Self {
        let mut hasher = SipHasher24::new();
        policy.hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            policy,
            configured,
        }
    }
}

impl Policy {
    /// Returns the position of `load` between `start` and `full`, from 0 to 1.
    pub(super) fn strength(&self, load: f64) -> f64 {
        let (start, full) = (self.start.as_f64(), self.full.as_f64());
        ((load - start) / (full - start)).clamp(0.0, 1.0)
    }

    /// Returns the scale of one tier at `pressure`.
    pub fn scale(&self, tier: &str, pressure: Part) -> Scale {
        let mut scales = self.walk(pressure);
        let found = scales.find(|(name, _)| *name == tier);
        found.map_or(Scale::ONE, |(_, scale)| scale)
    }

    /// Returns the scale of each tier at `pressure`. At 1, all weighted tiers are at the floor.
    ///
    /// Lowest tiers first: each tier falls to the floor before the next one is lowered at all.
    pub fn scales(&self, pressure: Part) -> TierScales {
        let scales = self.walk(pressure);
        scales
            .map(|(name, scale)| (name.to_owned(), scale))
            .collect()
    }

    fn walk(&self, pressure: Part) -> impl Iterator<Item = (&str, Scale)> {
        let of = |weight: u32| u64::from(weight).saturating_mul(1_000_000);
        let all: u64 = self
            .weights
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum();
        // In millionths of a weight of 1, so that this product is exact.
        let mut left = u64::from(pressure).saturating_mul(all);
        let range = u64::from(
            Scale::ONE
                .millionths()
                .saturating_sub(self.floor.millionths()),
        );
        self.weights.iter().map(move |(name, weight)| {
            let taken = left.min(of(*weight));
            left = left.saturating_sub(taken);
            let fall = taken
                .saturating_mul(range)
                .checked_div(of(*weight))
                .unwrap_or(0);
            let fall = u32::try_from(fall).unwrap_or(u32::MAX);
            let scale = Scale::ONE.millionths().saturating_sub(fall);
            (name.as_str(), Scale::from_millionths(scale))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(weights: &[u32]) -> Policy {
        let named = (0..).zip(weights).map(|(i, w)| (format!("tier{i}"), *w));
        Policy {
            origin: Origin::Overload,
            start: Part::from_millionths(10_000),
            full: Part::from_millionths(500_000),
            floor: Scale::from_millionths(200_000),
            weights: named.collect(),
            interval: Span::from_secs(1),
            smooth: Span::from_secs(5),
            hold: Span::from_secs(5),
        }
    }

    fn scales(weights: &[u32], pressure: u32) -> Vec<u32> {
        let scales = policy(weights).scales(Part::from_millionths(pressure));
        scales.iter().map(|(_, s)| s.millionths()).collect()
    }

    #[test]
    fn the_lowest_tiers_give_way_first_each_down_to_the_floor() {
        let (one, floor) = (1_000_000, 200_000);
        assert_eq!(scales(&[1, 1, 1], 0), [one, one, one]);
        assert_eq!(scales(&[1, 1, 1], 500_000), [floor, 600_000, one]);
        assert_eq!(scales(&[1, 1, 1], one), [floor, floor, floor]);
        assert_eq!(scales(&[2, 1, 1], 250_000), [600_000, one, one]);
        assert_eq!(
            scales(&[1, 0, 1], one),
            [floor, one, floor],
            "weight 0 stands"
        );
        assert_eq!(scales(&[1; 10], one), [floor; 10]);
    }
}
