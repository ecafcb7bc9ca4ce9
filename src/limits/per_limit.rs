//! A value for each of some limit kinds: limits, usage.

use super::kinds::LimitKind;
use crate::json::Named;
use std::num::NonZeroU64;

/// One limit. The order is by size, so `min` is the stricter of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// A maximum.
    Finite(NonZeroU64),
    /// No limit.
    Unlimited,
}

impl Limit {
    /// The largest finite limit: 2^53 - 1, which every JSON reader reads exactly.
    pub const MAX: u64 = 9_007_199_254_740_991;

    /// Returns the number of a finite limit.
    pub const fn finite(self) -> Option<u64> {
        match self {
            Self::Finite(n) => Some(n.get()),
            Self::Unlimited => None,
        }
    }
}

/// A value for each of some kinds, in the order of the kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerLimit<T>(Vec<(LimitKind, T)>);

impl<T> Default for PerLimit<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PerLimit<T> {
    /// Returns the value of a kind.
    pub fn get(&self, kind: LimitKind) -> Option<&T> {
        self.iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, value)| value)
    }

    /// Returns the kinds with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKind, &T)> {
        self.0.iter().map(|(kind, value)| (*kind, value))
    }

    /// Returns the values of `f` for the same kinds.
    pub fn map<U>(&self, mut f: impl FnMut(LimitKind, &T) -> U) -> PerLimit<U> {
        PerLimit(
            self.iter()
                .map(|(kind, value)| (kind, f(kind, value)))
                .collect(),
        )
    }

    /// Removes the values of a name for a family, or for all requests, whatever it means.
    pub fn remove_name(&mut self, name: &str, model: Option<&str>) {
        self.0
            .retain(|(kind, _)| kind.as_str() != name || kind.model() != model);
    }

    /// Sets the value of a kind.
    pub fn set(&mut self, kind: LimitKind, value: T) {
        match self.0.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(at) => {
                if let Some(place) = self.0.get_mut(at) {
                    place.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (kind, value)),
        }
    }
}

impl<T: Clone> PerLimit<T> {
    /// Returns the values for all requests of the account, by name, as views show them.
    pub fn named(&self) -> Named<T> {
        self.of_model(None)
    }

    /// Returns the values for families of models, by family and name, as views show them.
    pub fn models(&self) -> Named<Named<T>> {
        let mut names: Vec<&str> = self.iter().filter_map(|(kind, _)| kind.model()).collect();
        names.dedup();
        let models = names.into_iter();
        Named(
            models
                .map(|model| (model.to_owned(), self.of_model(Some(model))))
                .collect(),
        )
    }

    fn of_model(&self, model: Option<&str>) -> Named<T> {
        let own = self.iter().filter(|(kind, _)| kind.model() == model);
        Named(
            own.map(|(kind, value)| (kind.as_str().to_owned(), value.clone()))
                .collect(),
        )
    }

    /// Returns the values of both.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        self.0.iter().chain(&others.0).cloned().collect()
    }
}

impl<T> FromIterator<(LimitKind, T)> for PerLimit<T> {
    fn from_iter<I: IntoIterator<Item = (LimitKind, T)>>(all: I) -> Self {
        let mut map = Self::default();
        for (kind, value) in all {
            map.set(kind, value);
        }
        map
    }
}

/// The limits of a tier or an account. A kind that it lacks is not limited.
pub type Limits = PerLimit<Limit>;

impl Limits {
    /// Returns the limit of a kind.
    pub fn of(&self, kind: LimitKind) -> Limit {
        self.get(kind).copied().unwrap_or(Limit::Unlimited)
    }

    /// Returns the finite limits, in order.
    pub fn finite(&self) -> impl Iterator<Item = (LimitKind, u64)> {
        self.iter()
            .filter_map(|(kind, limit)| Some((kind, limit.finite()?)))
    }

    /// True when nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        self.finite().next().is_none()
    }

    /// Returns the limits of an account whose tier is unknown: the necessary kinds, unlimited.
    pub fn unknown() -> Self {
        let kinds = LimitKind::NECESSARY.into_iter();
        kinds
            .filter_map(|name| Some((LimitKind::known(name)?, Limit::Unlimited)))
            .collect()
    }

    /// True when requests in flight are limited.
    pub fn limits_concurrency(&self) -> bool {
        self.finite().any(|(kind, _)| kind.is_concurrency())
    }

    /// Returns the limits without one on requests in flight.
    #[must_use]
    pub fn without_concurrency(&self) -> Self {
        let others = self.0.iter().filter(|(kind, _)| !kind.is_concurrency());
        Self(others.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlimited_is_over_every_number() {
        let finite = NonZeroU64::new(Limit::MAX).map(Limit::Finite).unwrap();
        assert_eq!(finite.min(Limit::Unlimited), finite);
        assert!(Limit::Finite(NonZeroU64::MIN) < finite);
    }
}
