//! `tiergate simulate`: what a config would have refused of the requests in access logs, by the
//! filter's own limiter.
//!
//! One pass over the lines, in the order of their time. The memory grows with accounts and with the
//! requests that wait for their turn.

mod clock;
mod columns;
mod event;
mod host;
mod logs;
mod notes;
mod picture;
mod plot;
mod replay;
mod report;
mod tables;
mod tally;
mod timeline;

use crate::Ending;
use crate::check::load::{ConfigLoadError, load_one};
use crate::output::Output;
use crate::progress::Progress;
use crate::standard_input;
use crate::usage::log_line::WrappedLines;
use crate::usage::logs::{LogError, LogUse, check as check_logs};
use crate::usage::named::{NamedFields, UnknownName};
use clap::Args;
use columns::NamedColumns;
use event::EventReader;
use logs::{LogCounts, LogStream, StateFields};
use picture::{Picture, PictureError};
use replay::Replay;
use report::Report;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use tally::Tally;
use tiergate::config::{self, Config};
use tiergate::json::Invalid;
use tiergate::json::values::Duration;
use tiergate::ledger::OpenError;
use tiergate::text::number;
use tiergate::tiers::TierId;

#[derive(Args)]
pub struct SimulateArgs {
    /// Access logs: Envoy's default text, JSON, or with the filter's states; - for standard input
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The file with the plugin config, as tiergate check reads it; - for standard input; without it,
    /// the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The account's column: a field of JSON, a number from 1 of a text column, or its name in Envoy's
    /// default format, such as authority; without it, account= of the filter's state
    #[arg(long, value_name = "COLUMN")]
    account: Option<String>,
    /// The tier's column; without it, tier= of the filter's state
    #[arg(long, value_name = "COLUMN")]
    tier_column: Option<String>,
    /// The column of the model or its family; without it, model= of the filter's state
    #[arg(long, value_name = "COLUMN")]
    model: Option<String>,
    /// The tier of requests whose line names none of the config's
    #[arg(long, value_name = "NAME")]
    tier: Option<String>,
    /// JSON in place of the tables
    #[arg(long)]
    json: bool,
    /// Draw the decisions over time into this file, as an SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// List each request that the log has refused and this config admits, or the other way round
    #[arg(long)]
    differences: bool,
    /// The rows of refusals in the table; 0 for all
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    top: usize,
    /// The time of the log in which lines are put in order: longer than the longest request
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = window)]
    window: u64,
    /// The field of JSON lines that has wasm.tiergate
    #[arg(long, value_name = "FIELD")]
    state_field: Option<String>,
    /// The field of JSON lines that has wasm.tiergate.usage
    #[arg(long, value_name = "FIELD")]
    usage_field: Option<String>,
}

fn window(text: &str) -> Result<u64, String> {
    let time = Duration::parse(text).ok_or("a time such as 500ms, 10m or 2h");
    Ok(time?.0.as_millis())
}

#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Config(#[from] ConfigLoadError),
    #[error("the defaults: config at {0}")]
    Defaults(Invalid),
    #[error("standard input can't be a log and the config: name a file for one of them")]
    InputTwice,
    #[error("there is no tier {name:?}: the config has {known}")]
    NoSuchTier { name: String, known: String },
    #[error(
        "none of {} lines names its account. Name its column with --account; or set \"log_account\": \
         true in the plugin config, and log %FILTER_STATE(wasm.tiergate:PLAIN)%",
        number(*.0)
    )]
    NoAccounts(u64),
    #[error(
        "none of {} requests names a tier of the config, which has {known}. Name the column of the tier \
         with --tier-column, or one tier for all with --tier",
        number(*.requests)
    )]
    NoTiers { requests: u64, known: String },
    #[error(
        "nothing was replayed ({counts}): {} of them are {}",
        number(wrapped.lines), wrapped.by
    )]
    Wrapped {
        counts: String,
        wrapped: WrappedLines,
    },
    #[error(
        "nothing was replayed ({0}): name logs whose lines are requests, and see \"What a log must have\" in \
         docs/simulate.md"
    )]
    NothingReplayed(String),
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    #[error("the limiter can't be opened: {0}")]
    Closed(#[from] OpenError),
    #[error("can't write the result: {0}")]
    Unwritable(#[source] io::Error),
    #[error(transparent)]
    Picture(#[from] PictureError),
}

pub fn run(args: &SimulateArgs) -> Result<Ending, SimulateError> {
    let config = Rc::new(read_config(args)?);
    let tier = args.tier.as_deref();
    let tier = tier.map(|name| tier_named(&config, name)).transpose()?;
    let columns = NamedColumns {
        account: args.account.clone(),
        tier: args.tier_column.clone(),
        model: args.model.clone(),
    };
    let bytes = check_logs(&args.logs, LogUse::Replay)?;
    let inputs = args.logs.iter().chain(&args.config);
    let picture = args.svg.as_deref();
    let picture = picture
        .map(|path| Picture::open(path, inputs))
        .transpose()?;
    let progress = Progress::new(bytes);
    let fields = StateFields {
        request: args.state_field.as_deref(),
        usage: args.usage_field.as_deref(),
    };
    let mut logs = LogStream::open(
        &args.logs,
        fields,
        args.window.saturating_mul(1000),
        &progress,
    )?;
    let tier = tier.or(only_tier(&config));
    let mut reader = EventReader::new(Rc::clone(&config), columns, named(args), tier);
    let mut replay: Option<Replay> = None;
    let mut failed = None;
    let replayed = logs.replay(&mut reader, |event, reader| {
        if replay.is_none() && failed.is_none() {
            match Replay::open(&config, Tally::new(args.differences), event.arrival, bytes) {
                Ok(opened) => replay = Some(opened),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(replay) = &mut replay {
            replay.take(event, reader.accounts());
        }
    });
    progress.end();
    replayed?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let tally = match replay {
        Some(replay) => replay.finish(),
        None => Tally::new(args.differences),
    };
    check(&config, &tally, &logs.counts, reader.named())?;
    let notes = notes::notes(&config, &tally, &reader);
    let report = Report {
        config: &config,
        accounts: reader.accounts(),
        tally: &tally,
        notes: &notes,
        lines: &logs.counts,
        files: args
            .logs
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
    };
    write(args, &report).map_err(SimulateError::Unwritable)?;
    logs.say_counts();
    if let Some(picture) = picture {
        picture.draw(&tally.timeline)?;
    }
    Ok(match logs.counts.broken {
        0 => Ending::Clean,
        _ => Ending::LinesLeftOut,
    })
}

/// Returns the names of fields and columns that the options give.
fn named(args: &SimulateArgs) -> NamedFields {
    let fields = NamedFields::of_fields([
        ("--state-field", args.state_field.as_deref()),
        ("--usage-field", args.usage_field.as_deref()),
    ]);
    let columns = [
        ("--account", args.account.as_deref()),
        ("--tier-column", args.tier_column.as_deref()),
        ("--model", args.model.as_deref()),
    ];
    fields.and_columns(columns, &columns::DEFAULT_COLUMNS)
}

fn write(args: &SimulateArgs, report: &Report<'_>) -> io::Result<()> {
    let mut out = Output::new();
    match args.json {
        true => report.write_json(&mut out)?,
        false => {
            let most = match args.top {
                0 => usize::MAX,
                rows => rows,
            };
            report.write_text(&mut out, most)?;
        }
    }
    out.flush()
}

/// Checks that the logs have what a replay needs.
fn check(
    config: &Config,
    tally: &Tally,
    counts: &LogCounts,
    named: &NamedFields,
) -> Result<(), SimulateError> {
    if let Some(wrapped) = counts.wrapped.filter(|_| counts.replayed == 0) {
        let counts = counts.summary();
        return Err(SimulateError::Wrapped { counts, wrapped });
    }
    named.check(counts.has_admitted)?;
    if counts.replayed == 0 && counts.without_account > 0 {
        return Err(SimulateError::NoAccounts(counts.without_account));
    }
    if counts.replayed == 0 {
        return Err(SimulateError::NothingReplayed(counts.summary()));
    }
    match tally.tiers.get(&None) {
        Some(none) if none.requests == counts.replayed => Err(SimulateError::NoTiers {
            requests: none.requests,
            known: tier_names(config),
        }),
        _ => Ok(()),
    }
}

fn read_config(args: &SimulateArgs) -> Result<Config, SimulateError> {
    let Some(path) = &args.config else {
        return config::parse(b"").map_err(SimulateError::Defaults);
    };
    if standard_input::is_there_twice(args.logs.iter().chain([path]).map(PathBuf::as_path)) {
        return Err(SimulateError::InputTwice);
    }
    Ok(load_one(path)?)
}

fn tier_named(config: &Config, name: &str) -> Result<TierId, SimulateError> {
    let found = config.tiers.by_name(name.as_bytes());
    found.ok_or_else(|| SimulateError::NoSuchTier {
        name: name.to_owned(),
        known: tier_names(config),
    })
}

fn tier_names(config: &Config) -> String {
    let names: Vec<&str> = config.tiers.iter().map(|tier| tier.name.as_str()).collect();
    names.join(", ")
}

/// Returns the tier of a config that has one alone.
fn only_tier(config: &Config) -> Option<TierId> {
    let mut tiers = config.tiers.entries().map(|(id, _)| id);
    let first = tiers.next();
    match tiers.next() {
        None => first,
        Some(_) => None,
    }
}
