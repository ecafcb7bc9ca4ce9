//! Rate-limit headers in the styles of known APIs.

use crate::json::Invalid;
use crate::limits::Snapshot;
use crate::limits::snapshot::Gauge;
use crate::time::Span;
use itoa::Buffer;
use std::fmt;

/// A style of rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderStyle {
    /// `x-ratelimit-limit-requests` and similar headers, as the OpenAI API sends them.
    OpenAi,
}

impl HeaderStyle {
    /// Checks the styles in the config at `path`; the default is OpenAI's.
    ///
    /// # Errors
    /// [`Invalid`] for a style that is unknown or repeated.
    pub fn list(path: &str, names: Option<Vec<String>>) -> Result<Vec<Self>, Invalid> {
        let Some(names) = names else {
            return Ok(vec![Self::OpenAi]);
        };
        let mut styles = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let style = match name.as_str() {
                "openai" => Self::OpenAi,
                "ietf" => {
                    let problem = "this version of tiergate does not have the ietf headers yet";
                    return Err(Invalid::new(path, problem));
                }
                other => {
                    let problem = format!("{other:?} is no style: \"openai\" is allowed");
                    return Err(Invalid::new(path, problem));
                }
            };
            if styles.contains(&style) {
                return Err(Invalid::new(path, "named twice"));
            }
            styles.push(style);
        }
        Ok(styles)
    }
}

/// A response header: `None` removes it, in case the upstream has set it.
pub type HeaderLine = (&'static str, Option<String>);

const REQUESTS: [&str; 3] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
];
const TOKENS: [&str; 3] = [
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

/// Calls `set` with each header of the configured styles, for a snapshot of the windows; `None`
/// removes it. The values stand on the stack: most responses have them.
pub fn each(
    styles: &[HeaderStyle],
    snapshot: &Snapshot,
    mut set: impl FnMut(&'static str, Option<&str>),
) {
    for style in styles {
        match style {
            HeaderStyle::OpenAi => {
                open_ai(&mut set, REQUESTS, snapshot.requests.as_ref());
                open_ai(&mut set, TOKENS, snapshot.tokens.as_ref());
            }
        }
    }
}

/// Returns the headers of the configured styles for a snapshot of the windows.
pub fn lines(styles: &[HeaderStyle], snapshot: &Snapshot) -> Vec<HeaderLine> {
    let mut lines = Vec::new();
    each(styles, snapshot, |name, value| {
        lines.push((name, value.map(str::to_owned)));
    });
    lines
}

fn open_ai(
    set: &mut impl FnMut(&'static str, Option<&str>),
    [limit, remaining, reset]: [&'static str; 3],
    gauge: Option<&Gauge>,
) {
    let Some(gauge) = gauge else {
        return [limit, remaining, reset]
            .into_iter()
            .for_each(|name| set(name, None));
    };
    set(limit, Some(Buffer::new().format(gauge.limit)));
    set(remaining, Some(Buffer::new().format(gauge.remaining)));
    set(reset, Some(GoDuration::new(gauge.resets_in).as_str()));
}

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
