//! JSON that is not what it should be: where, and what is allowed there.

/// A value that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Invalid {
    /// The JSON path, such as `tiers[0].limits.rpm`; `$` for the whole.
    pub path: String,
    /// The problem there, and what is allowed.
    pub problem: String,
}

impl Invalid {
    /// An error at `path`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}
