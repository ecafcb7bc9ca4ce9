//! The limit kinds.
//!
//! A kind is a name, a unit and a time; and for a family of models, the family's name. The known
//! names have a fixed meaning; a config names others. Only the default tiers and the OpenAI headers
//! know kinds by name.

use super::record::FamilyKey;
use super::units::Unit;
use crate::time::Span;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

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

impl Counted {
    /// True for a sum of US dollars.
    pub const fn is_money(self) -> bool {
        matches!(self, Self::Sum(Unit::Usd, _))
    }
}

/// A kind of limit. Kinds are equal when their names and meanings are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKind(&'static Kind);

/// The parts of a kind; the order is that of views.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Kind {
    /// The family of models; `None` for all requests of the account.
    model: Option<Model>,
    /// The position among the known names; [`u8::MAX`] for others.
    rank: u8,
    name: &'static str,
    counted: Counted,
}

/// A family of models, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Model {
    name: &'static str,
    key: FamilyKey,
}

/// The maximum number of kinds that configs and accounts can name in the life of a VM.
const MOST_NAMED: usize = 16_384;
/// The longest name.
const LONGEST_NAME: usize = 32;

const fn sum(rank: u8, name: &'static str, unit: Unit, per: Per) -> Kind {
    Kind {
        model: None,
        rank,
        name,
        counted: Counted::Sum(unit, per),
    }
}

/// The known names.
static KNOWN: [Kind; 12] = [
    Kind {
        model: None,
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

/// Named kinds by meaning, family and name.
type NamedKinds = BTreeMap<Counted, BTreeMap<(&'static str, &'static str), &'static Kind>>;

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

    /// Returns the kind of a name that has no fixed meaning. `None`: the name is not allowed, or is
    /// known, or too many kinds were named.
    pub fn named(name: &str, counted: Counted) -> Option<Self> {
        if !Self::is_name(name) || Self::known(name).is_some() {
            return None;
        }
        intern("", name, counted, u8::MAX)
    }

    /// Returns the kind of the same name and meaning that counts a family of models alone; `None`
    /// when too many kinds were named.
    pub fn of_model(self, model: &str) -> Option<Self> {
        intern(model, self.0.name, self.0.counted, self.0.rank)
    }

    /// Returns the name in configs, replies, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// Returns the name of the family of models that the limit is for; `None` for all requests of
    /// the account.
    pub fn model(self) -> Option<&'static str> {
        self.0.model.map(|model| model.name)
    }

    /// Returns the part of a record that counts the kind.
    pub const fn family(self) -> FamilyKey {
        match &self.0.model {
            Some(model) => model.key,
            None => FamilyKey::ACCOUNT,
        }
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
        let own: Cow<'static, str> = match (self.0.counted, self.0.rank) {
            (Counted::Leases, _) => "Concurrency".into(),
            (_, u8::MAX) => self.0.name.into(),
            _ => self.0.name.to_ascii_uppercase().into(),
        };
        match self.model() {
            Some(model) => format!("{model} {own}").into(),
            None => own,
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

    /// Returns the place of the kind's limit in the config, in the tier at this path.
    pub fn path_in(self, tier: &str) -> String {
        match self.model() {
            None => format!("{tier}.limits.{}", self.0.name),
            Some(model) => format!("{tier}.models.{model}.{}", self.0.name),
        }
    }

    /// True for a limit of a day or longer.
    pub const fn is_long(self) -> bool {
        match self.0.counted {
            Counted::Leases => false,
            Counted::Sum(_, per) => match per {
                Per::Day | Per::Week | Per::Month => true,
                Per::Custom(length) => length.as_millis() >= 86_400_000,
                Per::Second | Per::Minute | Per::Hour => false,
            },
        }
    }

    /// Tells whether the kind counts this unit.
    pub fn counts(self, unit: Unit) -> bool {
        matches!(self.0.counted, Counted::Sum(counted, _) if counted == unit)
    }

    /// Tells whether the kind counts what a request consumes: tokens or money.
    pub const fn is_consumed(self) -> bool {
        match self.0.counted {
            Counted::Leases | Counted::Sum(Unit::Requests, _) => false,
            Counted::Sum(..) => true,
        }
    }
}

/// Finds or creates the kind of a family; of all requests for an empty `model`.
fn intern(model: &str, name: &str, counted: Counted, rank: u8) -> Option<LimitKind> {
    let mut all = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let same = all.get(&counted);
    if let Some(kind) = same.and_then(|kinds| kinds.get(&(model, name))) {
        return Some(LimitKind(kind));
    }
    let lengths = all.values().map(BTreeMap::len);
    if lengths.fold(0, usize::saturating_add) >= MOST_NAMED {
        return None;
    }
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let (model, name) = (leak(model), leak(name));
    let kind: &'static Kind = Box::leak(Box::new(Kind {
        model: (!model.is_empty()).then(|| Model {
            name: model,
            key: FamilyKey::of(model),
        }),
        rank,
        name,
        counted,
    }));
    all.entry(counted).or_default().insert((model, name), kind);
    Some(LimitKind(kind))
}

/// The name, behind that of the family: `tpd`, `k2/tpd`.
impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.model() {
            Some(model) => write!(f, "{model}/{}", self.0.name),
            None => f.write_str(self.0.name),
        }
    }
}

impl fmt::Debug for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
    fn the_kind_of_a_family_has_the_same_meaning_and_counts_apart() {
        let rpm = LimitKind::known("rpm").unwrap();
        let kind = rpm.of_model("k2").unwrap();
        assert_eq!(rpm.of_model("k2"), Some(kind));
        assert_ne!(kind, rpm);
        assert_ne!(kind.family(), rpm.family());
        assert_eq!((kind.as_str(), kind.model()), ("rpm", Some("k2")));
        assert_eq!(kind.counted(), rpm.counted());
        assert!(LimitKind::known("otpd") < Some(kind), "families come last");
    }
}
