//! The settings of a run, from the environment.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a run.
pub struct Options {
    /// The numbers of accounts, ascending.
    pub accounts: Vec<u32>,
    /// Requests of each account before the measurements.
    pub requests: u32,
    /// Starts of each Envoy.
    pub starts: u32,
    /// Measurements of the CPU of each Envoy.
    pub rounds: u32,
    /// The length of one measurement.
    pub length: Duration,
    /// The document that has the table, if any.
    pub table: Option<PathBuf>,
    /// The file of the plot, if any.
    pub plot: Option<PathBuf>,
}

impl Options {
    /// Reads the settings; `Err` names one that is none.
    pub fn from_env() -> Result<Self, String> {
        let text = std::env::var("SCALE_ACCOUNTS");
        let text = text.unwrap_or_else(|_| "1000,100000,1000000".to_owned());
        let accounts = text.split(',');
        let accounts = accounts.map(|one| bounded("SCALE_ACCOUNTS", one, 100..=2_000_000));
        let mut accounts = accounts.collect::<Result<Vec<_>, _>>()?;
        accounts.sort_unstable();
        accounts.dedup();
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let seconds = number("SCALE_SECONDS", 2, 1..=10)?;
        Ok(Self {
            accounts,
            requests: number("SCALE_REQUESTS", 3, 1..=10)?,
            starts: number("SCALE_STARTS", 5, 1..=50)?,
            rounds: number("SCALE_ROUNDS", 8, 1..=50)?,
            length: Duration::from_secs(seconds.into()),
            table: path("SCALE_TABLE"),
            plot: path("SCALE_PLOT"),
        })
    }
}

fn number(name: &str, default: u32, range: RangeInclusive<u32>) -> Result<u32, String> {
    match std::env::var(name) {
        Ok(text) => bounded(name, &text, range),
        Err(_) => Ok(default),
    }
}

fn bounded(name: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.trim().parse().ok();
    number.filter(|n| range.contains(n)).ok_or_else(|| {
        let (from, to) = range.into_inner();
        format!("{name}: a whole number from {from} to {to} is wanted, not {text:?}")
    })
}
