//! Limits lowered for load: by which part, and until when.

use crate::limits::kinds::{Limit, Limits};
use crate::time::Mono;
use std::num::NonZeroU64;

/// The part of a limit that is in force, in whole millionths, so that a decimal of up to six places
/// is exact: 0 to 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Scale(u32);

impl Scale {
    /// All of it.
    pub const ONE: Self = Self(1_000_000);

    /// So many millionths; at most all of it.
    pub const fn from_millionths(n: u32) -> Self {
        if n < Self::ONE.0 { Self(n) } else { Self::ONE }
    }

    /// The scale nearest to `value`, from 0 to 1; `None` for any other value.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be from 0 to 1"
    )]
    pub fn from_f64(value: f64) -> Option<Self> {
        let fits = (0.0..=1.0).contains(&value);
        fits.then(|| Self::from_millionths((value * 1e6).round() as u32))
    }

    /// In millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// What is in force of a limit: max(1, floor(limit × scale)); unlimited stays so.
    pub fn of(self, limit: Limit) -> Limit {
        let Limit::Finite(n) = limit else {
            return limit;
        };
        let product = u128::from(n.get()).saturating_mul(u128::from(self.0));
        let part = u64::try_from(product.div_euclid(u128::from(Self::ONE.0))).unwrap_or(u64::MAX);
        Limit::Finite(NonZeroU64::new(part).unwrap_or(NonZeroU64::MIN))
    }
}

/// By how much the limits of a tier are lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowering {
    /// By an operator, all four limits: to what, and until when.
    pub manual: Option<(Scale, Mono)>,
    /// By the load: concurrency, RPM and TPM, since what is used of a day says nothing of the load
    /// now.
    pub adaptive: AdaptiveLowering,
}

/// By how much the load lowers limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveLowering {
    /// To what.
    pub scale: Scale,
    /// Since when they are as low as that, or were lower.
    pub since: Mono,
    /// Until when, if nobody renews it.
    pub expires_at: Mono,
}

impl Lowering {
    /// Nothing is lowered.
    pub const NONE: Self = Self {
        manual: None,
        adaptive: AdaptiveLowering {
            scale: Scale::ONE,
            since: Mono::from_millis(0),
            expires_at: Mono::from_millis(0),
        },
    };

    /// The scale of concurrency, RPM and TPM at `now`.
    pub fn scale(&self, now: Mono) -> Scale {
        let manual = self.manual.filter(|(_, ends)| now < *ends);
        let adaptive = Some(self.adaptive).filter(|adaptive| now < adaptive.expires_at);
        let adaptive = adaptive.map_or(Scale::ONE, |adaptive| adaptive.scale);
        manual.map_or(adaptive, |(scale, _)| scale.min(adaptive))
    }

    /// What is in force of these limits; `None` when nothing of them is lowered.
    pub fn of(&self, limits: &Limits) -> Option<Lowered> {
        let manual = self.manual.map(|(scale, ends)| {
            let lowered = Limits {
                tpd: scale.of(limits.tpd),
                ..rates(scale, limits)
            };
            (lowered, ends)
        });
        let lowered = Lowered {
            manual: manual.filter(|(lowered, _)| lowered != limits),
            adaptive: Some(rates(self.adaptive.scale, limits))
                .filter(|lowered| lowered != limits)
                .map(|limits| AdaptiveLimits {
                    limits,
                    since: self.adaptive.since,
                    expires_at: self.adaptive.expires_at,
                }),
        };
        (lowered != Lowered::default()).then_some(lowered)
    }
}

fn rates(scale: Scale, limits: &Limits) -> Limits {
    Limits {
        concurrency: scale.of(limits.concurrency),
        rpm: scale.of(limits.rpm),
        tpm: scale.of(limits.tpm),
        tpd: limits.tpd,
    }
}

/// Limits lowered for load; none of them is over the one that was base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lowered {
    /// By an operator, each over its whole window, until that moment.
    pub manual: Option<(Limits, Mono)>,
    /// By the load.
    pub adaptive: Option<AdaptiveLimits>,
}

/// Limits lowered by the load, RPM and TPM as a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveLimits {
    /// The limits.
    pub limits: Limits,
    /// When they were last lowered.
    pub since: Mono,
    /// Until when they stand, if nobody renews them.
    pub expires_at: Mono,
}

impl Lowered {
    /// What of it is in force at `now`.
    #[must_use]
    pub fn at(self, now: Mono) -> Self {
        Self {
            manual: self.manual.filter(|(_, ends)| now < *ends),
            adaptive: self.adaptive.filter(|adaptive| now < adaptive.expires_at),
        }
    }

    /// What is in force of these limits: of both the lower.
    #[must_use]
    pub fn over(&self, base: &Limits) -> Limits {
        let manual = self.manual.map_or(*base, |(limits, _)| limits);
        let adaptive = self.adaptive.map_or(*base, |adaptive| adaptive.limits);
        Limits {
            concurrency: lower(manual.concurrency, adaptive.concurrency),
            rpm: lower(manual.rpm, adaptive.rpm),
            tpm: lower(manual.tpm, adaptive.tpm),
            tpd: lower(manual.tpd, adaptive.tpd),
        }
    }
}

/// The lower of two limits.
fn lower(a: Limit, b: Limit) -> Limit {
    match (a, b) {
        (Limit::Finite(a), Limit::Finite(b)) => Limit::Finite(a.min(b)),
        (Limit::Unlimited, other) | (other, Limit::Unlimited) => other,
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
}
