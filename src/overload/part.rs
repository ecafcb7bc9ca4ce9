//! A load, a share or a pressure as an integer of millionths. All conversions are here.

/// A share in millionths, from 0 to [`Part::LARGEST`].
///
/// Shared data keeps integers, so that every worker computes with the same value. A step computes
/// in `f64`, and rounds each result to an integer.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(from = "u32", into = "u32")]
pub struct Part(u32);

impl Part {
    /// No share.
    pub const ZERO: Self = Self(0);
    /// The full share.
    pub const ONE: Self = Self(1_000_000);
    /// The largest load that is accepted: ten times the upstream's capacity.
    pub const LARGEST: Self = Self(10_000_000);

    /// Returns a share of `n` millionths, at most [`Part::LARGEST`].
    pub const fn from_millionths(n: u32) -> Self {
        if n < Self::LARGEST.0 {
            Self(n)
        } else {
            Self::LARGEST
        }
    }

    /// Returns the share nearest to `value`, within the bounds of the type.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    pub fn from_f64(value: f64) -> Self {
        let clamped = value.clamp(0.0, Self::LARGEST.as_f64());
        Self((clamped * 1e6).round() as u32)
    }

    /// Returns the share in millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Returns the share as a number from 0 to 10.
    pub fn as_f64(self) -> f64 {
        fraction(self.0.into())
    }
}

impl From<u32> for Part {
    fn from(millionths: u32) -> Self {
        Self::from_millionths(millionths)
    }
}

impl From<Part> for u32 {
    fn from(part: Part) -> Self {
        part.millionths()
    }
}

/// The millionths, for sums.
impl From<Part> for u64 {
    fn from(part: Part) -> Self {
        part.millionths().into()
    }
}

/// Returns a number of millionths, which may exceed a [`Part`], as a fraction.
pub(super) fn fraction(millionths: u64) -> f64 {
    float(millionths) / 1e6
}

/// Converts a count or a number of milliseconds for a calculation.
#[expect(clippy::cast_precision_loss, reason = "far under 2^53")]
pub(super) fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_outside_the_bounds_are_clamped() {
        for (value, part) in [
            (-1.0, Part::ZERO),
            (f64::NAN, Part::ZERO),
            (1.0, Part::ONE),
            (11.0, Part::LARGEST),
            (f64::INFINITY, Part::LARGEST),
        ] {
            assert_eq!(Part::from_f64(value), part, "{value}");
        }
        assert_eq!(Part::from(u32::MAX), Part::LARGEST);
    }

    proptest! {
        #[test]
        fn a_part_survives_the_way_through_a_float_and_through_json(n in any::<u32>()) {
            let part = Part::from_millionths(n);
            prop_assert_eq!(Part::from_f64(part.as_f64()), part);
            let json = serde_json::to_string(&part).unwrap();
            prop_assert_eq!(serde_json::from_str::<Part>(&json).unwrap(), part);
        }
    }
}
