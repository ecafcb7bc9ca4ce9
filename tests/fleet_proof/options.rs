//! The settings of a run, from the environment.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of a run.
pub struct Options {
    /// The rows to run: a part of their names; all where there is none.
    pub rows: Vec<String>,
    /// Runs the rows that take minutes as well.
    pub long: bool,
    /// The time for which answers are lost.
    pub loses_for: Duration,
    /// The longest wait of a request for the service's answer.
    pub timeout: Duration,
    /// The document that has the tables, if any.
    pub table: Option<PathBuf>,
}

impl Options {
    /// Reads the settings; `Err` names one that is none.
    pub fn from_env() -> Result<Self, String> {
        let rows = std::env::var("PROOF_ROWS").unwrap_or_default();
        let rows = rows.split(',').map(str::trim).filter(|row| !row.is_empty());
        Ok(Self {
            rows: rows.map(str::to_owned).collect(),
            long: number("PROOF_LONG", 0, 1)? == 1,
            loses_for: Duration::from_secs(number("PROOF_LOSS_SECONDS", 60, 3_600)?),
            timeout: Duration::from_millis(number("PROOF_TIMEOUT_MS", 200, 1_000)?),
            table: std::env::var_os("PROOF_TABLE").map(PathBuf::from),
        })
    }

    pub fn wants(&self, name: &str, is_long: bool) -> bool {
        match self.rows.is_empty() {
            true => self.long || !is_long,
            false => self.rows.iter().any(|row| name.contains(row.as_str())),
        }
    }
}

fn number(name: &str, default: u64, most: u64) -> Result<u64, String> {
    let Ok(text) = std::env::var(name) else {
        return Ok(default);
    };
    let number = text.trim().parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{name}: a whole number up to {most} is wanted, not {text:?}"))
}
