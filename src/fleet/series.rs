//! A total that only grows, with the times of what the store has not acknowledged.
//!
//! A message says the total, not what was added: so a message that is lost, late, doubled or
//! overtaken by another counts nothing twice and loses nothing (a state-based counter, as a
//! G-Counter: Shapiro et al., "A comprehensive study of convergent and commutative replicated data
//! types", 2011, 3.1).

use serde::{Deserialize, Serialize};

/// The maximum number of parts: one more is merged.
const MOST_PARTS: usize = 4;

/// A cumulative total.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The total that the store acknowledged.
    base: u64,
    /// The total of the last message.
    sent: u64,
    /// The amounts beyond the base, in the order of time.
    parts: Vec<SeriesPart>,
}

/// A part of a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeriesPart {
    /// The time of its first event.
    first: u64,
    /// The time that stands for all of it.
    at: u64,
    /// The total with this part.
    total: u64,
}

/// The time that stands for the events of a part, and the width of a part in milliseconds: 0 keeps
/// the events of each period apart, whose number stands for the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartTime {
    /// That of the newest: the store forgets none of them too early.
    Newest(u64),
    /// That of the oldest: the store takes nothing back that is too new.
    Oldest(u64),
}

impl Series {
    /// A total of nothing.
    pub const NONE: Self = Self {
        base: 0,
        sent: 0,
        parts: Vec::new(),
    };

    /// Returns the total.
    pub fn total(&self) -> u64 {
        self.parts.last().map_or(self.base, |part| part.total)
    }

    /// True when the store has acknowledged the total.
    pub fn is_acknowledged(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns what the store has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.total().saturating_sub(self.base)
    }

    /// Returns what was added since the last message.
    pub fn since_sent(&self) -> u64 {
        self.total().saturating_sub(self.sent.max(self.base))
    }

    /// Adds an amount at a time.
    pub fn add(&mut self, at: u64, amount: u64, time: PartTime) {
        if amount == 0 {
            return;
        }
        let total = self.total().saturating_add(amount);
        let full = self.parts.len() >= MOST_PARTS;
        let (PartTime::Newest(width) | PartTime::Oldest(width)) = time;
        let last = self.parts.last_mut();
        let last = last.filter(|last| full || at.abs_diff(last.first) <= width);
        let Some(last) = last else {
            return self.parts.push(SeriesPart {
                first: at,
                at,
                total,
            });
        };
        last.first = last.first.min(at);
        last.at = match time {
            PartTime::Newest(_) => last.at.max(at),
            PartTime::Oldest(_) => last.at.min(at),
        };
        last.total = total;
    }

    /// Returns the list of a message: the base, then the time and the total of each part, where
    /// `time` returns the time as the message says it. Empty where nothing was ever counted.
    pub fn message(&mut self, time: impl Fn(u64) -> u64) -> Vec<u64> {
        self.sent = self.total();
        if self.sent == 0 {
            return Vec::new();
        }
        let parts = self.parts.iter();
        let parts = parts.flat_map(|part| [time(part.at), part.total]);
        std::iter::once(self.base).chain(parts).collect()
    }

    /// Forgets the times of what the store has not acknowledged. The total stays, and nothing of it is told.
    pub fn forget_parts(&mut self) {
        self.base = self.total();
        self.sent = self.base;
        self.parts.clear();
    }

    /// Takes the store's acknowledgement of the last message.
    pub fn acknowledge(&mut self) {
        self.base = self.base.max(self.sent);
        let base = self.base;
        self.parts.retain(|part| part.total > base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_told_until_it_is_acknowledged() {
        let mut series = Series::default();
        assert!(series.message(|at| at).is_empty());
        series.add(1_000, 2, PartTime::Newest(100));
        series.add(1_080, 3, PartTime::Newest(100));
        series.add(1_200, 1, PartTime::Newest(100));
        assert_eq!(series.message(|at| 2_000 - at), [0, 920, 5, 800, 6]);
        series.add(1_250, 4, PartTime::Newest(100));
        assert_eq!(series.since_sent(), 4);
        series.acknowledge();
        // Of the last part, 6 are acknowledged: it says the rest.
        assert_eq!(series.message(|at| at), [6, 1_250, 10]);
        series.acknowledge();
        assert!(series.is_acknowledged());
        assert_eq!(series.message(|at| at), [10]);
    }

    #[test]
    fn parts_are_bounded_and_merge_to_the_safe_side() {
        let mut spent = Series::default();
        let mut refunded = Series::default();
        for n in 0..10 {
            spent.add(n * 1_000, 1, PartTime::Newest(10));
            refunded.add(n * 1_000, 1, PartTime::Oldest(10));
        }
        assert_eq!(
            spent.message(|at| at),
            [0, 0, 1, 1_000, 2, 2_000, 3, 9_000, 10]
        );
        assert_eq!(
            refunded.message(|at| at),
            [0, 0, 1, 1_000, 2, 2_000, 3, 3_000, 10]
        );
    }

    #[test]
    fn parts_of_periods_are_told_apart() {
        let mut series = Series::default();
        series.add(7, 1, PartTime::Newest(0));
        series.add(7, 1, PartTime::Newest(0));
        series.add(8, 5, PartTime::Newest(0));
        assert_eq!(series.message(|at| at), [0, 7, 2, 8, 7]);
    }
}
