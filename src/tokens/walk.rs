//! Walks a JSON text along a [`Tree`] of names, and skips all other names.
//!
//! A text is parsed once, in place, and nothing is stored. A value of the wrong type is not a parse
//! error: the walk continues after it and returns [`Fit::Wrong`].

use crate::tokens::dialect::Tree;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The fit of a value to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The value is null.
    Null,
    /// The value has another type than the node expects.
    Wrong,
    /// The value fits.
    Right,
}

impl Fit {
    /// Wrong or right.
    pub fn wrong_if(is_wrong: bool) -> Self {
        if is_wrong { Self::Wrong } else { Self::Right }
    }
}

/// The way to skip values without a node.
#[derive(Clone, Copy, Debug)]
pub enum Rest {
    /// By structure only: strings may be invalid UTF-8, numbers may have any size.
    Skip,
    /// With a check of strings, numbers and depth.
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
    /// Skips an object.
    pub fn of_object<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<(), A::Error> {
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    /// Skips an array; true when it had elements.
    pub fn of_array<'de, A: SeqAccess<'de>>(self, array: &mut A) -> Result<bool, A::Error> {
        let mut has_elements = false;
        while array.next_element_seed(self)?.is_some() {
            has_elements = true;
        }
        Ok(has_elements)
    }
}

/// Reads a value of any type; an unexpected type is [`Fit::Wrong`].
pub trait ValueReader<'de>: Sized {
    /// Reads a whole, non-negative number.
    fn number(self, _: u64) -> Fit {
        Fit::Wrong
    }

    /// Reads an object.
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Fit, A::Error>;

    /// Reads an array.
    fn array<A: SeqAccess<'de>>(self, array: A) -> Result<Fit, A::Error>;
}

/// Passes a value to its reader.
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

/// Passes an object's name to a function, without a copy.
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

/// Iterates over the entries of an object that have a node.
pub struct Entries<'t, T, A> {
    node: &'t Tree<T>,
    rest: Rest,
    /// The remaining entries.
    pub map: A,
    /// One bit for each member that was present.
    seen: u64,
    /// True when a member repeats.
    pub has_twice: bool,
}

impl<'t, 'de, T, A: MapAccess<'de>> Entries<'t, T, A> {
    /// Starts with all entries of `map`.
    pub fn new(node: &'t Tree<T>, rest: Rest, map: A) -> Self {
        Self {
            node,
            rest,
            map,
            seen: 0,
            has_twice: false,
        }
    }

    /// Returns the node of the next value; the node's reader takes the value from [`Self::map`].
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

/// Skips a value and checks it.
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
