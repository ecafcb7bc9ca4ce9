//! Reads usage from JSON, by the paths and fields of the [`Dialects`].

use crate::tokens::dialect::{Dialects, Field, Tree};
use crate::tokens::usage::Usage;
use crate::tokens::walk::{Any, Entries, Fit, Rest, ValueReader};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads the usage of a complete text; `None` when it is absent, or invalid at the top level.
pub fn text(json: &[u8], dialects: &Dialects) -> Option<Usage> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let usage = deserializer.deserialize_map(TextVisitor(dialects)).ok()?;
    deserializer.end().ok()?;
    usage
}

/// Reads a usage object at the start of `json`, and ignores the text after it.
pub fn object(json: &[u8], dialects: &Dialects) -> Option<Usage> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    usage(&mut deserializer, dialects).ok()
}

/// Reads a usage object.
///
/// # Errors
/// The deserializer's error, or an error for a value that is not a usage.
pub fn usage<'de, D: Deserializer<'de>>(
    deserializer: D,
    dialects: &Dialects,
) -> Result<Usage, D::Error> {
    let mut usage = Usage::default();
    let reader = CountReader {
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

/// Reads the counts of a usage object, or of an object inside it.
struct CountReader<'t, 'u> {
    node: &'t Tree<Field>,
    usage: &'u mut Usage,
    rest: Rest,
    /// True when the object is inside the usage object.
    is_inner: bool,
}

impl CountReader<'_, '_> {
    /// Claims the counts of an inner object, including the counts that it lacks.
    fn begin(&mut self) {
        let members = self.node.members.iter().filter(|_| self.is_inner);
        for (rank, field) in members.filter_map(|member| member.leaf) {
            self.usage.offer(field, rank, None);
        }
    }
}

impl<'de> ValueReader<'de> for CountReader<'_, '_> {
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
            let member = CountReader {
                node,
                usage: self.usage,
                rest: self.rest,
                is_inner: true,
            };
            is_wrong |= entries.map.next_value_seed(Any(member))? == Fit::Wrong;
        }
        Ok(Fit::wrong_if(is_wrong || entries.has_twice))
    }

    /// An empty array counts as an empty object: PHP writes it so.
    fn array<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Fit, A::Error> {
        let has_elements = self.rest.of_array(&mut array)?;
        let is_wrong = has_elements || self.node.members.is_empty();
        if !is_wrong {
            self.begin();
        }
        Ok(Fit::wrong_if(is_wrong))
    }
}

/// A usage and the rank of its path.
type Found = Option<(usize, Usage)>;

/// Keeps the usage with the lowest rank; of two with equal rank, the first.
fn keep(found: &mut Found, rank: usize, usage: Usage) {
    if found.is_none_or(|(best, _)| rank < best) {
        *found = Some((rank, usage));
    }
}

/// Reads a value that may be or contain a usage.
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

    /// Reads a value at the path of a usage, with `read`.
    fn usage<E>(
        self,
        rank: usize,
        read: impl FnOnce(CountReader<'_, '_>) -> Result<Fit, E>,
    ) -> Result<Fit, E> {
        let mut usage = Usage::default();
        let fit = read(CountReader {
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

impl<'de> ValueReader<'de> for Places<'_, '_> {
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

/// Reads the top level of a text.
struct TextVisitor<'d>(&'d Dialects);

impl<'de> Visitor<'de> for TextVisitor<'_> {
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
            // An invalid member voids the complete value.
            if fit == Fit::Right
                && let Some((rank, usage)) = found
            {
                keep(&mut best, rank, usage);
            }
        }
        Ok(best.map(|(_, usage)| usage))
    }
}
