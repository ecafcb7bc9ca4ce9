//! The mode of a config or a tier: decisions are carried out, or only told.

use serde::Deserialize;

/// The treatment of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Refuses a request over a limit with a 429.
    Enforce,
    /// Lets every request through, and clients see nothing of the filter; decisions are only counted
    /// and logged.
    Shadow,
}

impl Mode {
    /// Returns the mode's word in the config and in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}
