//! A `google.protobuf.Struct` in its wire form, as JSON: what Envoy hands over for a config that is
//! written as YAML or JSON in place of a string.
//!
//! Source: `google/protobuf/struct.proto`, and <https://protobuf.dev/programming-guides/encoding/>.
//! Numbers are doubles there: a whole one up to 2^53 becomes a whole number again.

use serde_json::{Map, Number, Value};

/// The maximum depth of a value.
const MOST_DEPTH: usize = 64;
/// Whole doubles up to here have no gaps.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The wire types that a Struct has.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// Reads a Struct that is all of `bytes`; `None` for any other bytes.
pub fn read(bytes: &[u8]) -> Option<Value> {
    object(bytes, MOST_DEPTH)
}

/// The content of a field.
enum FieldContent<'a> {
    Varint(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// Reads one field: its number and its content.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, FieldContent<'a>)> {
    let tag = varint(bytes)?;
    let content = match tag & 7 {
        VARINT => FieldContent::Varint(varint(bytes)?),
        FIXED64 => {
            let (double, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            FieldContent::Double(f64::from_le_bytes(*double))
        }
        BYTES => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (content, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            FieldContent::Bytes(content)
        }
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn object(mut bytes: &[u8], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut members = Map::new();
    while !bytes.is_empty() {
        let (1, FieldContent::Bytes(entry)) = field(&mut bytes)? else {
            return None;
        };
        let (name, value) = member(entry, depth)?;
        members.insert(name, value);
    }
    Some(Value::Object(members))
}

fn member(mut entry: &[u8], depth: usize) -> Option<(String, Value)> {
    let (mut name, mut member) = (String::new(), Value::Null);
    while !entry.is_empty() {
        match field(&mut entry)? {
            (1, FieldContent::Bytes(text)) => name = str::from_utf8(text).ok()?.to_owned(),
            (2, FieldContent::Bytes(content)) => member = value(content, depth)?,
            _ => return None,
        }
    }
    Some((name, member))
}

fn list(mut bytes: &[u8], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (1, FieldContent::Bytes(content)) = field(&mut bytes)? else {
            return None;
        };
        elements.push(value(content, depth)?);
    }
    Some(Value::Array(elements))
}

/// Reads a Value; one without a field is null.
fn value(mut bytes: &[u8], depth: usize) -> Option<Value> {
    let mut read = Value::Null;
    while !bytes.is_empty() {
        read = match field(&mut bytes)? {
            (1, FieldContent::Varint(_)) => Value::Null,
            (2, FieldContent::Double(double)) => Value::Number(number(double)?),
            (3, FieldContent::Bytes(text)) => Value::String(str::from_utf8(text).ok()?.to_owned()),
            (4, FieldContent::Varint(varint)) => Value::Bool(varint != 0),
            (5, FieldContent::Bytes(content)) => object(content, depth)?,
            (6, FieldContent::Bytes(content)) => list(content, depth)?,
            _ => return None,
        };
    }
    Some(read)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the double is a whole number of at most 2^53"
)]
fn number(double: f64) -> Option<Number> {
    match double.fract() == 0.0 && double.abs() <= EXACT {
        true => Some(Number::from(double as i64)),
        false => Number::from_f64(double),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Encodes a length-delimited field.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![(number << 3) | 2];
        let mut length = content.len();
        while length > 0x7F {
            out.push((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(content);
        out
    }

    fn encode(value: &Value) -> Vec<u8> {
        match value {
            Value::Null => vec![1 << 3, 0],
            Value::Bool(bool) => vec![4 << 3, u8::from(*bool)],
            Value::Number(number) => {
                let mut out = vec![(2 << 3) | 1];
                out.extend(number.as_f64().unwrap().to_le_bytes());
                out
            }
            Value::String(text) => bytes(3, text.as_bytes()),
            Value::Array(elements) => {
                let elements = elements.iter().map(|element| bytes(1, &encode(element)));
                bytes(6, &elements.collect::<Vec<_>>().concat())
            }
            Value::Object(_) => bytes(5, &encode_struct(value)),
        }
    }

    fn encode_struct(value: &Value) -> Vec<u8> {
        let members = value.as_object().unwrap().iter();
        let members = members.map(|(name, value)| {
            let entry = [bytes(1, name.as_bytes()), bytes(2, &encode(value))].concat();
            bytes(1, &entry)
        });
        members.collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_struct_is_read_as_the_json_that_it_was() {
        let long = "x".repeat(300);
        for value in [
            json!({}),
            json!({"a": null, "b": true, "c": "text", "d": [1, [2.5, {"e": []}]], "f": {"g": {}}}),
            json!({"n": 9_007_199_254_740_992_i64, "m": -3, "big": 1e300, "long": long}),
        ] {
            assert_eq!(read(&encode_struct(&value)), Some(value));
        }
        assert_eq!(read(b""), Some(json!({})));
        assert_eq!(
            read(&bytes(1, &bytes(1, b"a"))),
            Some(json!({"a": null})),
            "a value that is left out"
        );
    }

    #[test]
    fn what_is_no_struct_is_not_read() {
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({ "a": deep });
        }
        let not_utf8 = bytes(1, &bytes(1, b"\xFF"));
        let infinite = [&[0x11][..], &f64::INFINITY.to_le_bytes()].concat();
        let infinite = bytes(1, &[bytes(1, b"a"), bytes(2, &infinite)].concat());
        for wrong in [
            &encode_struct(&deep)[..],
            &not_utf8,
            &infinite,
            b"{\"a\": 1}",
            b"\n{\"a\": 1}",
            b"\n\x05\n",
            b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
            b"[]",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}
