//! The settings of a run, from the environment.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of a run.
pub struct Options {
    /// Envoy processes of each row.
    pub processes: usize,
    /// Measurements of each process.
    pub rounds: usize,
    /// The length of one measurement.
    pub length: Duration,
    /// The window of RPM and TPM of rows that admit, and their warm-up before each measurement: a
    /// log is full after one window of traffic.
    pub window: Duration,
    /// Substrings of the names of rows to run; empty for all rows.
    pub rows: Vec<String>,
    /// The module of another commit.
    pub before: Option<PathBuf>,
}

impl Options {
    /// Reads the settings; `Err` names one that is none.
    pub fn from_env() -> Result<Self, String> {
        let rows = std::env::var("BENCH_ROWS").unwrap_or_default();
        let rows = rows.split(',').map(|part| part.trim().to_lowercase());
        Ok(Self {
            processes: number("BENCH_PROCESSES", 3)? as usize,
            rounds: number("BENCH_ROUNDS", 4)? as usize,
            length: Duration::from_secs(number("BENCH_SECONDS", 1)?.into()),
            window: Duration::from_secs(number("BENCH_WINDOW", 4)?.into()),
            rows: rows.filter(|part| !part.is_empty()).collect(),
            before: std::env::var_os("BENCH_BEFORE")
                .filter(|path| !path.is_empty())
                .map(|path| std::path::absolute(path).unwrap()),
        })
    }

    /// True when a row of that name runs.
    pub fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.rows.is_empty() || self.rows.iter().any(|part| name.contains(part))
    }
}

fn number(name: &str, default: u32) -> Result<u32, String> {
    let Ok(text) = std::env::var(name) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!(
            "{name}: a whole number from 1 is wanted, not {text:?}"
        )),
    }
}
