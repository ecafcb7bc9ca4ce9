//! The limit kinds, and a value for each of some kinds: limits, usage.
//!
//! A kind is a name, a unit and a time. The known names have a fixed meaning; a config names others.
//! Only the default tiers and the OpenAI headers know kinds by name.

use super::units::Unit;
use crate::json::Named;
use crate::time::Span;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

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

/// The time over which a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// `windows.second`, sliding.
    Second,
    /// `windows.minute`, sliding.
    Minute,
    /// `windows.hour`, sliding.
    Hour,
    /// `windows.day`.
    Day,
    /// A week from Monday, or seven rolling days.
    Week,
    /// A calendar month, or thirty rolling days.
    Month,
    /// A sliding window of this length.
    Custom(Span),
}

/// The quantity that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Requests in flight.
    Leases,
    /// A unit over a time.
    Sum(Unit, Per),
}

/// A kind of limit. Kinds are equal when their names and meanings are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKind(&'static Kind);

/// The parts of a kind; the order is that of views.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Kind {
    /// The position among the known names; [`u8::MAX`] for others.
    rank: u8,
    name: &'static str,
    counted: Counted,
}

/// The maximum number of kinds that configs and accounts can name in the life of a VM.
const MOST_NAMED: usize = 4_096;
/// The longest name.
const LONGEST_NAME: usize = 32;

const fn sum(rank: u8, name: &'static str, unit: Unit, per: Per) -> Kind {
    Kind {
        rank,
        name,
        counted: Counted::Sum(unit, per),
    }
}

/// The known names.
static KNOWN: [Kind; 12] = [
    Kind {
        rank: 0,
        name: "concurrency",
        counted: Counted::Leases,
    },
    sum(1, "rps", Unit::Requests, Per::Second),
    sum(2, "rpm", Unit::Requests, Per::Minute),
    sum(3, "rph", Unit::Requests, Per::Hour),
    sum(4, "rpd", Unit::Requests, Per::Day),
    sum(5, "tpm", Unit::Tokens, Per::Minute),
    sum(6, "tph", Unit::Tokens, Per::Hour),
    sum(7, "tpd", Unit::Tokens, Per::Day),
    sum(8, "itpm", Unit::InputTokens, Per::Minute),
    sum(9, "itpd", Unit::InputTokens, Per::Day),
    sum(10, "otpm", Unit::OutputTokens, Per::Minute),
    sum(11, "otpd", Unit::OutputTokens, Per::Day),
];

/// Named kinds by meaning and name.
type NamedKinds = BTreeMap<Counted, BTreeMap<&'static str, &'static Kind>>;

/// The kinds that configs and accounts named; they live as long as the VM, so a kind is one word.
static NAMED: Mutex<NamedKinds> = Mutex::new(BTreeMap::new());

impl LimitKind {
    /// The kinds that every tier of a config names, in order.
    pub const NECESSARY: [&'static str; 4] = ["concurrency", "rpm", "tpm", "tpd"];

    /// Finds the kind of a known name.
    pub fn known(name: &str) -> Option<Self> {
        KNOWN.iter().find(|kind| kind.name == name).map(Self)
    }

    /// Returns the known names, in order.
    pub fn known_names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|kind| kind.name)
    }

    /// True for a text that can name a limit: 1 to 32 of `a` to `z`, `0` to `9` and `_`.
    pub fn is_name(name: &str) -> bool {
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_word)
    }

    /// Returns the kind of a name that is not known; `None` for a name that is none, and when too
    /// many kinds were named.
    pub fn named(name: &str, counted: Counted) -> Option<Self> {
        if !Self::is_name(name) || Self::known(name).is_some() {
            return None;
        }
        let mut all = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = all.get(&counted).and_then(|kinds| kinds.get(name)) {
            return Some(Self(kind));
        }
        let count = all
            .values()
            .fold(0, |sum: usize, kinds| sum.saturating_add(kinds.len()));
        if count >= MOST_NAMED {
            return None;
        }
        let kind: &'static Kind = Box::leak(Box::new(Kind {
            rank: u8::MAX,
            name: Box::leak(name.to_owned().into_boxed_str()),
            counted,
        }));
        all.entry(counted).or_default().insert(kind.name, kind);
        Some(Self(kind))
    }

    /// Returns the name in configs, replies, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// Returns what the limit counts.
    pub const fn counted(self) -> Counted {
        self.0.counted
    }

    /// True for requests in flight.
    pub const fn is_concurrency(self) -> bool {
        matches!(self.0.counted, Counted::Leases)
    }

    /// True when the kind counts this unit over this time.
    pub fn is(self, unit: Unit, per: Per) -> bool {
        self.0.counted == Counted::Sum(unit, per)
    }

    /// Returns the counted unit in words.
    pub fn in_words(self) -> Cow<'static, str> {
        match self.0.counted {
            Counted::Leases => "concurrent requests".into(),
            Counted::Sum(unit, per) => format!("{} {per}", unit.in_words()).into(),
        }
    }

    /// Returns the heading of a table's row or column.
    pub fn heading(self) -> Cow<'static, str> {
        match (self.0.counted, self.0.rank) {
            (Counted::Leases, _) => "Concurrency".into(),
            (_, u8::MAX) => self.0.name.into(),
            _ => self.0.name.to_ascii_uppercase().into(),
        }
    }

    /// Tells whether the overload loop lowers the kind: concurrency, and what slides within an
    /// hour. The use of a day does not show the present overload.
    pub const fn is_adaptive(self) -> bool {
        match self.0.counted {
            Counted::Leases => true,
            Counted::Sum(Unit::Usd, _) => false,
            Counted::Sum(_, per) => match per {
                Per::Second | Per::Minute | Per::Hour => true,
                Per::Custom(length) => length.as_millis() <= 3_600_000,
                Per::Day | Per::Week | Per::Month => false,
            },
        }
    }

    /// Tells whether an operator's scale lowers the kind: every one but money, weeks and months.
    pub const fn is_lowered_manually(self) -> bool {
        !matches!(
            self.0.counted,
            Counted::Sum(Unit::Usd, _) | Counted::Sum(_, Per::Week | Per::Month)
        )
    }

    /// Tells whether the kind counts output alone.
    pub const fn counts_output(self) -> bool {
        matches!(self.0.counted, Counted::Sum(Unit::OutputTokens, _))
    }

    /// Tells whether the kind counts tokens.
    pub const fn counts_tokens(self) -> bool {
        matches!(
            self.0.counted,
            Counted::Sum(Unit::Tokens | Unit::InputTokens | Unit::OutputTokens, _)
        )
    }
}

impl fmt::Debug for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Second => f.write_str("per second"),
            Self::Minute => f.write_str("per minute"),
            Self::Hour => f.write_str("per hour"),
            Self::Day => f.write_str("per day"),
            Self::Week => f.write_str("per week"),
            Self::Month => f.write_str("per month"),
            Self::Custom(length) => write!(f, "in {length}"),
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

    /// Removes the values of a name, whatever it means.
    pub fn remove_name(&mut self, name: &str) {
        self.0.retain(|(kind, _)| kind.as_str() != name);
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
    /// Returns the values by name, as views show them.
    pub fn named(&self) -> Named<T> {
        Named(
            self.iter()
                .map(|(kind, value)| (kind.as_str().to_owned(), value.clone()))
                .collect(),
        )
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

impl<T: Serialize> Serialize for PerLimit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(kind, value)| (kind.as_str(), value)))
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
    fn a_named_kind_is_one_kind_and_known_names_keep_their_meaning() {
        let images = Counted::Sum(Unit::Requests, Per::Day);
        let kind = LimitKind::named("images", images).unwrap();
        assert_eq!(LimitKind::named("images", images), Some(kind));
        assert_ne!(LimitKind::named("images", Counted::Leases), Some(kind));
        assert_eq!(LimitKind::named("rpm", images), None);
        for wrong in ["", "Images", "a-b", "a.b", &"x".repeat(33)] {
            assert_eq!(LimitKind::named(wrong, images), None, "{wrong}");
        }
        assert!(LimitKind::known("otpd") < Some(kind), "known names first");
    }

    #[test]
    fn unlimited_is_over_every_number() {
        let finite = NonZeroU64::new(Limit::MAX).map(Limit::Finite).unwrap();
        assert_eq!(finite.min(Limit::Unlimited), finite);
        assert!(Limit::Finite(NonZeroU64::MIN) < finite);
    }
}
