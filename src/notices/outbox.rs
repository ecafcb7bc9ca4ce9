//! The notices of one VM that their receiver does not have yet: bounded, and tried again and again.

use crate::time::{Mono, Span};
use std::collections::VecDeque;
use std::rc::Rc;

/// The maximum number of letters; the oldest gives way.
const MOST_LETTERS: usize = 256;
/// The maximum number of letters on their way at once.
const MOST_ON_THE_WAY: usize = 8;
/// The wait before the second try; doubles with each further one.
const FIRST_WAIT: Span = Span::from_secs(1);
/// The longest wait between two tries.
const LONGEST_WAIT: Span = Span::from_secs(300);

/// A notice for the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The JSON body.
    pub body: Rc<[u8]>,
    /// The number of tries that failed.
    tries: u32,
    /// The time of the next try.
    due: Mono,
}

/// Counts of notices since the last flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoticeCounts {
    /// The receiver has them.
    pub delivered: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Given up, for want of room or of a config with a receiver.
    pub lost: u64,
}

/// The letters of one VM.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Letter>,
    on_the_way: usize,
    counts: NoticeCounts,
}

impl Outbox {
    /// Adds a notice.
    pub fn add(&mut self, body: Vec<u8>) {
        self.put(Letter {
            body: body.into(),
            tries: 0,
            due: Mono::default(),
        });
    }

    fn put(&mut self, letter: Letter) {
        if self.waiting.len() >= MOST_LETTERS {
            self.waiting.pop_front();
            self.counts.lost = self.counts.lost.saturating_add(1);
        }
        self.waiting.push_back(letter);
    }

    /// Takes a letter to send at `now`; its way must end with [`Self::end`].
    pub fn take(&mut self, now: Mono) -> Option<Letter> {
        if self.on_the_way >= MOST_ON_THE_WAY {
            return None;
        }
        let at = self.waiting.iter().position(|letter| letter.due <= now)?;
        self.on_the_way = self.on_the_way.saturating_add(1);
        self.waiting.remove(at)
    }

    /// Ends the way of a letter: the receiver has it, or it waits for another try.
    pub fn end(&mut self, mut letter: Letter, delivered: bool, now: Mono) {
        self.on_the_way = self.on_the_way.saturating_sub(1);
        if delivered {
            self.counts.delivered = self.counts.delivered.saturating_add(1);
            return;
        }
        self.counts.failed = self.counts.failed.saturating_add(1);
        let doublings = letter.tries.min(16);
        let wait = FIRST_WAIT.as_millis().saturating_mul(1 << doublings);
        letter.due = now.after(Span::from_millis(wait).min(LONGEST_WAIT));
        letter.tries = letter.tries.saturating_add(1);
        self.put(letter);
    }

    /// Takes a letter back from a config that ends. Another config sends it again.
    pub fn take_back(&mut self, letter: Letter) {
        self.on_the_way = self.on_the_way.saturating_sub(1);
        self.put(letter);
    }

    /// Gives all waiting letters up.
    pub fn give_up(&mut self) {
        let lost = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.waiting.clear();
        self.counts.lost = self.counts.lost.saturating_add(lost);
    }

    /// Takes the counts since the last call.
    pub fn take_counts(&mut self) -> NoticeCounts {
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_letter_is_tried_again_later_and_later_until_it_arrives() {
        let mut outbox = Outbox::default();
        outbox.add(b"{}".to_vec());
        let mut now = 0;
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let letter = outbox.take(at(now)).unwrap();
            outbox.end(letter, false, at(now));
            assert_eq!(outbox.take(at(now + wait - 1)), None);
            now += wait;
        }
        let letter = outbox.take(at(now)).unwrap();
        outbox.end(letter, true, at(now));
        assert_eq!(outbox.take(at(now + 10_000)), None);
        let wanted = NoticeCounts {
            delivered: 1,
            failed: 11,
            lost: 0,
        };
        assert_eq!(outbox.take_counts(), wanted);
    }

    #[test]
    fn a_receiver_that_is_away_costs_bounded_memory_and_the_oldest() {
        let mut outbox = Outbox::default();
        for n in 0..MOST_LETTERS + 3 {
            outbox.add(n.to_string().into_bytes());
        }
        let on_the_way: Vec<Letter> = std::iter::from_fn(|| outbox.take(at(0))).collect();
        assert_eq!(on_the_way.len(), MOST_ON_THE_WAY);
        assert_eq!(&*on_the_way[0].body, b"3");
        for letter in on_the_way {
            outbox.take_back(letter);
        }
        assert!(outbox.take(at(0)).is_some());
        assert_eq!(outbox.take_counts().lost, 3);
        outbox.give_up();
        assert_eq!(outbox.take_counts().lost, 255);
    }
}
