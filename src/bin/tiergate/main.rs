//! The native command line: tools for the filter's data, with the filter's own rules.
//!
//! Exit codes: 0 for success, 1 when bad lines were skipped or a check found errors, 2 when the arguments, a file or an
//! admin API can't be used. A reader of standard output that leaves early changes no exit code.
#![forbid(unsafe_code)]

mod admin;
mod check;
mod csv;
mod diff;
mod event;
mod explain;
mod feed;
#[cfg(feature = "fleet")]
mod fleet;
mod fold;
mod jsonl;
mod lines;
mod log_file;
mod output;
mod preset;
mod progress;
#[cfg(all(test, feature = "fleet"))]
#[path = "../../../tests/reference/mod.rs"]
mod reference;
mod schema;
mod screen;
mod show;
mod simulate;
mod standard_input;
mod table;
mod terms;
mod top;
mod totals;
mod usage;
mod view;
mod visible;

use clap::{CommandFactory as _, Parser, Subcommand};
use output::Output;
use std::io::Write as _;
use std::process::ExitCode;

/// The config that stands for none.
const DEFAULTS: &str = include_str!("defaults.json");

#[derive(Parser)]
#[command(
    name = "tiergate",
    version,
    about = "Tools for tiergate, the rate limiter for LLM APIs"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the tier and the limits that a config gives an account
    Explain(explain::ExplainArgs),
    /// Checks configs: all errors at once, each with its line, its column and what is allowed
    Check(check::ConfigCheckArgs),
    /// Compares two configs: limits and settings that change, and what becomes of counters
    Diff(diff::DiffArgs),
    /// Prints the JSON Schema of the config, for editors
    Schema,
    /// Shows who is refused now, the load and the workers of a filter that runs
    Top(top::TopArgs),
    /// Sums tokens by account, model and day from access logs
    Usage(usage::UsageArgs),
    /// Shows what a config would have refused of the requests in access logs
    Simulate(simulate::SimulateArgs),
    /// Keeps one limit across many Envoys: a service in front of Redis
    #[cfg(feature = "fleet")]
    Fleet(fleet::FleetArgs),
    /// Prints a config with the dimensions that a vendor publishes
    Preset(preset::PresetArgs),
    /// Prints the config that stands for none
    Config {
        /// Each field with its default
        #[arg(long, required = true)]
        defaults: bool,
    },
    /// Prints a shell's completions of this command line
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Works on what accounts have paid
    #[command(subcommand)]
    Accounts(Accounts),
}

#[derive(Subcommand)]
enum Accounts {
    /// Folds a billing export of recharge events into a feed file for the account directory
    Fold(fold::FoldArgs),
}

/// The result of a command that succeeded.
enum Ending {
    Clean,
    LinesLeftOut,
    /// A checked file has errors.
    Wrong,
    /// Two configs differ.
    Different,
    /// A file has no config that can be checked, which was said.
    Unread,
}

/// The reason for the failure of a command.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Check(#[from] check::ConfigCheckError),
    #[error(transparent)]
    Diff(#[from] diff::DiffError),
    #[error(transparent)]
    Explain(#[from] explain::ExplainError),
    #[cfg(feature = "fleet")]
    #[error(transparent)]
    Fleet(#[from] fleet::FleetError),
    #[error(transparent)]
    Fold(#[from] fold::FoldError),
    #[error("can't write: {0}")]
    Unwritable(#[from] std::io::Error),
    #[error(transparent)]
    Simulate(#[from] simulate::SimulateError),
    #[error(transparent)]
    Schema(#[from] schema::SchemaError),
    #[error(transparent)]
    Top(#[from] top::TopError),
    #[error(transparent)]
    Usage(#[from] usage::UsageError),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(Ending::Clean) => ExitCode::SUCCESS,
        Ok(Ending::LinesLeftOut | Ending::Wrong | Ending::Different) => ExitCode::from(1),
        Ok(Ending::Unread) => ExitCode::from(2),
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command) -> Result<Ending, Failure> {
    match command {
        Command::Explain(args) => {
            explain::run(args)?;
            Ok(Ending::Clean)
        }
        Command::Check(args) => Ok(check::run(args)?),
        Command::Diff(args) => Ok(diff::run(args)?),
        Command::Schema => {
            schema::run()?;
            Ok(Ending::Clean)
        }
        Command::Top(args) => Ok(top::run(args)?),
        #[cfg(feature = "fleet")]
        Command::Fleet(args) => Ok(fleet::run(args)?),
        Command::Usage(args) => Ok(usage::run(args)?),
        Command::Simulate(args) => Ok(simulate::run(args)?),
        Command::Accounts(Accounts::Fold(args)) => Ok(fold::run(args)?),
        Command::Preset(args) => {
            preset::run(args)?;
            Ok(Ending::Clean)
        }
        Command::Config { .. } => {
            Output::print(DEFAULTS)?;
            Ok(Ending::Clean)
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tiergate", &mut text);
            Output::print(&String::from_utf8_lossy(&text))?;
            Ok(Ending::Clean)
        }
    }
}

/// Writes a line to standard error; a closed standard error is ignored.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "tiergate: {text}");
}
