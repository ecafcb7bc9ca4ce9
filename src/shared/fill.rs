//! The fill level of pages, from a sample: reading all pages would stall the worker.

use crate::host::{Host, HostError};
use crate::text::number;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The maximum number of pages in the sample.
const LOOKED_AT: u32 = 512;

/// The fewest records of a sample from which the number of all records is estimated.
const ENOUGH: u64 = 30;

/// The number of records on all pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllRecords {
    /// All pages were read.
    Exactly(u64),
    /// A sample with enough records was read.
    About(u64),
    /// A sample with few records was read: the number is below this one, with a certainty of 99%.
    FewerThan(u64),
}

impl fmt::Display for AllRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(n) => f.write_str(&number(*n)),
            Self::About(n) => write!(f, "about {}", number(*n)),
            Self::FewerThan(n) => write!(f, "fewer than {}", number(*n)),
        }
    }
}

/// The fill level of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The number of all pages.
    pub pages: u32,
    /// The number of pages in the sample.
    pub looked_at: u32,
    /// The records in the sample.
    pub records: u64,
    /// The records on the fullest page of the sample.
    pub fullest: u64,
    /// The bytes of the sample.
    pub bytes: u64,
}

impl Fill {
    /// Estimates the bytes of all pages, if the others are as full as the sample.
    pub fn estimate(&self) -> u64 {
        let sum = self.bytes.saturating_mul(u64::from(self.pages));
        sum.checked_div(u64::from(self.looked_at)).unwrap_or(0)
    }

    /// Estimates the records of all pages.
    pub fn all_records(&self) -> AllRecords {
        let scaled = |records: u64| {
            let sum = records.saturating_mul(u64::from(self.pages));
            sum.checked_div(u64::from(self.looked_at)).unwrap_or(0)
        };
        if self.looked_at >= self.pages {
            return AllRecords::Exactly(self.records);
        }
        if self.records >= ENOUGH {
            return AllRecords::About(scaled(self.records));
        }
        // An upper bound of a Poisson mean: three standard deviations, and what zero needs.
        let spread = self.records.isqrt().saturating_add(1).saturating_mul(3);
        let most = self.records.saturating_add(spread).saturating_add(2);
        AllRecords::FewerThan(round_up(scaled(most)))
    }

    /// Reads the first of `pages` pages; `name` returns a page's key, `count` its records.
    pub fn of(
        host: &dyn Host,
        pages: u32,
        name: impl Fn(u32) -> String,
        count: impl Fn(&[u8]) -> usize,
    ) -> Result<Self, HostError> {
        let mut fill = Self {
            pages,
            looked_at: pages.min(LOOKED_AT),
            ..Self::default()
        };
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for page in 0..fill.looked_at {
            let Some(stored) = host.get(&name(page))? else {
                continue;
            };
            let records = number(count(&stored.value));
            fill.records = fill.records.saturating_add(records);
            fill.fullest = fill.fullest.max(records);
            fill.bytes = fill.bytes.saturating_add(number(stored.value.len()));
        }
        Ok(fill)
    }
}

/// Rounds up to 1, 2 or 5 times a power of ten.
fn round_up(n: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for times in [1, 2, 5] {
            let round = power.saturating_mul(times);
            if round >= n {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_records_of_a_sample_are_a_bound_and_no_estimate() {
        for (looked_at, records, said) in [
            (8192, 3, "3"),
            (8192, 2_000, "2,000"),
            (512, 0, "fewer than 100"),
            (512, 1, "fewer than 200"),
            (512, 3, "fewer than 200"),
            (512, 29, "fewer than 1,000"),
            (512, 30, "about 480"),
            (512, 1_234, "about 19,744"),
        ] {
            let fill = Fill {
                pages: 8192,
                looked_at,
                records,
                ..Fill::default()
            };
            assert_eq!(fill.all_records().to_string(), said, "{records}");
        }
        assert_eq!(Fill::default().all_records(), AllRecords::Exactly(0));
        let all = Fill {
            pages: u32::MAX,
            looked_at: 1,
            records: u64::MAX,
            ..Fill::default()
        };
        assert_eq!(all.all_records(), AllRecords::About(u64::MAX));
    }

    /// A bound fails in at most one of a hundred random samples of 512 of 8192 pages.
    #[test]
    fn a_bound_holds_in_99_of_100_samples() {
        for records in 0..ENOUGH {
            let fill = Fill {
                pages: 8192,
                looked_at: 512,
                records,
                ..Fill::default()
            };
            let AllRecords::FewerThan(bound) = fill.all_records() else {
                panic!("{records} are few");
            };
            // With as many accounts as the bound, the sample has so few in less than 1 of 100 cases.
            let mean = (bound as f64) / 16.0;
            let mut term = (-mean).exp();
            let mut sum = term;
            for k in 1..=records {
                term *= mean / (k as f64);
                sum += term;
            }
            assert!(sum < 0.01, "{records}: {bound} with {sum}");
        }
    }
}
