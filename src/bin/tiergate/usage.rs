//! `tiergate usage`: sums tokens by account, model and day from Envoy's access logs.
//!
//! One pass over the lines. The memory grows with the sums alone.

mod error;
mod log_json;
pub mod log_line;
pub mod logs;
pub mod named;
mod report;
pub mod states;
mod sums;

use crate::Ending;
use crate::lines::{InputLine, InputLines};
use crate::output::Output;
use crate::progress::Progress;
use clap::Args;
pub use error::UsageError;
use log_line::{
    AmbiguousField, BadLogLine, FoundStates, LONGEST_LOG_LINE, LogFields, WrappedLines, Wrapping,
    has_json_behind_a_prefix, in_text, is_text,
};
use logs::{LogError, LogUse};
use named::NamedFields;
use report::LineCounts;
use states::{RequestWords, UsageWords};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use sums::{ByColumn, UsageSums};
use tiergate::metrics::Outcome;
use tiergate::text::number;
use tiergate::zone::{Zone, ZoneError};

/// The number of broken lines that are reported one by one.
const REPORTED: u64 = 10;

#[derive(Args)]
pub struct UsageArgs {
    /// Access logs with the filter's two states, as JSON or text lines; - for standard input
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The columns by which tokens are summed, in their order
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMNS",
          default_values_t = ByColumn::ALL)]
    by: Vec<ByColumn>,
    /// The time zone of days: a UTC offset such as +08:00, or an IANA name
    #[arg(long, default_value = "UTC", value_parser = day_zone, allow_hyphen_values = true)]
    zone: DayZone,
    /// CSV in place of the table
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// JSON in place of the table
    #[arg(long)]
    json: bool,
    /// The field of JSON lines that has wasm.tiergate, such as filter.state; without it, tiergate, or
    /// the one with such a text
    #[arg(long, value_name = "FIELD")]
    state_field: Option<String>,
    /// The field of JSON lines that has wasm.tiergate.usage; without it, tiergate_usage, or the one
    /// with such a text
    #[arg(long, value_name = "FIELD")]
    usage_field: Option<String>,
}

/// The time zone of days, and its text.
#[derive(Clone)]
struct DayZone {
    zone: Zone,
    text: String,
}

fn day_zone(text: &str) -> Result<DayZone, ZoneError> {
    Ok(DayZone {
        zone: match text {
            "UTC" => Zone::UTC,
            _ => Zone::parse(text)?,
        },
        text: text.to_owned(),
    })
}

pub fn run(args: &UsageArgs) -> Result<Ending, UsageError> {
    for (place, column) in args.by.iter().enumerate() {
        if args.by.iter().take(place).any(|before| before == column) {
            return Err(UsageError::ColumnTwice(column.name()));
        }
    }
    let progress = Progress::new(logs::check(&args.logs, LogUse::Sum)?);
    let mut reading = LogReading {
        sums: UsageSums::new(&args.by, args.zone.zone),
        fields: LogFields::new(args.state_field.as_deref(), args.usage_field.as_deref()),
        named: NamedFields::of_fields([
            ("--state-field", args.state_field.as_deref()),
            ("--usage-field", args.usage_field.as_deref()),
        ]),
        counts: LineCounts::default(),
        has_json: false,
        plain_lines: 0,
        wrapped: None,
        has_states: false,
        has_usage_place: false,
        progress: &progress,
        bytes_before: 0,
    };
    let read = args.logs.iter().try_for_each(|path| reading.read(path));
    progress.end();
    read?;
    reading.check(&args.by)?;
    write(args, &reading).map_err(UsageError::Unwritable)?;
    reading.say_counts();
    Ok(match reading.counts.broken {
        0 => Ending::Clean,
        _ => Ending::LinesLeftOut,
    })
}

fn write(args: &UsageArgs, reading: &LogReading<'_>) -> io::Result<()> {
    let rows = reading.sums.rows();
    let mut out = Output::new();
    match (args.csv, args.json) {
        (true, _) => report::write_csv(&mut out, &args.by, &rows)?,
        (_, true) => {
            let zone = &args.zone.text;
            report::write_json(&mut out, &args.by, zone, &rows, &reading.counts)?;
        }
        _ => report::write_table(&mut out, &args.by, &rows)?,
    }
    out.flush()
}

/// The run over all logs.
struct LogReading<'a> {
    sums: UsageSums<'a>,
    fields: LogFields,
    named: NamedFields,
    counts: LineCounts,
    /// True when a line of this log was JSON.
    has_json: bool,
    /// The lines of this log before that, without states.
    plain_lines: u64,
    /// The lines that a container runtime has wrapped.
    wrapped: Option<WrappedLines>,
    /// True when a line had one of the states.
    has_states: bool,
    /// True when a line had a place for the usage.
    has_usage_place: bool,
    progress: &'a Progress,
    /// The bytes of the logs before this one.
    bytes_before: u64,
}

impl LogReading<'_> {
    fn read(&mut self, path: &Path) -> Result<(), UsageError> {
        let unreadable = LogError::unreadable(path);
        let reader = logs::open(path, LogUse::Sum)?;
        (self.has_json, self.plain_lines) = (false, 0);
        let mut lines = InputLines::up_to(LONGEST_LOG_LINE, reader);
        while let Some(line) = lines.next().map_err(unreadable)? {
            let taken = match line {
                InputLine::TooLong => Ok(Err(BadLogLine::TooLong)),
                InputLine::Whole(line) if line.trim_ascii().is_empty() => continue,
                InputLine::Whole(line) => self.line(line),
            };
            let (line, bytes) = (lines.number(), lines.bytes());
            let taken = taken.map_err(LogError::ambiguous(path, line))?;
            self.counts.read = self.counts.read.saturating_add(1);
            if let Err(bad) = taken {
                self.broken(path, line, &bad);
            }
            let position = self.bytes_before.saturating_add(bytes);
            self.progress.at(line, position);
        }
        self.bytes_before = self.bytes_before.saturating_add(lines.bytes());
        if self.has_json && self.plain_lines > 0 {
            self.count_plain_lines_as_broken(path);
        }
        Ok(())
    }

    /// In a log of JSON, the lines before its first JSON are broken too.
    fn count_plain_lines_as_broken(&mut self, path: &Path) {
        let (counts, plain) = (&mut self.counts, self.plain_lines);
        counts.without_states = counts.without_states.saturating_sub(plain);
        counts.broken = counts.broken.saturating_add(plain);
        let (path, plain) = (path.display(), number(plain));
        let said = format!("{path}: {plain} lines before the first JSON are not JSON");
        self.progress.say(&said);
    }

    /// Takes a line. Bytes that are no text stand outside of the states, and cost nothing.
    fn line(&mut self, line: &[u8]) -> Result<Result<(), BadLogLine>, AmbiguousField> {
        let is_text = is_text(line);
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let found = match line.starts_with('{') {
            true => match self.json(line)? {
                // A text line can begin so too, with a user agent. In a log of JSON it is a line that
                // was cut, maybe within what a client wrote.
                Err(BadLogLine::Json(problem)) if !self.has_json => match in_text(line) {
                    Ok(found) if found.has_usage_place => Ok(found),
                    _ => Err(BadLogLine::Json(problem)),
                },
                found => {
                    self.has_json |= found.is_ok();
                    found
                }
            },
            false => in_text(line).and_then(|found| self.plain(found, line, is_text)),
        };
        Ok(found.and_then(|found| self.take(&found)))
    }

    /// Finds the states of a line that begins as JSON does.
    fn json<'l>(
        &mut self,
        line: &'l str,
    ) -> Result<Result<FoundStates<'l>, BadLogLine>, AmbiguousField> {
        let found = self.fields.find(line, &[])?;
        Ok(found.map(|(found, values)| {
            self.named.see_json(line, &values);
            found
        }))
    }

    /// Judges a line that is no JSON. What has the states at its end is whole, whatever is before them.
    fn plain<'l>(
        &mut self,
        found: FoundStates<'l>,
        line: &str,
        is_text: bool,
    ) -> Result<FoundStates<'l>, BadLogLine> {
        let has_states = found.request.is_some() || found.has_usage_place;
        if !is_text && !has_states {
            return Err(BadLogLine::NoText);
        }
        if !has_states && has_json_behind_a_prefix(line) {
            return Err(BadLogLine::Wrapped(Wrapping::Prefix));
        }
        self.named.see_text(|_| false, || 0);
        if self.has_json {
            return Err(BadLogLine::NoJson);
        }
        if has_states {
            return Ok(found);
        }
        add_one(&mut self.plain_lines);
        Ok(found)
    }

    fn take(&mut self, found: &FoundStates<'_>) -> Result<(), BadLogLine> {
        if found.is_interim {
            self.has_usage_place |= found.has_usage_place;
            add_one(&mut self.counts.interim);
            return Ok(());
        }
        let request = found.request.as_deref().map(RequestWords::parse);
        let request = request.transpose().map_err(BadLogLine::Request)?;
        let usage = found.usage.as_deref().map(UsageWords::parse);
        let usage = usage.transpose().map_err(BadLogLine::Usage)?;
        self.has_usage_place |= found.has_usage_place;
        self.has_states |= request.is_some() || usage.is_some();
        match (usage, request) {
            (Some(usage), request) => {
                let account = request.and_then(|request| request.account);
                let names_account = account.is_some();
                let added = self.sums.add(account, &usage);
                added.map_err(|_| BadLogLine::TooMuch)?;
                add_one(&mut self.counts.used);
                if !names_account {
                    add_one(&mut self.counts.without_account);
                }
            }
            (None, Some(request)) => {
                let outcome = outcome(request.outcome);
                add_one(self.counts.without_usage.entry(outcome).or_default());
            }
            (None, None) => add_one(&mut self.counts.without_states),
        }
        Ok(())
    }

    fn broken(&mut self, path: &Path, line: u64, bad: &BadLogLine) {
        add_one(&mut self.counts.broken);
        WrappedLines::count(&mut self.wrapped, bad);
        if self.counts.broken <= REPORTED {
            let path = path.display();
            self.progress.say(&format!("{path}, line {line}: {bad}"));
        }
    }

    /// Checks that the logs have what the sums need.
    fn check(&self, by: &[ByColumn]) -> Result<(), UsageError> {
        let counts = &self.counts;
        let is_stateless = counts.read > 0 && !self.has_states && !self.has_usage_place;
        if let Some(wrapped) = self.wrapped.filter(|_| is_stateless) {
            let lines = counts.read;
            return Err(UsageError::Wrapped { lines, wrapped });
        }
        let admitted = self.admitted_without_usage();
        self.named.check(counts.used > 0 || admitted > 0)?;
        if is_stateless {
            return Err(UsageError::NoStates(counts.read));
        }
        if counts.used == 0 && admitted > 0 && !self.has_usage_place {
            return Err(UsageError::NoUsage(admitted));
        }
        let nameless = counts.used > 0 && counts.without_account == counts.used;
        if nameless && by.contains(&ByColumn::Account) {
            return Err(UsageError::NoAccounts(counts.used));
        }
        Ok(())
    }

    fn admitted_without_usage(&self) -> u64 {
        let admitted = Outcome::Admitted.as_str();
        let count = self.counts.without_usage.get(admitted);
        count.copied().unwrap_or_default()
    }

    fn say_counts(&self) {
        let counts = &self.counts;
        let more = counts.broken.saturating_sub(REPORTED);
        if more > 0 {
            crate::say(&format!("and {} more broken lines", number(more)));
        }
        crate::say(&counts.summary());
        if counts.used == 0 && self.admitted_without_usage() > 0 {
            crate::say(
                "no admitted request has a usage: does the plugin config have \"log_usage\": true?",
            );
        }
    }
}

fn add_one(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// Returns the name of an outcome. A log can't add names without end.
fn outcome(written: &str) -> &'static str {
    let mut known = Outcome::ALL.into_iter().map(Outcome::as_str);
    known.find(|name| *name == written).unwrap_or("other")
}
