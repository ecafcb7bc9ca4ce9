//! Rate-limit headers in the styles of known APIs.

use crate::json::Invalid;
use crate::limits::Snapshot;
use crate::limits::snapshot::Gauge;
use crate::time::Span;

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

/// Returns the headers of the configured styles for a snapshot of the windows.
pub fn lines(styles: &[HeaderStyle], snapshot: &Snapshot) -> Vec<HeaderLine> {
    let mut lines = Vec::new();
    for style in styles {
        match style {
            HeaderStyle::OpenAi => {
                open_ai(&mut lines, REQUESTS, snapshot.requests.as_ref());
                open_ai(&mut lines, TOKENS, snapshot.tokens.as_ref());
            }
        }
    }
    lines
}

fn open_ai(lines: &mut Vec<HeaderLine>, names: [&'static str; 3], gauge: Option<&Gauge>) {
    let [limit, remaining, reset] = names;
    lines.push((limit, gauge.map(|g| g.limit.to_string())));
    lines.push((remaining, gauge.map(|g| g.remaining.to_string())));
    lines.push((reset, gauge.map(|g| go_duration(g.resets_in))));
}

/// Formats a span like Go's `time.Duration`: "0s", "120ms", "1.5s", "6m0s", "24h0m0s".
pub fn go_duration(span: Span) -> String {
    use std::fmt::Write as _;
    let ms = span.as_millis();
    match ms {
        0 => return "0s".to_owned(),
        1..1000 => return format!("{ms}ms"),
        _ => {}
    }
    let (hours, rest) = (ms.div_euclid(3_600_000), ms.rem_euclid(3_600_000));
    let (minutes, rest) = (rest.div_euclid(60_000), rest.rem_euclid(60_000));
    let (seconds, millis) = (rest.div_euclid(1000), rest.rem_euclid(1000));
    let mut text = String::with_capacity(16);
    // Writing to a String can't fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{seconds}");
    if millis > 0 {
        let decimals = format!(".{millis:03}");
        text.push_str(decimals.trim_end_matches('0'));
    }
    text.push('s');
    text
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
            assert_eq!(go_duration(Span::from_millis(ms)), text);
        }
    }
}
