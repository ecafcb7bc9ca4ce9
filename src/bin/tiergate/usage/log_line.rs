//! Finds the filter states in a line of an access log, where no client can have put them.
//!
//! A client chooses a part of each line: its path, or its user agent. So a text line has the states at
//! its end, and a JSON line has each in one field, the same in all lines.

pub use super::log_json::LogString;
use super::log_json::{self, Wanted};
use super::states::{BadState, RequestWords};
use crate::event::quoted;
use std::borrow::Cow;

/// The maximum length of a line: JSON can make six bytes of one that a client sent.
pub const LONGEST_LOG_LINE: usize = 1 << 20;

const REQUEST_PREFIX: &str = "tier=";
const USAGE_PREFIX: &str = "at=";

/// The texts of the two states; `None` where the filter set none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FoundStates<'a> {
    pub request: Option<Cow<'a, str>>,
    pub usage: Option<Cow<'a, str>>,
    /// True when the line has a place for the usage, even if it is empty.
    pub has_usage_place: bool,
    /// True for a line that Envoy writes before a request has ended, or for one of its tries.
    pub is_interim: bool,
    /// The text before the states in a text line; empty for a JSON line.
    pub before: &'a str,
}

/// The problem of a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogLine {
    #[error("longer than {LONGEST_LOG_LINE} bytes")]
    TooLong,
    #[error("not JSON: {0}")]
    Json(String),
    #[error("not JSON, as other lines are")]
    NoJson,
    #[error("{0}")]
    Wrapped(Wrapping),
    #[error("not text: is a part of the log compressed?")]
    NoText,
    #[error("wasm.tiergate: {0}")]
    Request(BadState),
    #[error("wasm.tiergate.usage: {0}")]
    Usage(BadState),
    #[error("wasm.tiergate is not before wasm.tiergate.usage, at the end of the line: is it cut?")]
    NoRequest,
    #[error("ends behind wasm.tiergate, without wasm.tiergate.usage: is it cut?")]
    NoUsagePlace,
    #[error("a sum would be over {}", u64::MAX)]
    TooMuch,
}

/// The frame that a container runtime writes around a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrapping {
    #[error(
        "JSON behind a prefix, as container runtimes write it: take the prefix off, as by sed 's/^[^{{]*//'"
    )]
    Prefix,
    #[error("lines inside of JSON, as Docker writes them: take them out, as by jq -rj .log")]
    Docker,
}

/// The lines of a run that a container runtime has wrapped.
#[derive(Clone, Copy, Debug)]
pub struct WrappedLines {
    pub lines: u64,
    /// The wrapping of the last one.
    pub by: Wrapping,
}

impl WrappedLines {
    /// Counts a line if it is wrapped.
    pub fn count(wrapped: &mut Option<Self>, bad: &BadLogLine) {
        if let BadLogLine::Wrapped(by) = *bad {
            let before = wrapped.map_or(0, |wrapped| wrapped.lines);
            let lines = before.saturating_add(1);
            *wrapped = Some(Self { lines, by });
        }
    }
}

/// Two fields have what looks like one state; a client may have written one of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguousField {
    #[error(
        "fields {first:?} and {second:?} both look like {state}: name the filter's with {option}"
    )]
    State {
        first: String,
        second: String,
        state: &'static str,
        option: &'static str,
    },
    #[error(
        "field \"type\" is {0} here, and in other lines it is or is not one of %ACCESS_LOG_TYPE%: give \
         this name to that alone, as a client must not choose which of its lines count"
    )]
    Type(String),
}

/// A value of `%ACCESS_LOG_TYPE%` (Envoy's `AccessLogType`): is it the end of a request?
fn is_end(text: &str) -> Option<bool> {
    const OTHERS: [&str; 12] = [
        "DownstreamStart",
        "DownstreamPeriodic",
        "DownstreamTunnelSuccessfullyEstablished",
        "UpstreamPoolReady",
        "UpstreamPeriodic",
        "UpstreamEnd",
        "TcpUpstreamConnected",
        "TcpPeriodic",
        "TcpConnectionEnd",
        "UdpTunnelUpstreamConnected",
        "UdpPeriodic",
        "UdpSessionEnd",
    ];
    match text {
        "DownstreamEnd" | "NotSet" => Some(true),
        _ => OTHERS.contains(&text).then_some(false),
    }
}

/// True when the last word of a text is the type of a line before a request's end.
fn is_interim(before: &str) -> bool {
    let word = before.split_ascii_whitespace().next_back();
    word.and_then(is_end) == Some(false)
}

/// Finds the states at the end of a text line, and the line's type before them.
///
/// # Errors
/// [`BadLogLine`] for a line that has one of them there, and not both.
pub fn in_text(line: &str) -> Result<FoundStates<'_>, BadLogLine> {
    let line = line.trim_end();
    if let Some(before) = without_dash(line) {
        let before = before.trim_end();
        let request = last(before, REQUEST_PREFIX);
        let request = request.filter(|(_, state)| RequestWords::parse(state).is_ok());
        let first = request.map(|(first, _)| first).or(without_dash(before));
        return Ok(FoundStates {
            request: request.map(|(_, state)| Cow::Borrowed(state)),
            usage: None,
            has_usage_place: request.is_some(),
            is_interim: first.is_some_and(is_interim),
            before: first.unwrap_or(line),
        });
    }
    let Some((before, usage)) = last(line, USAGE_PREFIX) else {
        return match last(line, REQUEST_PREFIX).map(|(_, state)| RequestWords::parse(state)) {
            Some(Ok(_)) => Err(BadLogLine::NoUsagePlace),
            _ => Ok(FoundStates {
                before: line,
                ..FoundStates::default()
            }),
        };
    };
    let before = before.trim_end();
    let (first, request) = match without_dash(before) {
        Some(first) => (first, None),
        None => {
            let (first, request) = last(before, REQUEST_PREFIX).ok_or(BadLogLine::NoRequest)?;
            (first, Some(Cow::Borrowed(request)))
        }
    };
    Ok(FoundStates {
        request,
        usage: Some(Cow::Borrowed(usage)),
        has_usage_place: true,
        is_interim: is_interim(first),
        before: first,
    })
}

/// True for a line without bytes that no text has: control characters but white space and escape.
pub fn is_text(line: &[u8]) -> bool {
    !line.iter().any(|b| matches!(b, 0..=8 | 14..=26 | 28..=31))
}

/// True when a line ends with a JSON object, as container runtimes prefix one with its time and stream.
pub fn has_json_behind_a_prefix(line: &str) -> bool {
    let object = line.find('{').and_then(|at| line.get(at..));
    object.is_some_and(|object| {
        object.ends_with('}') && serde_json::from_str::<serde::de::IgnoredAny>(object).is_ok()
    })
}

/// Returns what is before a last word `-`, which Envoy prints for a state that is not set.
fn without_dash(line: &str) -> Option<&str> {
    let before = line.strip_suffix('-')?;
    (before.is_empty() || before.ends_with(' ')).then_some(before)
}

/// Splits a line before its last word that begins with `prefix`.
fn last<'a>(line: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let is_word = |at: &usize| {
        let before = line.get(..*at).unwrap_or_default();
        before.is_empty() || before.ends_with(' ')
    };
    let mut places = line.rmatch_indices(prefix).map(|(at, _)| at);
    line.split_at_checked(places.find(is_word)?)
}

/// The fields of JSON lines that have the states. What is found in one line holds for the next ones.
pub struct LogFields {
    request: StateField,
    usage: StateField,
    /// True when the field `type` has the types of lines, once a line has one.
    has_types: Option<bool>,
}

/// The states of a JSON line, and the values at the paths that were asked for.
pub type FieldsFound<'a> = (FoundStates<'a>, Vec<LogString<'a>>);

/// The field of JSON lines with `%ACCESS_LOG_TYPE%`.
const TYPE: &str = "type";
/// The fields of Docker's log driver `json-file`: the line with its end, and the stream.
const DOCKER: [&str; 2] = ["log", "stream"];

/// Where JSON lines have one state.
struct StateField {
    state: &'static str,
    option: &'static str,
    prefix: &'static str,
    /// The name that the examples have.
    usual: &'static str,
    path: Option<String>,
    /// True when the path is that of an option or the usual one, so no content can change it.
    is_certain: bool,
}

impl LogFields {
    /// Begins with the paths that the operator names, if any.
    pub fn new(request: Option<&str>, usage: Option<&str>) -> Self {
        Self {
            request: StateField {
                state: "wasm.tiergate",
                option: "--state-field",
                prefix: REQUEST_PREFIX,
                usual: "tiergate",
                path: request.map(str::to_owned),
                is_certain: request.is_some(),
            },
            usage: StateField {
                state: "wasm.tiergate.usage",
                option: "--usage-field",
                prefix: USAGE_PREFIX,
                usual: "tiergate_usage",
                path: usage.map(str::to_owned),
                is_certain: usage.is_some(),
            },
            has_types: None,
        }
    }

    /// Finds the states in a JSON line, and the values at `more` paths beside them.
    ///
    /// # Errors
    /// [`AmbiguousField`] ends the run. The inner error is of this line alone.
    pub fn find<'a>(
        &mut self,
        line: &'a str,
        more: &[String],
    ) -> Result<Result<FieldsFound<'a>, BadLogLine>, AmbiguousField> {
        let mut values = {
            let mut paths = vec![self.request.wanted(), self.usage.wanted(), TYPE];
            paths.extend(DOCKER);
            paths.extend(more.iter().map(String::as_str));
            let prefixes = [REQUEST_PREFIX, USAGE_PREFIX];
            let wanted = Wanted {
                paths: &paths,
                prefixes: &prefixes,
            };
            match log_json::read(line, wanted) {
                Ok(values) => values,
                Err(error) => return Ok(Err(BadLogLine::Json(problem(&error)))),
            }
        };
        if is_dockers(&values) {
            return Ok(Err(BadLogLine::Wrapped(Wrapping::Docker)));
        }
        let (request, _) = self.request.take(&mut values)?;
        let (usage, has_usage_place) = self.usage.take(&mut values)?;
        let found = FoundStates {
            request,
            usage,
            has_usage_place,
            is_interim: self.is_interim(&values)?,
            before: "",
        };
        Ok(Ok((found, values)))
    }

    /// True when the line's type says that the request had not ended.
    fn is_interim(&mut self, values: &[LogString<'_>]) -> Result<bool, AmbiguousField> {
        let field = values.iter().find(|value| value.path == TYPE);
        let Some(text) = field.and_then(|field| field.text.as_deref()) else {
            return Ok(false);
        };
        let end = is_end(text);
        match self.has_types.replace(end.is_some()) {
            Some(before) if before != end.is_some() => Err(AmbiguousField::Type(quoted(text))),
            _ => Ok(end == Some(false)),
        }
    }
}

impl StateField {
    /// The path whose values matter, whatever they are.
    fn wanted(&self) -> &str {
        match &self.path {
            Some(path) if self.is_certain => path,
            _ => self.usual,
        }
    }

    /// Takes the state out of the values of a line, and says whether its field is there.
    fn take<'a>(
        &mut self,
        values: &mut [LogString<'a>],
    ) -> Result<(Option<Cow<'a, str>>, bool), AmbiguousField> {
        if !self.is_certain && values.iter().any(|value| value.path == self.usual) {
            self.follow(self.usual)?;
            self.is_certain = true;
        }
        if !self.is_certain {
            let begins = |text: &str| text.starts_with(self.prefix);
            let alike = |value: &&LogString<'_>| value.text.as_deref().is_some_and(begins);
            let paths: Vec<String> = values
                .iter()
                .filter(alike)
                .map(|v| v.path.clone())
                .collect();
            for path in &paths {
                self.follow(path)?;
            }
        }
        let mine = values
            .iter_mut()
            .find(|v| Some(&v.path) == self.path.as_ref());
        let is_there = mine.is_some();
        Ok((mine.and_then(|value| value.text.take()), is_there))
    }

    /// Takes a path as the state's. It can't be another one than before.
    fn follow(&mut self, path: &str) -> Result<(), AmbiguousField> {
        match self.path.replace(path.to_owned()) {
            Some(before) if before != path => Err(AmbiguousField::State {
                first: before,
                second: path.to_owned(),
                state: self.state,
                option: self.option,
            }),
            _ => Ok(()),
        }
    }
}

/// True for the fields of Docker's log driver, with a whole line inside.
fn is_dockers(values: &[LogString<'_>]) -> bool {
    let is_field = |name: &str, fits: &dyn Fn(&str) -> bool| {
        let field = values.iter().find(|value| value.path == name);
        field
            .and_then(|field| field.text.as_deref())
            .is_some_and(fits)
    };
    let [log, stream] = DOCKER;
    is_field(log, &|text| text.ends_with('\n'))
        && is_field(stream, &|text| matches!(text, "stdout" | "stderr"))
}

/// The parser's error without its line, which is always the first.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    format!("{problem} at column {}", error.column())
}
