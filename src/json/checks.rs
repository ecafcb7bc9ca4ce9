//! Checks of parsed values: ranges and names.

use super::Invalid;
use crate::time::Span;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// A value with a range, in the operators' notation.
pub trait Bounded: Copy + PartialOrd {
    /// Returns the value in the config's notation.
    fn notation(self) -> impl Display;
}

impl Bounded for u64 {
    fn notation(self) -> impl Display {
        self
    }
}

impl Bounded for f64 {
    fn notation(self) -> impl Display {
        self
    }
}

impl Bounded for Span {
    fn notation(self) -> impl Display {
        let ms = self.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let unit = units
            .into_iter()
            .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
        match unit {
            Some((unit, name)) => format!("\"{}{name}\"", ms.div_euclid(unit)),
            None => format!("\"{ms}ms\""),
        }
    }
}

/// Returns `value` if it lies within `allowed`.
///
/// # Errors
/// [`Invalid`] at `path`, with the value and the range in the config's notation.
pub fn in_range<T: Bounded>(
    path: &str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<T, Invalid> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    let (least, most) = allowed.into_inner();
    Err(Invalid::new(
        path,
        format!(
            "{} is out of range: {} to {} is allowed",
            value.notation(),
            least.notation(),
            most.notation()
        ),
    ))
}

/// Checks a name that is safe in shared-data keys, metrics and logs.
///
/// # Errors
/// [`Invalid`] at `path`.
pub fn plain_name(path: &str, name: &str) -> Result<(), Invalid> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let problem = format!("{name:?} is not a name: 1 to 64 of A-Z a-z 0-9 _ - are allowed");
    Err(Invalid::new(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_told_in_the_notation_of_the_config() {
        let wait = in_range(
            "wait",
            Span::from_millis(61_500),
            Span::from_millis(1)..=Span::from_secs(60),
        );
        let problem = "\"61500ms\" is out of range: \"1ms\" to \"1m\" is allowed";
        assert_eq!(wait, Err(Invalid::new("wait", problem)));
        assert_eq!(in_range("n", 3_u64, 1..=3), Ok(3));
        assert!(in_range("part", f64::NAN, 0.0..=1.0).is_err());
    }
}
