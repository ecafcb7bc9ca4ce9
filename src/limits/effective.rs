//! Effective limits: base limits, lowered manually or by the overload loop.

use super::kinds::LimitKind;
use super::per_limit::{Limit, Limits};
use crate::time::Mono;
use std::num::NonZeroU64;

/// A factor from 0 to 1 in integer millionths, so that a decimal of up to six places is exact.
/// Stored as millionths. A larger number comes only from corrupt bytes and is read as 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(from = "u32", into = "u32")]
pub struct Scale(u32);

impl Scale {
    /// The scale that lowers nothing.
    pub const ONE: Self = Self(1_000_000);

    /// Returns a scale of `n` millionths, at most 1.
    pub const fn from_millionths(n: u32) -> Self {
        if n < Self::ONE.0 { Self(n) } else { Self::ONE }
    }

    /// Returns the scale nearest to `value`; `None` for a value outside of 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be from 0 to 1"
    )]
    pub fn from_f64(value: f64) -> Option<Self> {
        let fits = (0.0..=1.0).contains(&value);
        fits.then(|| Self::from_millionths((value * 1e6).round() as u32))
    }

    /// Returns the scale in millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Returns the scale as a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Returns the scaled limit: max(1, floor(limit × scale)); unlimited stays unlimited.
    pub fn of(self, limit: Limit) -> Limit {
        let Limit::Finite(n) = limit else {
            return limit;
        };
        let product = u128::from(n.get()).saturating_mul(u128::from(self.0));
        let part = u64::try_from(product.div_euclid(u128::from(Self::ONE.0))).unwrap_or(u64::MAX);
        Limit::Finite(NonZeroU64::new(part).unwrap_or(NonZeroU64::MIN))
    }
}

impl From<u32> for Scale {
    fn from(millionths: u32) -> Self {
        Self::from_millionths(millionths)
    }
}

impl From<Scale> for u32 {
    fn from(scale: Scale) -> Self {
        scale.millionths()
    }
}

/// A value that holds until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until<T> {
    /// The value.
    pub value: T,
    /// The moment from which the value has no effect.
    pub expires_at: Mono,
}

/// The lowering of a tier's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowering {
    /// The manual scale of all kinds.
    pub manual: Option<Until<Scale>>,
    /// The adaptive scale of the kinds that the overload loop lowers.
    pub adaptive: AdaptiveLowering,
}

/// The lowering by the overload loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveLowering {
    /// The scale.
    pub scale: Scale,
    /// Time of the last reduction.
    pub since: Mono,
    /// The moment from which the scale has no effect, unless it is renewed.
    pub expires_at: Mono,
}

impl Lowering {
    /// No lowering.
    pub const NONE: Self = Self {
        manual: None,
        adaptive: AdaptiveLowering {
            scale: Scale::ONE,
            since: Mono::from_millis(0),
            expires_at: Mono::from_millis(0),
        },
    };

    /// Returns the effective scale, at `now`, of the kinds that the overload loop lowers.
    pub fn scale(&self, now: Mono) -> Scale {
        let manual = self.manual.filter(|manual| now < manual.expires_at);
        let adaptive = Some(self.adaptive).filter(|adaptive| now < adaptive.expires_at);
        let manual = manual.map_or(Scale::ONE, |manual| manual.value);
        manual.min(adaptive.map_or(Scale::ONE, |adaptive| adaptive.scale))
    }

    /// Returns the scales that lower a limit; `None` when none does.
    pub fn lowered(&self) -> Option<Lowered> {
        let lowers = |scale: Scale| scale < Scale::ONE;
        let lowered = Lowered {
            manual: self.manual.filter(|manual| lowers(manual.value)),
            adaptive: Some(self.adaptive).filter(|adaptive| lowers(adaptive.scale)),
        };
        (lowered != Lowered::default()).then_some(lowered)
    }
}

/// The cause of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The tier or the account.
    Base,
    /// An operator's scale.
    Manual,
    /// The overload loop.
    Adaptive,
}

impl Cause {
    /// Returns a finite base limit as the cause lowers it.
    pub fn lower(self, scale: Scale, kind: LimitKind, base: u64) -> u64 {
        let lowers = match self {
            Self::Base => false,
            Self::Manual => kind.is_lowered_manually(),
            Self::Adaptive => kind.is_adaptive(),
        };
        let limit = NonZeroU64::new(base).map_or(Limit::Unlimited, Limit::Finite);
        let lowered = scale.of(limit).finite().filter(|_| lowers);
        lowered.unwrap_or(base)
    }
}

/// The scales on the limits of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lowered {
    /// The operator's scale. Limits are kept over complete windows.
    pub manual: Option<Until<Scale>>,
    /// The scale of the overload loop. Sliding windows are kept as leaky buckets.
    pub adaptive: Option<AdaptiveLowering>,
}

impl Lowered {
    /// Returns the parts that hold at `now`.
    #[must_use]
    pub fn at(self, now: Mono) -> Self {
        Self {
            manual: self.manual.filter(|manual| now < manual.expires_at),
            adaptive: self.adaptive.filter(|adaptive| now < adaptive.expires_at),
        }
    }

    /// Returns a finite base limit as the operator's scale lowers it, expired or not.
    pub fn manually(&self, kind: LimitKind, base: u64) -> u64 {
        self.manual
            .map_or(base, |manual| Cause::Manual.lower(manual.value, kind, base))
    }

    /// Returns the strictest of base, manual and adaptive limits, expired or not.
    #[must_use]
    pub fn over(&self, base: &Limits) -> Limits {
        base.map(|kind, limit| {
            let Some(base) = limit.finite() else {
                return Limit::Unlimited;
            };
            let manual = self.manual.map_or(Scale::ONE, |manual| manual.value);
            let adaptive = self.adaptive.map_or(Scale::ONE, |adaptive| adaptive.scale);
            let manual = Cause::Manual.lower(manual, kind, base);
            let lowest = Cause::Adaptive.lower(adaptive, kind, base).min(manual);
            NonZeroU64::new(lowest).map_or(*limit, Limit::Finite)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(scale: f64, limit: u64) -> u64 {
        let limit = Limit::Finite(NonZeroU64::new(limit).unwrap());
        Scale::from_f64(scale).unwrap().of(limit).finite().unwrap()
    }

    #[test]
    fn a_lowering_ends_at_its_moment_and_not_after_it() {
        let half = Scale::from_millionths(500_000);
        let end = Mono::from_millis(1_000);
        let manual = Lowering {
            manual: Some(Until {
                value: half,
                expires_at: end,
            }),
            ..Lowering::NONE
        };
        let adaptive = Lowering {
            adaptive: AdaptiveLowering {
                scale: half,
                since: Mono::default(),
                expires_at: end,
            },
            ..Lowering::NONE
        };
        for lowering in [manual, adaptive] {
            assert_eq!(lowering.scale(Mono::from_millis(999)), half);
            assert_eq!(lowering.scale(end), Scale::ONE);
        }
    }

    #[test]
    fn a_limit_is_scaled_exactly_rounded_down_and_at_least_one() {
        // In floating point, 0.29 × 100 is 28.999….
        assert_eq!(of(0.29, 100), 29);
        assert_eq!(of(0.5, 3), 1);
        assert_eq!(of(0.2, 1), 1);
        assert_eq!(of(0.0, 10_000), 1);
        assert_eq!(of(1.0, Limit::MAX), Limit::MAX);
        assert_eq!(of(0.999_999, Limit::MAX), 9_007_190_247_541_736);
        assert_eq!(
            Scale::from_millionths(1).of(Limit::Unlimited),
            Limit::Unlimited
        );
        for wrong in [f64::NAN, f64::INFINITY, -0.1, 1.000_001, 1e9] {
            assert_eq!(Scale::from_f64(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn never_over_the_limit_and_never_nothing(scale in 0..=1_000_000_u32, limit in 1..=Limit::MAX) {
            let limit = Limit::Finite(NonZeroU64::new(limit).unwrap());
            let lowered = Scale::from_millionths(scale).of(limit).finite().unwrap();
            prop_assert!(lowered >= 1 && lowered <= limit.finite().unwrap());
        }
    }

    #[test]
    fn a_stored_scale_above_one_is_read_as_one() {
        let read = |json| serde_json::from_str::<Scale>(json).unwrap();
        assert_eq!(read("2000000"), Scale::ONE);
        assert_eq!(read("250000").millionths(), 250_000);
    }
}
