//! Why a config is refused: where, what is wrong, and what is allowed.

/// A config that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("config at {path}: {problem}")]
pub struct ConfigError {
    /// The JSON path, such as `tiers[0].limits.rpm`; `$` for the whole.
    pub path: String,
    /// What is wrong there and what is allowed.
    pub problem: String,
}

impl ConfigError {
    /// An error at `path`.
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}
