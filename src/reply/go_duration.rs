//! Spans as Go prints them, on the stack: most responses have two.

use crate::time::Span;
use itoa::Buffer;
use std::fmt;

/// A span like Go's `time.Duration`: "0s", "120ms", "1.5s", "6m0s", "24h0m0s".
#[derive(Clone, Copy, Debug)]
pub struct GoDuration {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl GoDuration {
    /// The longest text: 20 digits and `h`, `59m`, `59.999s`.
    const LONGEST: usize = 32;

    /// Formats a span.
    pub fn new(span: Span) -> Self {
        let mut text = Self {
            bytes: [0; Self::LONGEST],
            length: 0,
        };
        text.write(span.as_millis());
        text
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.length).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }

    fn write(&mut self, ms: u64) {
        if (1..1000).contains(&ms) {
            self.push_number(ms);
            return self.push(b"ms");
        }
        let (hours, rest) = (ms.div_euclid(3_600_000), ms.rem_euclid(3_600_000));
        let (minutes, rest) = (rest.div_euclid(60_000), rest.rem_euclid(60_000));
        let (seconds, millis) = (rest.div_euclid(1000), rest.rem_euclid(1000));
        if hours > 0 {
            self.push_number(hours);
            self.push(b"h");
        }
        if hours > 0 || minutes > 0 {
            self.push_number(minutes);
            self.push(b"m");
        }
        self.push_number(seconds);
        if millis > 0 {
            let with_zeros = millis.saturating_add(1000);
            let mut digits = Buffer::new();
            let digits = digits.format(with_zeros).trim_end_matches('0');
            self.push(b".");
            self.push(digits.as_bytes().get(1..).unwrap_or_default());
        }
        self.push(b"s");
    }

    fn push_number(&mut self, n: u64) {
        self.push(Buffer::new().format(n).as_bytes());
    }

    fn push(&mut self, text: &[u8]) {
        let end = self.length.saturating_add(text.len());
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(text);
            self.length = end;
        }
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        for (ms, text) in [
            (0, "0s"),
            (120, "120ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (59_999, "59.999s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_600_050, "1h0m0.05s"),
            (86_400_000, "24h0m0s"),
        ] {
            assert_eq!(GoDuration::new(Span::from_millis(ms)).as_str(), text);
        }
        let longest = GoDuration::new(Span::from_millis(u64::MAX));
        assert_eq!(longest.as_str(), "5124095576030h25m51.615s");
    }
}
