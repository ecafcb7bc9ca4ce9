//! By which policy limits follow the load, as operators configure it.

use super::TierScales;
use crate::limits::Scale;
use crate::time::{Mono, Span};
use siphasher::sip::SipHasher24;
use std::hash::{Hash as _, Hasher as _};

/// What the load is read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The response header of that lower-case name, in which the upstream says it.
    Header(String),
    /// The share of answers that say that the upstream is overloaded: 503, 529 and 429.
    Overload,
}

/// The two kinds of origin, for those who only look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A load that is reported.
    Header,
    /// Overload.
    Overload,
}

impl Kind {
    /// Its name in the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Overload => "overload",
        }
    }
}

impl Origin {
    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Header(_) => Kind::Header,
            Self::Overload => Kind::Overload,
        }
    }
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// What the load is read from.
    pub origin: Origin,
    /// The load over which limits are lowered, in millionths.
    pub start: u32,
    /// The load at which all of them are at the floor, or, by the share of overloaded answers, are
    /// cut by half at a time; in millionths, and over `start`.
    pub full: u32,
    /// The scale that no tier falls below.
    pub floor: Scale,
    /// The tiers, lowest first, and how much of the pressure each takes up; 0: it is not lowered.
    pub weights: Vec<(String, u32)>,
    /// From one step to the next.
    pub interval: Span,
    /// Over which time reported loads are smoothed.
    pub smooth: Span,
    /// How long limits stay as low as they are before they begin to come back.
    pub hold: Span,
}

/// The policy of one config, and when that came.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The policy.
    pub policy: Policy,
    /// A hash of it, the same in every VM.
    pub hash: u64,
    /// When the config came.
    pub configured: Mono,
}

impl Candidate {
    /// The candidate of a config that came at `configured`.
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
    /// The scale of one tier under that pressure.
    pub fn scale(&self, tier: &str, pressure: u32) -> Scale {
        let mut scales = self.walk(pressure);
        let found = scales.find(|(name, _)| *name == tier);
        found.map_or(Scale::ONE, |(_, scale)| scale)
    }

    /// The scale of each tier under that pressure, in millionths of all that they can take.
    ///
    /// The pressure takes the tiers in their order: each falls to the floor before the next one
    /// gives way at all.
    pub fn scales(&self, pressure: u32) -> TierScales {
        let scales = self.walk(pressure);
        scales
            .map(|(name, scale)| (name.to_owned(), scale))
            .collect()
    }

    fn walk(&self, pressure: u32) -> impl Iterator<Item = (&str, Scale)> {
        let of = |weight: u32| u64::from(weight).saturating_mul(1_000_000);
        let all: u64 = self
            .weights
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum();
        // In units in which a weight is whole: millionths of one weight.
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
            start: 10_000,
            full: 500_000,
            floor: Scale::from_millionths(200_000),
            weights: named.collect(),
            interval: Span::from_secs(1),
            smooth: Span::from_secs(5),
            hold: Span::from_secs(5),
        }
    }

    fn scales(weights: &[u32], pressure: u32) -> Vec<u32> {
        let scales = policy(weights).scales(pressure);
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
