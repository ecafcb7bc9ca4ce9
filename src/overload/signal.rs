//! The load as an upstream writes it into a response header.

/// The largest load that is believed: ten times what the upstream takes.
pub const LARGEST: f64 = 10.0;

/// Reads a load: a plain decimal number from 0 to [`LARGEST`], where 1 is all that the upstream
/// takes, in millionths.
///
/// `None` for what is none: a sign, an exponent, `nan`, a percentage, more than 16 characters.
pub fn load_of(value: &[u8]) -> Option<u32> {
    let value = value.trim_ascii();
    let plain = value.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if !plain || value.len() > 16 {
        return None;
    }
    let load: f64 = str::from_utf8(value).ok()?.parse().ok()?;
    let fits = (0.0..=LARGEST).contains(&load);
    fits.then(|| millionths(load))
}

/// A load or a part in whole millionths; from 0 to [`LARGEST`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
pub fn millionths(part: f64) -> u32 {
    (part.clamp(0.0, LARGEST) * 1e6).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_number_is_a_load() {
        for (text, millionths) in [
            ("0", 0),
            ("0.93", 930_000),
            (" 1.5 ", 1_500_000),
            (".5", 500_000),
            ("10", 10_000_000),
        ] {
            assert_eq!(load_of(text.as_bytes()), Some(millionths), "{text}");
        }
        for text in [
            "",
            ".",
            "nan",
            "NaN",
            "inf",
            "-1",
            "+1",
            "1e9",
            "1e0",
            "85%",
            "10.1",
            "0,9",
            "1 2",
            "0.5, 0.6",
            "٣",
            "00000000000000000.5",
        ] {
            assert_eq!(load_of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(load_of(b"0.5\xff"), None);
    }
}
