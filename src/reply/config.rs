//! The config of replies: `headers`, `errors`, `jitter` and `cors`.

use super::api::CalledApi;
use super::cors::{Cors, CorsConfig};
use super::headers::{HeadersConfig, Styles};
use crate::json::values::Duration;
use crate::json::{Invalid, Object, in_range};
use crate::time::Span;
use serde::Deserialize;

/// The error bodies of a config, unchecked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorsConfig {
    /// OpenAI's.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Gemini's.
    Gemini,
    /// Those of the API that a request calls.
    Auto,
}

/// The fields of replies, unchecked.
#[derive(Debug, Default)]
pub struct RepliesConfig {
    /// `headers`.
    pub headers: Option<HeadersConfig>,
    /// `errors`.
    pub errors: Option<ErrorsConfig>,
    /// `jitter`.
    pub jitter: Option<Duration>,
    /// `cors`.
    pub cors: Option<Object<CorsConfig>>,
}

/// The rules of replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// The styles of the rate-limit headers for clients.
    pub styles: Styles,
    /// The API whose error bodies all clients get; `None` for the one that a request calls.
    pub errors: Option<CalledApi>,
    /// The largest time that is added to a wait.
    pub jitter: Span,
    /// The origins that may read replies; `None` leaves that to another filter.
    pub cors: Option<Cors>,
}

/// The largest jitter.
const MOST_JITTER: Span = Span::from_secs(60);

impl Replies {
    /// Checks the fields.
    ///
    /// # Errors
    /// [`Invalid`] for the first field with a problem.
    pub fn check(config: RepliesConfig) -> Result<Self, Invalid> {
        let errors = match config.errors.unwrap_or_default() {
            ErrorsConfig::OpenAi => Some(CalledApi::OpenAi),
            ErrorsConfig::Anthropic => Some(CalledApi::Anthropic),
            ErrorsConfig::Gemini => Some(CalledApi::Gemini),
            ErrorsConfig::Auto => None,
        };
        let jitter = match config.jitter {
            Some(Duration(jitter)) => {
                in_range("jitter", jitter, Span::from_millis(1)..=MOST_JITTER)?
            }
            None => Span::ZERO,
        };
        Ok(Self {
            styles: Styles::check("headers", config.headers)?,
            errors,
            jitter,
            cors: config
                .cors
                .map(|cors| Cors::check("cors", cors))
                .transpose()?,
        })
    }

    /// Returns a time from zero to the configured jitter, by a random number.
    pub fn jitter(&self, random: impl FnOnce() -> u64) -> Span {
        match self.jitter.as_millis().checked_add(1) {
            Some(times @ 2..) => Span::from_millis(random().checked_rem(times).unwrap_or(0)),
            _ => Span::ZERO,
        }
    }
}
