//! Reads usage out of JSON, by the places and the fields of the [`Dialects`].
//!
//! A text is parsed once, as it stands, and nothing of it is stored. A value that does not fit its
//! place is no error of the parser: the reader goes on behind it and tells [`Fit::Wrong`].

use crate::tokens::dialect::{Dialects, Field, Tree};
use crate::tokens::usage::Usage;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads the usage in a whole text; `None` when it has none, or a wrong one at its top.
pub fn text(json: &[u8], dialects: &Dialects) -> Option<Usage> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let usage = deserializer.deserialize_map(Text(dialects)).ok()?;
    deserializer.end().ok()?;
    usage
}

/// Reads a usage object, and leaves what comes behind it.
pub fn object(json: &[u8], dialects: &Dialects) -> Option<Usage> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    usage(&mut deserializer, dialects).ok()
}

/// Reads a usage object.
///
/// # Errors
/// The deserializer's, and one for a value that is no usage.
pub fn usage<'de, D: Deserializer<'de>>(
    deserializer: D,
    dialects: &Dialects,
) -> Result<Usage, D::Error> {
    let mut usage = Usage::default();
    let reader = Fields {
        node: &dialects.fields,
        usage: &mut usage,
        rest: Rest::Skip,
        is_inner: false,
    };
    match Any(reader).deserialize(deserializer)? {
        Fit::Right => Ok(usage),
        Fit::Null | Fit::Wrong => Err(D::Error::custom("no usage")),
    }
}

/// Whether a value fits its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Null,
    Wrong,
    Right,
}

impl Fit {
    fn wrong_if(is_wrong: bool) -> Self {
        if is_wrong { Self::Wrong } else { Self::Right }
    }
}

/// How values without a meaning are passed over.
#[derive(Clone, Copy, Debug)]
enum Rest {
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
            Self::Check => Any(Unread).deserialize(deserializer).map(drop),
        }
    }
}

impl Rest {
    fn of_object<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<(), A::Error> {
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    /// Passes over an array, and tells whether it had elements.
    fn of_array<'de, A: SeqAccess<'de>>(self, array: &mut A) -> Result<bool, A::Error> {
        let mut has_elements = false;
        while array.next_element_seed(self)?.is_some() {
            has_elements = true;
        }
        Ok(has_elements)
    }
}

/// Takes a value of any kind; one that is not expected is [`Fit::Wrong`].
trait Reader<'de>: Sized {
    fn number(self, _: u64) -> Fit {
        Fit::Wrong
    }

    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Fit, A::Error>;

    fn array<A: SeqAccess<'de>>(self, array: A) -> Result<Fit, A::Error>;
}

/// Gives a value to its reader.
struct Any<R>(R);

impl<'de, R: Reader<'de>> DeserializeSeed<'de> for Any<R> {
    type Value = Fit;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fit, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Reader<'de>> Visitor<'de> for Any<R> {
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

/// Reads a name into its position among a node's members.
struct Name<'t, T>(&'t Tree<T>);

impl<'de, T> DeserializeSeed<'de> for Name<'_, T> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T> Visitor<'_> for Name<'_, T> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.position(name))
    }
}

/// Goes through an object's entries, and stops at those that have a node.
struct Entries<'t, T, A> {
    node: &'t Tree<T>,
    rest: Rest,
    map: A,
    /// A bit for each member that was there.
    seen: u64,
    /// Whether a member was there twice.
    has_twice: bool,
}

impl<'t, 'de, T, A: MapAccess<'de>> Entries<'t, T, A> {
    fn new(node: &'t Tree<T>, rest: Rest, map: A) -> Self {
        Self {
            node,
            rest,
            map,
            seen: 0,
            has_twice: false,
        }
    }

    /// The node of the next value, which its reader takes from [`Self::map`].
    fn next(&mut self) -> Result<Option<&'t Tree<T>>, A::Error> {
        while let Some(at) = self.map.next_key_seed(Name(self.node))? {
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
struct Unread;

impl<'de> Reader<'de> for Unread {
    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Fit, A::Error> {
        Rest::Check.of_object(&mut map)?;
        Ok(Fit::Wrong)
    }

    fn array<A: SeqAccess<'de>>(self, mut array: A) -> Result<Fit, A::Error> {
        Rest::Check.of_array(&mut array)?;
        Ok(Fit::Wrong)
    }
}

/// Reads the counts of a usage object, or of an object inside it.
struct Fields<'t, 'u> {
    node: &'t Tree<Field>,
    usage: &'u mut Usage,
    rest: Rest,
    /// Whether the object is inside the usage object.
    is_inner: bool,
}

impl Fields<'_, '_> {
    /// An inner object decides for the counts in it, also for those that it does not have.
    fn begin(&mut self) {
        let members = self.node.members.iter().filter(|_| self.is_inner);
        for (rank, field) in members.filter_map(|member| member.leaf) {
            self.usage.offer(field, rank, None);
        }
    }
}

impl<'de> Reader<'de> for Fields<'_, '_> {
    fn number(self, number: u64) -> Fit {
        let Some((rank, field)) = self.node.leaf else {
            return Fit::Wrong;
        };
        self.usage.offer(field, rank, Some(number));
        Fit::Right
    }

    fn object<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Fit, A::Error> {
        if self.node.members.is_empty() {
            self.rest.of_object(&mut map)?;
            return Ok(Fit::Wrong);
        }
        self.begin();
        let mut is_wrong = false;
        let mut entries = Entries::new(self.node, self.rest, map);
        while let Some(node) = entries.next()? {
            let member = Fields {
                node,
                usage: self.usage,
                rest: self.rest,
                is_inner: true,
            };
            is_wrong |= entries.map.next_value_seed(Any(member))? == Fit::Wrong;
        }
        Ok(Fit::wrong_if(is_wrong || entries.has_twice))
    }

    /// An empty array is an empty object: PHP writes it so.
    fn array<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Fit, A::Error> {
        let has_elements = self.rest.of_array(&mut array)?;
        let is_wrong = has_elements || self.node.members.is_empty();
        if !is_wrong {
            self.begin();
        }
        Ok(Fit::wrong_if(is_wrong))
    }
}

/// A usage and the rank of its place.
type Found = Option<(usize, Usage)>;

/// Keeps the usage of the lowest rank; of two of one rank, the first.
fn keep(found: &mut Found, rank: usize, usage: Usage) {
    if found.is_none_or(|(best, _)| rank < best) {
        *found = Some((rank, usage));
    }
}

/// Reads a value in which a usage may be.
struct Places<'d, 'f> {
    dialects: &'d Dialects,
    node: &'d Tree<()>,
    found: &'f mut Found,
    rest: Rest,
}

impl<'d> Places<'d, '_> {
    fn inside<'a>(&'a mut self, node: &'d Tree<()>) -> Any<Places<'d, 'a>> {
        Any(Places {
            dialects: self.dialects,
            node,
            found: self.found,
            rest: self.rest,
        })
    }

    /// Reads a usage, in the place of which the value is, with `read`.
    fn usage<E>(
        self,
        rank: usize,
        read: impl FnOnce(Fields<'_, '_>) -> Result<Fit, E>,
    ) -> Result<Fit, E> {
        let mut usage = Usage::default();
        let fit = read(Fields {
            node: &self.dialects.fields,
            usage: &mut usage,
            rest: self.rest,
            is_inner: false,
        })?;
        if fit == Fit::Right {
            keep(self.found, rank, usage);
        }
        Ok(fit)
    }
}

impl<'de> Reader<'de> for Places<'_, '_> {
    fn object<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Fit, A::Error> {
        if let Some((rank, ())) = self.node.leaf {
            return self.usage(rank, |fields| fields.object(map));
        }
        if self.node.members.is_empty() {
            self.rest.of_object(&mut map)?;
            return Ok(Fit::Wrong);
        }
        let mut is_wrong = false;
        let mut entries = Entries::new(self.node, self.rest, map);
        while let Some(node) = entries.next()? {
            is_wrong |= entries.map.next_value_seed(self.inside(node))? == Fit::Wrong;
        }
        Ok(Fit::wrong_if(is_wrong || entries.has_twice))
    }

    fn array<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Fit, A::Error> {
        if let Some((rank, ())) = self.node.leaf {
            return self.usage(rank, |fields| fields.array(array));
        }
        let Some(node) = self.node.elements.as_deref() else {
            let has_elements = self.rest.of_array(&mut array)?;
            return Ok(Fit::wrong_if(has_elements || self.node.members.is_empty()));
        };
        let mut is_wrong = false;
        while let Some(fit) = array.next_element_seed(self.inside(node))? {
            is_wrong |= fit != Fit::Right;
        }
        Ok(Fit::wrong_if(is_wrong))
    }
}

/// Reads a text's top.
struct Text<'d>(&'d Dialects);

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Option<Usage>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Usage>, A::Error> {
        let mut best = None;
        let mut entries = Entries::new(&self.0.places, Rest::Skip, map);
        while let Some(node) = entries.next()? {
            let is_strict = node.leaf.is_some();
            let mut found = None;
            let value = Any(Places {
                dialects: self.0,
                node,
                found: &mut found,
                rest: if is_strict { Rest::Skip } else { Rest::Check },
            });
            let fit = entries.map.next_value_seed(value)?;
            if entries.has_twice || (is_strict && fit == Fit::Wrong) {
                return Err(A::Error::custom(
                    "a wrong usage, or a place that comes twice",
                ));
            }
            // A wrong value inside a place voids all of what the place has.
            if fit == Fit::Right
                && let Some((rank, usage)) = found
            {
                keep(&mut best, rank, usage);
            }
        }
        Ok(best.map(|(_, usage)| usage))
    }
}
