//! The client's own ledger: when each request was sent and answered, and how.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One request, as its client saw it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub account: &'static str,
    pub edge: usize,
    pub sent: Instant,
    pub answered: Instant,
    /// The status, and of a 429 its code.
    pub answer: String,
}

impl Entry {
    pub fn is_admitted(&self) -> bool {
        self.answer == "200"
    }
}

/// All requests of a scenario.
#[derive(Default)]
pub struct Ledger(Mutex<Vec<Entry>>);

/// The fullest window of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fullest {
    pub admitted: usize,
    pub from: Instant,
}

impl Ledger {
    pub fn add(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
    }

    /// The admitted requests of an account, by the time at which they were sent.
    fn admitted(&self, account: &str) -> Vec<(Instant, Instant)> {
        let all = self.0.lock().unwrap();
        let admitted = all
            .iter()
            .filter(|one| one.account == account && one.is_admitted());
        let mut times: Vec<_> = admitted.map(|one| (one.sent, one.answered)).collect();
        times.sort_unstable();
        times
    }

    /// The most requests of an account that were sent and answered within one window, so that all
    /// of them must have been admitted in it. Windows for which `counts` is false are left out.
    pub fn fullest(
        &self,
        account: &str,
        window: Duration,
        counts: impl Fn(Instant) -> bool,
    ) -> Option<Fullest> {
        let times = self.admitted(account);
        let starts = times.iter().enumerate().filter(|(_, one)| counts(one.0));
        let windows = starts.map(|(at, (from, _))| {
            let end = *from + window;
            let inside = times[at..].iter().take_while(|one| one.0 <= end);
            Fullest {
                admitted: inside.filter(|one| one.1 <= end).count(),
                from: *from,
            }
        });
        windows.max_by_key(|one| one.admitted)
    }

    /// How many requests of an account were admitted that were answered in that time.
    pub fn admitted_in(&self, account: &str, from: Instant, to: Instant) -> usize {
        let times = self.admitted(account);
        let inside = times.iter().filter(|one| (from..to).contains(&one.1));
        inside.count()
    }

    /// The mean number of admitted requests in the windows that lie in that time. Requests come in bursts,
    /// once a window, so a count over a time would have one burst more or less.
    pub fn mean(&self, account: &str, window: Duration, from: Instant, to: Instant) -> f64 {
        let times = self.admitted(account);
        let step = Duration::from_millis(50);
        let (mut windows, mut admitted) = (0, 0);
        let mut start = from;
        while start + window <= to {
            let inside = times.iter().map(|one| one.1);
            admitted += inside
                .filter(|at| (start..start + window).contains(at))
                .count();
            windows += 1;
            start += step;
        }
        admitted as f64 / f64::from(windows.max(1))
    }

    /// The number of admitted requests of all accounts by edge.
    pub fn by_edge(&self, edges: usize) -> Vec<usize> {
        let mut counts = vec![0; edges];
        for one in self
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|one| one.is_admitted())
        {
            counts[one.edge] += 1;
        }
        counts
    }

    /// The answers to requests that were sent in that time, by kind.
    pub fn answers(&self, from: Instant, to: Instant) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for one in self.0.lock().unwrap().iter() {
            if (from..to).contains(&one.sent) {
                *counts.entry(one.answer.clone()).or_default() += 1;
            }
        }
        counts
    }

    /// The longest time that a request sent in that time waited for its answer.
    pub fn longest_wait(&self, from: Instant, to: Instant, but: Option<usize>) -> Duration {
        let all = self.0.lock().unwrap();
        let sent = all
            .iter()
            .filter(|one| (from..to).contains(&one.sent) && Some(one.edge) != but);
        let waits = sent.map(|one| one.answered - one.sent);
        waits.max().unwrap_or_default()
    }

    /// The time from `end` to the first window in which at least `enough` were admitted; `None`
    /// where there was none until the last answer.
    pub fn served_after(
        &self,
        account: &str,
        end: Instant,
        window: Duration,
        enough: usize,
    ) -> Option<Duration> {
        let times = self.admitted(account);
        let step = Duration::from_millis(100);
        let last = times.iter().map(|one| one.1).max()?;
        let mut from = end;
        while from + window <= last {
            let inside = times
                .iter()
                .filter(|one| (from..from + window).contains(&one.1));
            if inside.count() >= enough {
                return Some(from - end);
            }
            from += step;
        }
        None
    }

    /// The admitted requests of each second since `from`, by edge: for a row that is not kept.
    pub fn seconds(&self, from: Instant, edges: usize) -> Vec<Vec<usize>> {
        let mut seconds: Vec<Vec<usize>> = Vec::new();
        for one in self
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|one| one.is_admitted())
        {
            let at = usize::try_from((one.answered - from).as_secs()).unwrap();
            if seconds.len() <= at {
                seconds.resize(at + 1, vec![0; edges]);
            }
            seconds[at][one.edge] += 1;
        }
        seconds
    }
}
