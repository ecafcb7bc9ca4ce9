//! The client's own ledger: when each admitted request was sent and answered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// When a request was sent, and when its reply began.
type Times = (Instant, Instant);

#[derive(Default)]
pub struct Ledger {
    admitted: Mutex<BTreeMap<String, Vec<Times>>>,
    replies: Mutex<BTreeMap<u16, u64>>,
}

impl Ledger {
    pub fn admitted(&self, account: &str, sent: Instant, answered: Instant) {
        let mut all = self.admitted.lock().unwrap();
        all.entry(account.to_owned())
            .or_default()
            .push((sent, answered));
    }

    pub fn count(&self, status: u16) {
        *self.replies.lock().unwrap().entry(status).or_default() += 1;
    }

    /// How many replies of each status.
    pub fn replies(&self) -> String {
        let replies = self.replies.lock().unwrap();
        let each: Vec<_> = replies.iter().map(|(s, n)| format!("{s}: {n}")).collect();
        each.join(", ")
    }

    /// The most requests of one account that were sent and answered within one window, so that
    /// they must have been admitted in it; and how many windows hold more than `limit`.
    pub fn fullest(&self, window: Duration, limit: usize) -> (usize, usize) {
        let mut fullest = 0;
        let mut over = 0;
        for times in self.admitted.lock().unwrap().values() {
            for (start, _) in times {
                let inside = |t: &&Times| t.0 >= *start && t.1 <= *start + window;
                let inside = times.iter().filter(inside).count();
                fullest = fullest.max(inside);
                over += usize::from(inside > limit);
            }
        }
        (fullest, over)
    }
}
