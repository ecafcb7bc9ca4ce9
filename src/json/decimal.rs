//! Decimal numbers as whole numbers of their last place: money, prices, weights. No floating point.

use serde::de::{self, Visitor};
use std::fmt;

/// Reads ASCII digits with at most `places` decimals after a point, as a whole number of
/// 10^-`places`; `None` for a sign, an exponent, spaces, and past `u64::MAX`.
pub fn parse(text: &[u8], places: u32) -> Option<u64> {
    let mut parts = text.splitn(2, |b| *b == b'.');
    let whole = digits(parts.next().unwrap_or_default())?;
    let decimals = match parts.next() {
        None => 0,
        Some(text) => {
            let missing = places.checked_sub(u32::try_from(text.len()).ok()?)?;
            digits(text)?.checked_mul(10_u64.checked_pow(missing)?)?
        }
    };
    let whole = whole.checked_mul(10_u64.checked_pow(places)?)?;
    whole.checked_add(decimals)
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |n, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d <= 9)?;
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A visitor of a decimal: a string, or a JSON number.
pub struct DecimalVisitor<F> {
    /// The allowed values, for errors.
    pub expecting: &'static str,
    /// Converts the text; `None` for one that is not allowed.
    pub parse: F,
}

impl<T, F: Fn(&str) -> Option<T>> DecimalVisitor<F> {
    fn convert<E: de::Error>(&self, text: &str, unexpected: de::Unexpected<'_>) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(unexpected, &self.expecting))
    }
}

impl<T, F: Fn(&str) -> Option<T>> Visitor<'_> for DecimalVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.convert(&value.to_string(), de::Unexpected::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.convert(&value.to_string(), de::Unexpected::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        // The shortest decimal of this number is the written one.
        self.convert(&value.to_string(), de::Unexpected::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        self.convert(value, de::Unexpected::Str(value))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_decimal_is_a_whole_number_of_its_last_place() {
        for (text, places, n) in [
            ("1", 2, Some(100)),
            ("0.6", 6, Some(600_000)),
            ("2.50", 6, Some(2_500_000)),
            ("0.000001", 6, Some(1)),
            ("0.0000001", 6, None),
            ("1.5", 0, None),
            ("18446744073709551615", 0, Some(u64::MAX)),
            ("18446744073709551616", 0, None),
            ("18446744073709551615", 1, None),
            ("", 2, None),
            (".5", 2, None),
            ("1.", 2, None),
            ("-1", 2, None),
            ("1e3", 2, None),
        ] {
            assert_eq!(parse(text.as_bytes(), places), n, "{text}");
        }
    }
}
