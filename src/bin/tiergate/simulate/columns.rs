//! The facts of a request in a line of an access log, beside the filter's states.
//!
//! JSON lines have them in fields, text lines in columns: words between blanks, where brackets and
//! quotes keep blanks together. A text line is Envoy's default format, Istio's, or the one of
//! `envoy/access_log`.

use crate::usage::log_line::LogString;
use std::borrow::Cow;
use tiergate::zone::rfc3339;

/// Fields of JSON lines, by what they say; of several the first one counts.
const TIMES: [&str; 2] = ["start", "start_time"];
const DURATIONS: [&str; 2] = ["duration_ms", "duration"];
const EXACT_DURATIONS: [&str; 1] = ["duration_us"];
const METHODS: [&str; 1] = ["method"];
const PATHS: [&str; 1] = ["path"];
const CODES: [&str; 3] = ["code", "response_code", "status"];
const LENGTHS: [&str; 2] = ["content_length", "bytes_received"];

/// The columns of Envoy's default text format, in order.
pub const DEFAULT_COLUMNS: [&str; 13] = [
    "start",
    "request",
    "code",
    "flags",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
];

/// The columns that the operator names.
#[derive(Clone, Debug, Default)]
pub struct NamedColumns {
    /// That of the account.
    pub account: Option<String>,
    /// That of the tier.
    pub tier: Option<String>,
    /// That of the model.
    pub model: Option<String>,
}

/// A time as a log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTime {
    pub micros: u64,
    /// False for a time that is cut to milliseconds or seconds.
    pub is_exact: bool,
}

impl LogTime {
    /// Returns a time that is cut to milliseconds; `None` for one beyond all years.
    const fn of_millis(ms: u64) -> Option<Self> {
        match ms.checked_mul(1000) {
            Some(micros) => Some(Self {
                micros,
                is_exact: false,
            }),
            None => None,
        }
    }
}

/// The facts that a line says of its request; `None` where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LineFacts<'a> {
    /// The start, since 1970.
    pub start: Option<LogTime>,
    /// The duration.
    pub duration: Option<LogTime>,
    pub method: Option<Cow<'a, str>>,
    pub path: Option<Cow<'a, str>>,
    /// The status of the response.
    pub code: Option<u64>,
    /// The length of the request's body in bytes.
    pub length: Option<u64>,
    pub account: Option<Cow<'a, str>>,
    pub tier: Option<Cow<'a, str>>,
    pub model: Option<Cow<'a, str>>,
}

impl NamedColumns {
    /// Returns the paths of JSON lines that matter.
    pub fn paths(&self) -> Vec<String> {
        let durations = [&EXACT_DURATIONS[..], &DURATIONS].concat();
        let known = [&TIMES[..], &durations, &METHODS, &PATHS, &CODES, &LENGTHS];
        let known = known.concat().into_iter().map(str::to_owned);
        let named = [&self.account, &self.tier, &self.model];
        known.chain(named.into_iter().flatten().cloned()).collect()
    }

    /// Returns what the fields of a JSON line say.
    pub fn of_fields<'a>(&self, fields: &mut [LogString<'a>]) -> LineFacts<'a> {
        let named = |fields: &[LogString<'a>], name: &Option<String>| {
            let name = name.as_deref()?;
            let field = fields.iter().find(|field| field.path == name)?;
            field.text.clone()
        };
        let account = named(fields, &self.account);
        let tier = named(fields, &self.tier);
        let model = named(fields, &self.model);
        LineFacts {
            account,
            tier,
            model,
            start: take(fields, &TIMES).and_then(|text| moment(&text)),
            duration: duration(fields),
            method: take(fields, &METHODS),
            path: take(fields, &PATHS),
            code: take(fields, &CODES).and_then(|text| count(&text)),
            length: length(fields),
        }
    }

    /// Returns what the columns of a text line say.
    pub fn of_text<'a>(&self, line: &'a str) -> LineFacts<'a> {
        let mut facts = by_place(line);
        let named = |name: &Option<String>| {
            let text = column(line, name.as_deref()?)?;
            (!matches!(text, "" | "-")).then_some(Cow::Borrowed(text))
        };
        facts.account = named(&self.account);
        facts.tier = named(&self.tier);
        facts.model = named(&self.model);
        facts
    }
}

fn duration(fields: &mut [LogString<'_>]) -> Option<LogTime> {
    match take(fields, &EXACT_DURATIONS).and_then(|text| count(&text)) {
        Some(micros) => Some(LogTime {
            micros,
            is_exact: true,
        }),
        None => take(fields, &DURATIONS).and_then(|text| millis(&text)),
    }
}

/// Returns the length of the request's body. A request that was refused at its headers has received no
/// bytes, and still may state a length.
fn length(fields: &mut [LogString<'_>]) -> Option<u64> {
    let [stated, received] = LENGTHS;
    let stated = take(fields, &[stated]).and_then(|text| count(&text));
    let received = take(fields, &[received]).and_then(|text| count(&text));
    stated.or(received.filter(|length| *length > 0))
}

/// Returns the first value of the fields with one of these names.
fn take<'a>(fields: &mut [LogString<'a>], names: &[&str]) -> Option<Cow<'a, str>> {
    names.iter().find_map(|name| {
        let mut named = fields.iter_mut().filter(|field| field.path == **name);
        named.find_map(|field| field.text.take())
    })
}

/// Returns the place of a text column, from 0: of its number from 1, or of a name of Envoy's default
/// format.
fn place(name: &str) -> Option<usize> {
    match name.parse::<usize>() {
        Ok(number) => number.checked_sub(1),
        Err(_) => DEFAULT_COLUMNS.iter().position(|known| *known == name),
    }
}

/// Returns the text of a column, by its number or name.
pub fn column<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    TextColumns(line).nth(place(name)?)
}

/// Returns the number of columns of a text line.
pub fn column_count(line: &str) -> usize {
    TextColumns(line).count()
}

/// Returns what the columns say by their places.
fn by_place(line: &str) -> LineFacts<'_> {
    let mut columns = TextColumns(line).peekable();
    let start = columns.peek().and_then(|text| moment(text));
    if start.is_some() {
        columns.next();
    }
    let mut facts = LineFacts {
        start,
        ..LineFacts::default()
    };
    let Some(request) = columns.next() else {
        return facts;
    };
    let text = |text: &&str| !matches!(*text, "" | "-");
    match request.split_once(' ') {
        // A quoted request: method, path and protocol. A path can't have a blank.
        Some((method, rest)) => {
            let path = rest.rsplit_once(' ').map_or(rest, |(path, _)| path);
            facts.method = Some(method).filter(text).map(Cow::Borrowed);
            facts.path = Some(path).filter(text).map(Cow::Borrowed);
            facts.code = columns.next().and_then(count);
            let _flags = columns.next();
            let (length, duration) = envoy_or_istio(columns);
            (facts.length, facts.duration) = (length.filter(|length| *length > 0), duration);
        }
        None => {
            facts.method = Some(request).filter(text).map(Cow::Borrowed);
            facts.path = columns.next().filter(text).map(Cow::Borrowed);
            facts.code = columns.next().and_then(count);
            let duration = columns.next();
            let duration = duration.map(|text| text.strip_suffix("ms").unwrap_or(text));
            facts.duration = duration.and_then(millis);
        }
    }
    facts
}

/// Returns bytes received and duration, from the columns behind the flags. Istio's format has three
/// columns more there, of which the first is a word.
fn envoy_or_istio<'a>(columns: impl Iterator<Item = &'a str>) -> (Option<u64>, Option<LogTime>) {
    let mut columns = columns.peekable();
    if columns.peek().is_some_and(|text| count(text).is_none()) {
        columns.nth(2);
    }
    let received = columns.next().and_then(count);
    let _sent = columns.next();
    (received, columns.next().and_then(millis))
}

/// The columns of a text line.
struct TextColumns<'a>(&'a str);

impl<'a> Iterator for TextColumns<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let line = self.0.trim_start_matches(' ');
        let (open, close) = match line.bytes().next()? {
            b'[' => (1, ']'),
            b'"' => (1, '"'),
            _ => (0, ' '),
        };
        let inner = line.get(open..)?;
        let (column, rest) = inner.split_once(close).unwrap_or((inner, ""));
        self.0 = rest;
        Some(column)
    }
}

/// Reads a moment: RFC 3339, or seconds or milliseconds since 1970. One with six digits behind the
/// point is exact.
pub fn moment(text: &str) -> Option<LogTime> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let (part, is_exact) = fraction(part);
    let second = match rfc3339::parse(text) {
        Some(at) => at.as_millis(),
        None => match whole.len() {
            // Seconds till the year 2286.
            9 | 10 => count(text)?.checked_mul(1000)?,
            13 if whole == text => return LogTime::of_millis(count(whole)?),
            _ => return None,
        },
    };
    Some(LogTime {
        micros: second.checked_mul(1000)?.checked_add(part)?,
        is_exact,
    })
}

/// Returns the microseconds of a fraction of a second, and true where it has them all.
fn fraction(part: &str) -> (u64, bool) {
    let digits = || part.bytes().take_while(u8::is_ascii_digit);
    let six = digits().map(|b| b & 0xf).chain([0; 6]).take(6);
    let micros = six.fold(0_u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(digit.into())
    });
    match digits().count() {
        0..6 => (micros.div_euclid(1000).saturating_mul(1000), false),
        _ => (micros, true),
    }
}

/// Reads milliseconds.
fn millis(text: &str) -> Option<LogTime> {
    LogTime::of_millis(count(text)?)
}

/// Reads a whole number; a number with a point is cut.
fn count(text: &str) -> Option<u64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let is_number = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| whole.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_767_225_600_123;

    fn borrowed(text: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(text))
    }

    #[test]
    fn the_three_text_formats_say_the_same() {
        let columns = NamedColumns::default();
        let expected = LineFacts {
            start: LogTime::of_millis(AT),
            duration: LogTime::of_millis(41),
            method: borrowed("POST"),
            path: borrowed("/v1/chat"),
            code: Some(200),
            length: Some(345),
            ..LineFacts::default()
        };
        let envoy = "[2026-01-01T00:00:00.123Z] \"POST /v1/chat HTTP/1.1\" 200 - 345 678 41 40 \
            \"-\" \"curl/8\" \"id\" \"host\" \"1.2.3.4:80\"";
        assert_eq!(columns.of_text(envoy), expected);
        let istio = envoy.replace("200 -", "200 - via_upstream - \"-\"");
        assert_eq!(columns.of_text(&istio), expected);
        let ours = columns.of_text("2026-01-01T00:00:00.123Z POST /v1/chat 200 41 DownstreamEnd");
        assert_eq!(
            ours,
            LineFacts {
                length: None,
                ..expected
            }
        );
    }

    #[test]
    fn a_column_is_named_by_its_number_or_its_name() {
        let line = "[2026-01-01T00:00:00.123Z] \"POST / HTTP/1.1\" 200 - 1 2 3 4 \"-\" \"a b\" \
            \"id\" \"acme.example\" \"up\" gold";
        let columns = NamedColumns {
            account: Some("authority".into()),
            tier: Some("14".into()),
            model: Some("x_forwarded_for".into()),
        };
        let facts = columns.of_text(line);
        assert_eq!(facts.account.as_deref(), Some("acme.example"));
        assert_eq!((facts.tier.as_deref(), facts.model), (Some("gold"), None));
    }

    #[test]
    fn moments_are_read_as_exactly_as_they_are_written() {
        for (text, micros) in [
            ("2026-01-01T00:00:00.123Z", Some(AT * 1000)),
            ("2026-01-01T08:00:00.123+08:00", Some(AT * 1000)),
            ("2026-01-01T00:00:00Z", Some(AT * 1000 - 123_000)),
            ("2026-01-01T00:00:00.1234567Z", Some(AT * 1000 + 456)),
            ("1767225600.123", Some(AT * 1000)),
            ("1767225600.123456", Some(AT * 1000 + 456)),
            ("1767225600123", Some(AT * 1000)),
            ("1767225600", Some(AT * 1000 - 123_000)),
            ("-", None),
            ("POST", None),
            ("200", None),
        ] {
            let read = moment(text);
            assert_eq!(read.map(|time| time.micros), micros, "{text}");
            let is_exact = text.contains(".123456") || text.contains(".1234567");
            assert_eq!(read.is_some_and(|time| time.is_exact), is_exact, "{text}");
        }
    }

    #[test]
    fn no_line_at_all_panics() {
        let columns = NamedColumns {
            account: Some("3".into()),
            ..NamedColumns::default()
        };
        for line in [
            "",
            " ",
            "[",
            "\"",
            "[]",
            "[\"",
            "客 \"客",
            "[2026-01-01T00:00:00Z]",
            "a b c d e f g",
        ] {
            let _facts = columns.of_text(line);
        }
    }
}
