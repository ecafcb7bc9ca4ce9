//! The kinds of tokens, and their rates: what one token counts and costs.

use crate::json::decimal::{self, DecimalVisitor};
use serde::Deserialize;
use serde::de::Deserializer;

/// A value for each kind of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind<T> {
    /// Input that the upstream read anew.
    pub input: T,
    /// Input from the upstream's cache.
    pub cached: T,
    /// Input that the upstream wrote to its cache.
    pub cache_write: T,
    /// Output.
    pub output: T,
}

/// Numbers of tokens.
pub type TokenCounts = PerKind<u64>;

impl TokenCounts {
    /// Returns the input of all kinds.
    pub const fn all_input(&self) -> u64 {
        let read = self.input.saturating_add(self.cached);
        read.saturating_add(self.cache_write)
    }

    /// Returns the sum of both.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
        }
    }

    fn times<T: Copy + Into<u128>>(&self, rates: &PerKind<T>) -> u128 {
        [
            (self.input, rates.input),
            (self.cached, rates.cached),
            (self.cache_write, rates.cache_write),
            (self.output, rates.output),
        ]
        .into_iter()
        .map(|(tokens, rate)| u128::from(tokens).saturating_mul(rate.into()))
        .fold(0, u128::saturating_add)
    }
}

/// The weight of one token of each kind in limits on tokens, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights(pub PerKind<u32>);

impl Weights {
    /// Every token counts once.
    pub const ONE: Self = Self(PerKind {
        input: 1_000,
        cached: 1_000,
        cache_write: 1_000,
        output: 1_000,
    });

    /// Returns the largest weight, in thousandths.
    pub fn largest(&self) -> u32 {
        let Self(weights) = self;
        let inputs = weights.input.max(weights.cached).max(weights.cache_write);
        inputs.max(weights.output)
    }

    /// Returns the weighted tokens, rounded up.
    pub fn of(&self, counts: &TokenCounts) -> u64 {
        let thousandths = counts.times(&self.0);
        u64::try_from(thousandths.div_ceil(1_000)).unwrap_or(u64::MAX)
    }
}

/// The price of one token of each kind, in 10^-12 USD: that of a million tokens, in 10^-6 USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices(pub PerKind<u64>);

impl Prices {
    /// Returns the price, in 10^-12 USD.
    pub fn of(&self, counts: &TokenCounts) -> u64 {
        u64::try_from(counts.times(&self.0)).unwrap_or(u64::MAX)
    }
}

/// Weights as written in the config.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WeightsConfig {
    /// Of input that the upstream read anew.
    input: Option<Weight>,
    /// Of input from the upstream's cache.
    cached: Option<Weight>,
    /// Of input that the upstream wrote to its cache.
    cache_write: Option<Weight>,
    /// Of output.
    output: Option<Weight>,
}

impl WeightsConfig {
    /// True when the weight of cached tokens was written.
    pub const fn names_cached(&self) -> bool {
        self.cached.is_some()
    }

    /// Returns the weights, with those of `base` where none was written.
    pub fn over(&self, base: &Weights) -> Weights {
        let Weights(base) = base;
        let or = |written: Option<Weight>, base: u32| written.map_or(base, |weight| weight.0);
        Weights(PerKind {
            input: or(self.input, base.input),
            cached: or(self.cached, base.cached),
            cache_write: or(self.cache_write, base.cache_write),
            output: or(self.output, base.output),
        })
    }
}

/// Prices as written in the config.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PricesConfig {
    /// Of input that the upstream read anew.
    input: Price,
    /// Of input from the upstream's cache; that of input without it.
    cached: Option<Price>,
    /// Of input that the upstream wrote to its cache; that of input without it.
    cache_write: Option<Price>,
    /// Of output; that of input without it.
    output: Option<Price>,
}

impl PricesConfig {
    /// Returns the prices; a kind without one costs as much as input.
    pub fn prices(&self) -> Prices {
        let or = |written: Option<Price>| written.unwrap_or(self.input).0;
        Prices(PerKind {
            input: self.input.0,
            cached: or(self.cached),
            cache_write: or(self.cache_write),
            output: or(self.output),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Weight(u32);

/// The largest weight: 1000.
const MOST_WEIGHT: u32 = 1_000_000;

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor {
            expecting: "a number from 0 to 1000 with at most three decimals",
            parse: |text: &str| {
                let weight = u32::try_from(decimal::parse(text.as_bytes(), 3)?).ok()?;
                (weight <= MOST_WEIGHT).then_some(Self(weight))
            },
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Price(u64);

/// The largest price: a million USD for a million tokens.
const MOST_PRICE: u64 = 1_000_000_000_000;

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor {
            expecting: "an amount from 0 to 1000000 USD with at most six decimals, such as \"0.60\"",
            parse: |text: &str| {
                let price = decimal::parse(text.as_bytes(), 6)?;
                (price <= MOST_PRICE).then_some(Self(price))
            },
        })
    }
}

#[cfg(feature = "cli")]
crate::json::schema::has_schema!(Weight, "Weight", {
    "description": "A number from 0 to 1000 with at most three decimals.",
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1000},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,3})?$"}
    ]
});

#[cfg(feature = "cli")]
crate::json::schema::has_schema!(Price, "Price", {
    "description": "USD for a million tokens, with at most six decimals.",
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})?$"},
        {"type": "number", "minimum": 0, "maximum": 1_000_000}
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: TokenCounts = PerKind {
        input: 1_000,
        cached: 400,
        cache_write: 10,
        output: 7,
    };

    #[test]
    fn weights_are_summed_and_rounded_up_once() {
        let written: WeightsConfig =
            serde_json::from_str(r#"{"cached": 0.1, "output": "2.5"}"#).unwrap();
        let weights = written.over(&Weights::ONE);
        assert_eq!(weights.of(&COUNTS), 1_000 + 40 + 10 + 18);
        assert_eq!(Weights::ONE.of(&COUNTS), 1_417);
    }

    #[test]
    fn prices_are_exact_and_default_to_that_of_input() {
        let written = r#"{"input": "0.60", "cached": 0.15, "output": "2.50"}"#;
        let written: PricesConfig = serde_json::from_str(written).unwrap();
        let per_million = 600_000 * 1_010 + 150_000 * 400 + 2_500_000 * 7;
        assert_eq!(written.prices().of(&COUNTS), per_million);
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        for weight in ["-1", "1001", "0.0001", "\"x\"", "1000.001"] {
            let json = format!(r#"{{"input": {weight}}}"#);
            assert!(
                serde_json::from_str::<WeightsConfig>(&json).is_err(),
                "{json}"
            );
        }
        for price in ["-1", "1000001", "\"0.0000001\"", "null"] {
            let json = format!(r#"{{"input": {price}}}"#);
            assert!(
                serde_json::from_str::<PricesConfig>(&json).is_err(),
                "{json}"
            );
        }
    }
}
