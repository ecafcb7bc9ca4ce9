//! The sums of tokens, by the columns that the operator chose.

use super::states::{KINDS, UsageWords};
use clap::ValueEnum;
use std::collections::HashMap;
use tiergate::http::visible::visible;
use tiergate::time::Wall;
use tiergate::zone::{Calendar, CalendarPeriod, Zone, rfc3339};

/// A column by which tokens are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByColumn {
    Account,
    Model,
    Day,
}

impl ByColumn {
    pub const ALL: [Self; 3] = [Self::Account, Self::Model, Self::Day];

    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Model => "model",
            Self::Day => "day",
        }
    }

    pub fn heading(self) -> &'static str {
        match self {
            Self::Account => "ACCOUNT",
            Self::Model => "MODEL",
            Self::Day => "DAY",
        }
    }
}

/// The key of one sum. A column that was not chosen is `None` in all keys.
#[derive(PartialEq, Eq, Hash)]
struct SumKey {
    account: Option<Vec<u8>>,
    model: Option<Box<str>>,
    /// Days since 1970-01-01.
    day: Option<u32>,
    estimated: bool,
}

/// The requests of one key, and their tokens in the order of [`KINDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSums {
    pub requests: u64,
    pub tokens: [u64; KINDS.len()],
}

impl TokenSums {
    fn plus(&self, tokens: &[u64; KINDS.len()]) -> Option<Self> {
        let mut sums = *self;
        sums.requests = sums.requests.checked_add(1)?;
        for (sum, count) in sums.tokens.iter_mut().zip(tokens) {
            *sum = sum.checked_add(*count)?;
        }
        Some(sums)
    }
}

/// One row of the result.
pub struct UsageRow {
    /// The chosen columns; `None` for a request without an account or a model.
    pub cells: Vec<Option<String>>,
    pub estimated: bool,
    pub sums: TokenSums,
}

/// A sum would not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct SumOverflow;

pub struct UsageSums<'a> {
    by: &'a [ByColumn],
    zone: Zone,
    /// The day of the last request: most are of the same one.
    today: Option<CalendarPeriod>,
    sums: HashMap<SumKey, TokenSums>,
}

impl<'a> UsageSums<'a> {
    pub fn new(by: &'a [ByColumn], zone: Zone) -> Self {
        Self {
            by,
            zone,
            today: None,
            sums: HashMap::new(),
        }
    }

    /// Adds a request.
    ///
    /// # Errors
    /// [`SumOverflow`], and then nothing is added.
    pub fn add(
        &mut self,
        account: Option<Vec<u8>>,
        usage: &UsageWords<'_>,
    ) -> Result<(), SumOverflow> {
        let has = |column| self.by.contains(&column);
        let (by_account, by_model, by_day) = (
            has(ByColumn::Account),
            has(ByColumn::Model),
            has(ByColumn::Day),
        );
        let key = SumKey {
            account: account.filter(|_| by_account),
            model: usage.model.filter(|_| by_model).map(Into::into),
            day: by_day.then(|| self.day(usage.at)),
            estimated: usage.estimated,
        };
        let sums = self.sums.entry(key).or_default();
        *sums = sums.plus(&usage.tokens).ok_or(SumOverflow)?;
        Ok(())
    }

    fn day(&mut self, at: Wall) -> u32 {
        let known = self.today.filter(|d| d.starts_at <= at && at < d.ends_at);
        let day = known.unwrap_or_else(|| self.zone.period(Calendar::Day, at));
        self.today = Some(day);
        day.number
    }

    /// Returns the rows in the order of the columns. An account is shown as the admin API does it:
    /// two accounts never look alike.
    pub fn rows(&self) -> Vec<UsageRow> {
        let cell = |key: &SumKey, column: &ByColumn| match column {
            ByColumn::Account => key.account.as_ref().map(|id| visible(id, usize::MAX)),
            ByColumn::Model => key.model.as_ref().map(|model| model.clone().into_string()),
            ByColumn::Day => key.day.map(rfc3339::date),
        };
        let row = |(key, sums): (&SumKey, &TokenSums)| UsageRow {
            cells: self.by.iter().map(|column| cell(key, column)).collect(),
            estimated: key.estimated,
            sums: *sums,
        };
        let mut rows: Vec<_> = self.sums.iter().map(row).collect();
        rows.sort_by(|a, b| (&a.cells, a.estimated).cmp(&(&b.cells, b.estimated)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(at: u64, output: u64) -> UsageWords<'static> {
        UsageWords {
            at: Wall::from_millis(at),
            reserved: None,
            model: None,
            estimated: false,
            tokens: [1, 2, 3, output],
        }
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone() {
        let midnight = 1_767_225_600_000;
        for (zone, days) in [
            ("+00:00", ["2025-12-31", "2026-01-01"]),
            ("+08:00", ["2026-01-01", "2026-01-01"]),
            ("America/New_York", ["2025-12-31", "2025-12-31"]),
        ] {
            let zone = Zone::parse(zone).unwrap();
            for (at, day) in [midnight - 1, midnight].into_iter().zip(days) {
                let mut sums = UsageSums::new(&[ByColumn::Day], zone);
                sums.add(None, &usage(at, 0)).unwrap();
                assert_eq!(sums.rows()[0].cells, [Some(day.to_owned())], "{zone:?}");
            }
        }
    }

    #[test]
    fn a_sum_that_does_not_fit_adds_nothing() {
        let mut sums = UsageSums::new(&[], Zone::UTC);
        sums.add(None, &usage(0, u64::MAX - 1)).unwrap();
        assert_eq!(sums.add(None, &usage(0, 2)), Err(SumOverflow));
        let expected = TokenSums {
            requests: 1,
            tokens: [1, 2, 3, u64::MAX - 1],
        };
        assert_eq!(sums.rows()[0].sums, expected);
    }
}
