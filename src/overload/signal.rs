//! Signals of overload: the load that an upstream reports, and its overloaded answers.

use super::part::{Part, fraction};

/// Observations of the upstream: of one worker since its last tick, or of all since the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Observed {
    /// Number of answers.
    pub answers: u64,
    /// Number of answers that reported overload.
    pub overloaded: u64,
    /// Number of reported loads.
    pub reports: u64,
    /// Sum of the reported loads, in millionths.
    pub sum: u64,
    /// Number of reports that could not be read. Workers count it in a metric and never share it.
    #[serde(skip)]
    pub unreadable: u64,
}

impl Observed {
    /// Adds the observations of another worker.
    pub fn add(&mut self, more: &Self) {
        for (n, more) in [
            (&mut self.answers, more.answers),
            (&mut self.overloaded, more.overloaded),
            (&mut self.reports, more.reports),
            (&mut self.sum, more.sum),
            (&mut self.unreadable, more.unreadable),
        ] {
            *n = n.saturating_add(more);
        }
    }

    /// Returns the mean of the reported loads; `None` without a report.
    pub(super) fn mean_load(&self) -> Option<f64> {
        self.sum.checked_div(self.reports).map(fraction)
    }
}

/// Reads a reported load: a plain decimal number from 0 to 10, where 1 is the upstream's capacity.
///
/// `None` for any other value: a sign, an exponent, `nan`, a percentage, more than 16 characters.
pub fn load_of(value: &[u8]) -> Option<Part> {
    let value = value.trim_ascii();
    let plain = value.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if !plain || value.len() > 16 {
        return None;
    }
    let load: f64 = str::from_utf8(value).ok()?.parse().ok()?;
    let fits = (0.0..=Part::LARGEST.as_f64()).contains(&load);
    fits.then(|| Part::from_f64(load))
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
            assert_eq!(
                load_of(text.as_bytes()),
                Some(Part::from_millionths(millionths)),
                "{text}"
            );
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
