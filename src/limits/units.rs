//! The units that limits count, and an amount of each.

/// One cent of a US dollar, in the unit of amounts.
pub const CENT: u64 = 10_000_000_000;

/// A unit of consumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Requests.
    Requests,
    /// Weighted tokens of all kinds.
    Tokens,
    /// Input tokens, cached ones too.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// US dollars, in 10^-12.
    Usd,
}

impl Unit {
    /// All units, in the order of the stored columns.
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Usd,
    ];

    /// Returns the unit's name in replies.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Usd => "USD",
        }
    }

    /// Returns the bit of the unit in [`Units`].
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of units: the columns of a stored window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units(u8);

impl Units {
    const ALL: u8 = 0b1_1111;

    /// Returns the set with these bits; unknown bits are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL)
    }

    /// Returns the bits of the set.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns the set with one more unit.
    #[must_use]
    pub const fn with(self, unit: Unit) -> Self {
        Self(self.0 | unit.bit())
    }

    /// Returns the units of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the units that `other` lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when the set has no unit.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when the set has the unit.
    pub const fn contains(self, unit: Unit) -> bool {
        self.0 & unit.bit() != 0
    }

    /// True when the set has all units of `other`.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Returns the number of units.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns the column of a unit, from 0; `None` for a unit that the set lacks.
    #[inline]
    pub const fn column(self, unit: Unit) -> Option<usize> {
        if self.contains(unit) {
            let before = self.0 & unit.bit().wrapping_sub(1);
            Some(before.count_ones() as usize)
        } else {
            None
        }
    }

    /// Returns the units in the order of their columns.
    pub fn iter(self) -> impl Iterator<Item = Unit> {
        Unit::ALL
            .into_iter()
            .filter(move |unit| self.contains(*unit))
    }
}

/// An amount of each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Requests.
    pub requests: u64,
    /// Weighted tokens.
    pub tokens: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// US dollars, in 10^-12.
    pub usd: u64,
}

impl Amounts {
    /// Returns the amount of a unit.
    #[inline]
    pub const fn get(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Tokens => self.tokens,
            Unit::InputTokens => self.input_tokens,
            Unit::OutputTokens => self.output_tokens,
            Unit::Usd => self.usd,
        }
    }

    /// Returns, for each unit, what `self` has over `other`; zero where it has less.
    #[must_use]
    pub const fn over(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            usd: self.usd.saturating_sub(other.usd),
        }
    }

    /// Returns the sum of both.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            usd: self.usd.saturating_add(other.usd),
        }
    }

    /// Returns, for each unit, the larger amount.
    #[must_use]
    pub fn at_least(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            tokens: self.tokens.max(other.tokens),
            input_tokens: self.input_tokens.max(other.input_tokens),
            output_tokens: self.output_tokens.max(other.output_tokens),
            usd: self.usd.max(other.usd),
        }
    }

    /// Returns the amounts without those of some units.
    #[must_use]
    pub fn without(&self, units: Units) -> Self {
        if units.is_empty() {
            return *self;
        }
        let of = |unit| {
            if units.contains(unit) {
                0
            } else {
                self.get(unit)
            }
        };
        Self {
            requests: of(Unit::Requests),
            tokens: of(Unit::Tokens),
            input_tokens: of(Unit::InputTokens),
            output_tokens: of(Unit::OutputTokens),
            usd: of(Unit::Usd),
        }
    }

    /// True when every amount is zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_the_units_before() {
        let units = Units::default().with(Unit::Usd).with(Unit::Tokens);
        assert_eq!(units.column(Unit::Tokens), Some(0));
        assert_eq!(units.column(Unit::Usd), Some(1));
        assert_eq!(units.column(Unit::Requests), None);
        assert_eq!(units.iter().count(), units.count());
    }
}
