//! The usage of one request, for access logs.

use super::settle::counts;
use super::{Admission, Limiter};
use crate::host::Clock;
use crate::time::Wall;
use crate::tokens::Used;
use crate::tokens::consumed::Consumed;
use crate::tokens::rates::TokenCounts;
use std::fmt;

/// The line that access logs show of a request's usage:
/// `at=1764370000000 reserved=1030 model=k2 input=120 cached=80 cache_write=0 output=431 estimated=false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLine {
    /// The time of the decision.
    pub at: Wall,
    /// The weighted tokens that were reserved.
    pub reserved: u64,
    /// The family of the request's model, if it has one.
    pub model: Option<String>,
    /// The tokens by kind, unweighted.
    pub tokens: TokenCounts,
    /// True when the response did not say them all.
    pub estimated: bool,
}

impl fmt::Display for UsageLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, tokens) = (self.at.as_millis(), &self.tokens);
        write!(f, "at={at} reserved={}", self.reserved)?;
        if let Some(model) = &self.model {
            write!(f, " model={model}")?;
        }
        write!(
            f,
            " input={} cached={} cache_write={} output={} estimated={}",
            tokens.input, tokens.cached, tokens.cache_write, tokens.output, self.estimated
        )
    }
}

impl Limiter {
    /// Returns the usage of an admitted request; before its response was read, the estimate.
    pub fn usage_line(
        &self,
        clock: &dyn Clock,
        admission: &Admission,
        consumed: Option<&Consumed>,
    ) -> UsageLine {
        let reserved = &admission.reservation.reserved;
        let consumed = consumed.copied().unwrap_or_else(|| Used::Unknown.into());
        let consumed = self.counted(admission, consumed);
        let estimate = TokenCounts {
            input: reserved.input_tokens,
            output: reserved.output_tokens,
            ..TokenCounts::default()
        };
        let since = clock.mono().since(admission.at()).as_millis();
        let model = admission.family;
        let model = model.and_then(|family| self.config.models.get(family));
        UsageLine {
            at: Wall::from_millis(clock.wall().as_millis().saturating_sub(since)),
            reserved: reserved.tokens,
            model: model.map(|family| family.name.clone()),
            tokens: counts(&consumed, reserved).unwrap_or(estimate),
            estimated: !matches!(consumed.used, Used::Tokens(_)),
        }
    }
}
