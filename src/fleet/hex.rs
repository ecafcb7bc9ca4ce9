//! Ids of a fixed number of bytes, written in lower-case hex.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// An id of `BYTES` bytes. Its text has two digits for each byte, `0` to `9` and `a` to `f`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const BYTES: usize>(pub [u8; BYTES]);

/// An edge: 64 random bits of one Envoy process and namespace.
pub type EdgeId = Hex<8>;
/// An account: a keyed digest of its name.
pub type AccountId = Hex<16>;
/// The incarnation of an edge's state of an account.
pub type Incarnation = Hex<8>;

impl<const BYTES: usize> Hex<BYTES> {
    /// Reads the text of an id; `None` for any other text, upper case included.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != BYTES.saturating_mul(2) {
            return None;
        }
        let mut id = [0; BYTES];
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = digits.first_chunk().copied()?.map(digit);
            *byte = high?.wrapping_shl(4) | low?;
        }
        Some(Self(id))
    }
}

impl<const BYTES: usize> Default for Hex<BYTES> {
    fn default() -> Self {
        Self([0; BYTES])
    }
}

impl From<u64> for Hex<8> {
    fn from(number: u64) -> Self {
        Self(number.to_be_bytes())
    }
}

impl From<Hex<8>> for u64 {
    fn from(id: Hex<8>) -> Self {
        Self::from_be_bytes(id.0)
    }
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

impl<const BYTES: usize> fmt::Display for Hex<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const BYTES: usize> Serialize for Hex<BYTES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const BYTES: usize> Deserialize<'de> for Hex<BYTES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const BYTES: usize>;
        impl<const BYTES: usize> de::Visitor<'_> for Text<BYTES> {
            type Value = Hex<BYTES>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} digits of lower-case hex", BYTES.saturating_mul(2))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Hex::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_hex_of_its_length() {
        let id = EdgeId::from(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string(), "00abcdef01234567");
        assert_eq!(EdgeId::parse("00abcdef01234567"), Some(id));
        assert_eq!(u64::from(id), 0x00ab_cdef_0123_4567);
        for wrong in [
            "",
            "00abcdef0123456",
            "00ABCDEF01234567",
            "00abcdef0123456g",
            "éabcdef0123456",
        ] {
            assert_eq!(EdgeId::parse(wrong), None, "{wrong}");
        }
    }
}
