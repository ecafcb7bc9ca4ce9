//! What a tier allows: the four limits and their names.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// One limit: a positive number, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most this many.
    Finite(NonZeroU64),
    /// As many as there are.
    Unlimited,
}

impl Limit {
    /// The largest finite limit: 2^53 - 1, so that every JSON reader has it exactly.
    pub const MAX: u64 = 9_007_199_254_740_991;

    /// The finite number, if there is one.
    pub const fn finite(self) -> Option<u64> {
        match self {
            Self::Finite(n) => Some(n.get()),
            Self::Unlimited => None,
        }
    }
}

/// The four limits that a tier has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests in process at the same time.
    pub concurrency: Limit,
    /// Requests in one minute window.
    pub rpm: Limit,
    /// Tokens in one minute window.
    pub tpm: Limit,
    /// Tokens in one day.
    pub tpd: Limit,
}

impl Limits {
    /// The limit of that name.
    pub const fn get(&self, name: LimitName) -> Limit {
        match name {
            LimitName::Concurrency => self.concurrency,
            LimitName::Rpm => self.rpm,
            LimitName::Tpm => self.tpm,
            LimitName::Tpd => self.tpd,
        }
    }

    /// Whether nothing needs to be counted at all.
    pub fn all_unlimited(&self) -> bool {
        [self.concurrency, self.rpm, self.tpm, self.tpd]
            .iter()
            .all(|l| *l == Limit::Unlimited)
    }

    /// Whether the minute window needs to be kept.
    pub fn count_minute(&self) -> bool {
        self.rpm != Limit::Unlimited || self.tpm != Limit::Unlimited
    }
}

/// Which of the four limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitName {
    /// Requests at the same time.
    Concurrency,
    /// Requests per minute.
    Rpm,
    /// Tokens per minute.
    Tpm,
    /// Tokens per day.
    Tpd,
}

impl LimitName {
    /// All four, in the order of the tier table.
    pub const ALL: [Self; 4] = [Self::Concurrency, Self::Rpm, Self::Tpm, Self::Tpd];

    /// The name in configs, replies, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Rpm => "rpm",
            Self::Tpm => "tpm",
            Self::Tpd => "tpd",
        }
    }

    /// What is counted, in words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrent requests",
            Self::Rpm => "requests per minute",
            Self::Tpm => "tokens per minute",
            Self::Tpd => "tokens per day",
        }
    }
}
