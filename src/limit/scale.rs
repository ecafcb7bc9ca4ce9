//! Limits lowered for load: by which part, and until when.

use super::limits::{Limit, Limits};
use crate::time::Mono;
use std::num::NonZeroU64;

/// The part of a limit that is in force, in whole millionths, so that a decimal of up to six places
/// is exact: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Concurrency, RPM and TPM.
    pub rates: Scale,
    /// TPD: what is used of a day says nothing of the load now, so only an operator lowers it.
    pub day: Scale,
    /// From when on the bought limits are in force again; `None` while nobody knows.
    pub ends: Option<Mono>,
}

impl Lowering {
    /// Nothing is lowered.
    pub const NONE: Self = Self {
        rates: Scale::ONE,
        day: Scale::ONE,
        ends: None,
    };

    /// What is in force of these limits; `None` when nothing of them is lowered.
    pub fn of(&self, limits: &Limits) -> Option<Lowered> {
        if self.rates == Scale::ONE && self.day == Scale::ONE {
            return None;
        }
        let lowered = Limits {
            concurrency: self.rates.of(limits.concurrency),
            rpm: self.rates.of(limits.rpm),
            tpm: self.rates.of(limits.tpm),
            tpd: self.day.of(limits.tpd),
        };
        (lowered != *limits).then_some(Lowered {
            limits: lowered,
            ends: self.ends,
        })
    }
}

/// Limits lowered for load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// What is in force; none of them is over the one that was bought.
    pub limits: Limits,
    /// From when on the bought limits are in force again; `None` while nobody knows.
    pub ends: Option<Mono>,
}

impl Lowered {
    /// Whether it is still in force.
    pub fn holds(&self, now: Mono) -> bool {
        self.ends.is_none_or(|end| now < end)
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
