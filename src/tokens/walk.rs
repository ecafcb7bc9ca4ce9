//! Walks a JSON text by a [`Tree`] of the names that matter, and passes over all others.
//!
//! A text is parsed once, as it stands, and nothing of it is stored. A value that does not fit its
//! place is no error of the parser: the walk goes on behind it and tells [`Fit::Wrong`].

use crate::tokens::dialect::Tree;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Whether a value fits its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is null.
    Null,
    /// It is of another kind than its place takes.
    Wrong,
    /// It fits.
    Right,
}

impl Fit {
    /// Wrong or right.
    pub fn wrong_if(is_wrong: bool) -> Self {
        if is_wrong { Self::Wrong } else { Self::Right }
    }
}

/// How values without a meaning are passed over.
#[derive(Clone, Copy, Debug)]
pub enum Rest {
    /// By their structure alone: strings may be no UTF-8, numbers of any size.
    Skip,
    /// With their strings, numbers and depth checked.
    Check,
}

impl<'de> DeserializeSeed<'de> for Rest {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self {
            Self::Skip => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            Self::Check => Any(Skipped).deserialize(deserializer).map(drop),
        }
    }
}

impl Rest {
    /// Passes over an object.
    pub fn of_object<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<(), A::Error> {
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    /// Passes over an array, and tells whether it had elements.
    pub fn of_array<'de, A: SeqAccess<'de>>(self, array: &mut A) -> Result<bool, A::Error> {
        let mut has_elements = false;
        while array.next_element_seed(self)?.is_some() {
            has_elements = true;
        }
        Ok(has_elements)
    }
}

/// Takes a value of any kind; one that is not expected is [`Fit::Wrong`].
pub trait ValueReader<'de>: Sized {
    /// A whole number that is not negative.
    fn number(self, _: u64) -> Fit {
        Fit::Wrong
    }

    /// An object.
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Fit, A::Error>;

    /// An array.
    fn array<A: SeqAccess<'de>>(self, array: A) -> Result<Fit, A::Error>;
}

/// Gives a value to its reader.
pub struct Any<R>(pub R);

impl<'de, R: ValueReader<'de>> DeserializeSeed<'de> for Any<R> {
    type Value = Fit;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fit, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: ValueReader<'de>> Visitor<'de> for Any<R> {
    type Value = Fit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Fit, E> {
        Ok(Fit::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Fit, E> {
        Ok(Fit::Wrong)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Fit, E> {
        Ok(self.0.number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Fit, E> {
        Ok(Fit::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Fit, E> {
        Ok(Fit::Wrong)
    }

    fn visit_str<E>(self, _: &str) -> Result<Fit, E> {
        Ok(Fit::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Fit, A::Error> {
        self.0.object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Fit, A::Error> {
        self.0.array(array)
    }
}

/// Gives an object's name to a function, without a copy of it.
pub struct Name<F>(pub F);

impl<'de, R, F: FnOnce(&str) -> R> DeserializeSeed<'de> for Name<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<R, F: FnOnce(&str) -> R> Visitor<'_> for Name<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<R, E> {
        Ok((self.0)(name))
    }
}

/// Goes through an object's entries, and stops at those that have a node.
pub struct Entries<'t, T, A> {
    node: &'t Tree<T>,
    rest: Rest,
    /// The entries that are left.
    pub map: A,
    /// A bit for each member that was there.
    seen: u64,
    /// Whether a member was there twice.
    pub has_twice: bool,
}

impl<'t, 'de, T, A: MapAccess<'de>> Entries<'t, T, A> {
    /// All entries of `map`.
    pub fn new(node: &'t Tree<T>, rest: Rest, map: A) -> Self {
        Self {
            node,
            rest,
            map,
            seen: 0,
            has_twice: false,
        }
    }

    /// The node of the next value, which its reader takes from [`Self::map`].
    pub fn next(&mut self) -> Result<Option<&'t Tree<T>>, A::Error> {
        while let Some(at) = self
            .map
            .next_key_seed(Name(|name: &str| self.node.position(name)))?
        {
            let Some((at, node)) = at.and_then(|at| Some((at, self.node.members.get(at)?))) else {
                self.map.next_value_seed(self.rest)?;
                continue;
            };
            let bit = u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at));
            let bit = bit.unwrap_or(0);
            self.has_twice |= self.seen & bit != 0;
            self.seen |= bit;
            return Ok(Some(node));
        }
        Ok(None)
    }
}

/// Passes over a value and checks it.
struct Skipped;

impl<'de> ValueReader<'de> for Skipped {
    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Fit, A::Error> {
        Rest::Check.of_object(&mut map)?;
        Ok(Fit::Wrong)
    }

    fn array<A: SeqAccess<'de>>(self, mut array: A) -> Result<Fit, A::Error> {
        Rest::Check.of_array(&mut array)?;
        Ok(Fit::Wrong)
    }
}
