//! How full pages are, by a look at some of them: a look at all would hold the worker up.

use crate::host::{Host, HostError};
use serde::{Deserialize, Serialize};

/// Pages that are looked at.
const LOOKED_AT: u32 = 512;

/// How full pages are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Pages in all.
    pub pages: u32,
    /// Pages that were looked at.
    pub looked_at: u32,
    /// Records on those.
    pub records: u64,
    /// Records on the fullest of those.
    pub fullest: u64,
    /// Bytes of those.
    pub bytes: u64,
}

impl Fill {
    /// The bytes of all pages, if the rest is as full as those that were looked at.
    pub fn estimate(&self) -> u64 {
        let sum = self.bytes.saturating_mul(u64::from(self.pages));
        sum.checked_div(u64::from(self.looked_at)).unwrap_or(0)
    }

    /// Looks at the first of `pages`, which `name` names and whose records `count` counts.
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
