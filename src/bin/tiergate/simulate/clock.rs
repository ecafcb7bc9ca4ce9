//! The clock of a log: the line that is far from its neighbours has the wrong time.
//!
//! Times are near if they differ by a year at most. A line near the last good one is good. Any other
//! line is held. If a later line is near a held one, both are good: the log has a gap. All other held
//! lines are bad as soon as a line is good, or two more are held. So a wrong first line is found too.

use super::event::LogEvent;
use std::collections::VecDeque;

/// A year of 366 days, in microseconds.
pub const YEAR: u64 = 31_622_400_000_000;

/// The number of events that are held: one with a wrong time, and one beside it with the right one.
const HELD: usize = 2;

/// The events of one log, by the rule above.
#[derive(Default)]
pub struct LogClock {
    /// The time of the last good event.
    good: Option<u64>,
    /// Events that are far from it and from each other, in their order.
    held: VecDeque<LogEvent>,
    /// A good event whose turn comes after one that was held.
    next: Option<LogEvent>,
}

/// The fate of events.
#[derive(Default)]
pub struct JudgedEvents {
    pub good: Option<LogEvent>,
    pub bad: VecDeque<LogEvent>,
}

impl LogClock {
    /// Takes a good event that was found with the one before it.
    pub fn take_next(&mut self) -> Option<LogEvent> {
        self.next.take()
    }

    /// Judges events by the next one of the log.
    pub fn judge(&mut self, event: LogEvent) -> JudgedEvents {
        let time = event.arrival;
        let is_near = |other: u64| time.abs_diff(other) <= YEAR;
        if self.good.is_some_and(is_near) {
            self.good = Some(time);
            return self.judged(Some(event));
        }
        let mut held = self.held.iter();
        if let Some(place) = held.position(|held| is_near(held.arrival)) {
            let agreeing = self.held.remove(place);
            self.good = Some(time);
            self.next = Some(event);
            return self.judged(agreeing);
        }
        self.held.push_back(event);
        let mut bad = VecDeque::new();
        if self.held.len() > HELD {
            bad.extend(self.held.pop_front());
        }
        JudgedEvents { good: None, bad }
    }

    /// Judges the events that are held at the end of the log. The last one is good if no other was.
    pub fn end(&mut self) -> JudgedEvents {
        let last = match self.good {
            None => self.held.pop_back(),
            Some(_) => None,
        };
        self.judged(last)
    }

    /// All events that are held are bad, as another one is good.
    fn judged(&mut self, good: Option<LogEvent>) -> JudgedEvents {
        JudgedEvents {
            good,
            bad: std::mem::take(&mut self.held),
        }
    }
}
