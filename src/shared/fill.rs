//! The fill level of pages, from a sample: reading all pages would stall the worker.

use crate::host::{Host, HostError};
use serde::{Deserialize, Serialize};

/// The maximum number of pages in the sample.
const LOOKED_AT: u32 = 512;

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
