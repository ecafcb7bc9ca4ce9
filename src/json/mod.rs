//! Strict JSON: one complete value. An error names the path and the allowed values.

mod checks;
pub mod decimal;
mod invalid;
mod near_name;
#[cfg(feature = "cli")]
pub(crate) mod schema;
pub mod values;
pub mod wire_struct;

pub use checks::{Bounded, in_range, plain_name};
pub use invalid::Invalid;
pub use near_name::nearest;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Reads one value that is all of `json`.
///
/// # Errors
/// [`Invalid`] for the first problem.
pub fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Invalid> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let value: T = read.map_err(|error| {
        let path = error.path().to_string();
        Invalid {
            path: match path.as_str() {
                "." | "?" => "$".to_owned(),
                _ => path,
            },
            problem: near_name::suggested(error.into_inner().to_string()),
        }
    })?;
    deserializer.end().map_err(|error| Invalid {
        path: "$".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(value)
}

/// A JSON object; plain serde also accepts a list of a struct's fields in order.
#[derive(Debug, Default)]
pub struct Object<T>(pub T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A JSON object whose names are data, in order; names are unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Named<T> {
    /// True without a name.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let mut all = self.0.iter();
        all.find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

impl<T: serde::Serialize> serde::Serialize for Named<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut all: Vec<(String, T)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if all.iter().any(|(other, _)| *other == name) {
                return Err(de::Error::custom(format!("{name:?} is named twice")));
            }
            all.push((name, value));
        }
        Ok(Named(all))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

/// Converts a whole number in JSON's floating point, up to 2^53 - 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number within 2^53"
)]
pub fn as_integer(value: f64) -> Option<u64> {
    let fits = value.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&value);
    fits.then_some(value as u64)
}
