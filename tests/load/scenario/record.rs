//! What became of the requests, by tier and by the half second in which they were sent.

use super::TIERS;
use super::clients::Outcome;
use std::ops::AddAssign;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The time that is counted together.
pub const BUCKET: Duration = Duration::from_millis(500);

/// Requests by how they ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub served: u32,
    pub failed: u32,
    pub limited: u32,
    pub overloaded: u32,
    pub other: u32,
}

impl Counts {
    pub fn sent(self) -> u32 {
        self.admitted() + self.limited + self.overloaded + self.other
    }

    /// What the filter let through.
    pub fn admitted(self) -> u32 {
        self.served + self.failed
    }

    /// The upstream's errors, as a share of what reached it.
    pub fn error_share(self) -> f64 {
        f64::from(self.failed) / f64::from(self.admitted().max(1))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.served += more.served;
        self.failed += more.failed;
        self.limited += more.limited;
        self.overloaded += more.overloaded;
        self.other += more.other;
    }
}

/// One run.
pub struct Record(Mutex<Vec<[Counts; TIERS]>>);

impl Record {
    pub fn new(length: Duration) -> Self {
        let buckets = length.as_millis().div_ceil(BUCKET.as_millis());
        let buckets = vec![Default::default(); usize::try_from(buckets).unwrap_or(0)];
        Self(Mutex::new(buckets))
    }

    pub fn count(&self, tier: usize, at: Duration, outcome: Outcome) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get_mut(index(at)) else {
            return;
        };
        let counts = &mut bucket[tier];
        let count = match outcome {
            Outcome::Served => &mut counts.served,
            Outcome::Failed => &mut counts.failed,
            Outcome::Limited => &mut counts.limited,
            Outcome::Overloaded => &mut counts.overloaded,
            Outcome::Other => &mut counts.other,
        };
        *count += 1;
    }

    /// As it is now.
    pub fn copy(&self) -> Self {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self(Mutex::new(buckets.clone()))
    }

    /// By tier, what was sent from one time to another, in whole buckets.
    pub fn tiers(&self, from: Duration, to: Duration) -> [Counts; TIERS] {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = [Counts::default(); TIERS];
        for bucket in buckets.get(index(from)..index(to)).unwrap_or_default() {
            for (sum, counts) in sum.iter_mut().zip(bucket) {
                *sum += *counts;
            }
        }
        sum
    }

    /// The same of all tiers together.
    pub fn all(&self, from: Duration, to: Duration) -> Counts {
        let mut sum = Counts::default();
        for counts in self.tiers(from, to) {
            sum += counts;
        }
        sum
    }
}

fn index(at: Duration) -> usize {
    usize::try_from(at.as_millis() / BUCKET.as_millis()).unwrap_or(usize::MAX)
}
