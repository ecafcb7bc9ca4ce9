//! Invalid JSON: the path of the problem, and the allowed values.

/// An invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Invalid {
    /// The JSON path, such as `tiers[0].limits.rpm`; `$` for the complete value.
    pub path: String,
    /// The problem, and the allowed values.
    pub problem: String,
}

impl Invalid {
    /// Creates an error at `path`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}
