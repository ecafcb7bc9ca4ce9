//! The refusals of the last minutes: totals in buckets of time, and a ring of the newest by
//! account. Both are bounded, whatever clients send.

use crate::http::visible;
use crate::time::{Mono, Span};
use std::collections::BTreeMap;

/// For how long refusals are kept, in seconds.
pub const WINDOW_S: u64 = 300;
/// The length of a bucket, in seconds.
const BUCKET_S: u64 = 10;
/// Buckets that are kept, the one that fills among them.
pub(super) const BUCKETS: u64 = WINDOW_S.div_euclid(BUCKET_S);
/// Buckets of the last minute.
const MINUTE: u64 = 6;
/// Accounts in the ring, at most.
pub const RING: usize = 256;
/// Bytes of an account's id that are kept.
pub const ID_BYTES: usize = 64;
/// Rows of totals, at most: 64 tiers come to some 600, and only several configs within the window
/// or modes to more. What is refused past that is not counted.
pub(super) const MOST_ROWS: usize = 1024;

/// What was refused: in which tier, by what, and whether only because of load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// The tier's name; "none" where it is not known.
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// Whether it is over a limit that is lowered for load, and under it otherwise.
    pub overloaded: bool,
    /// Whether it was let through all the same, by a config in shadow mode.
    pub shadowed: bool,
}

/// An account's id as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Its first bytes, at most [`ID_BYTES`].
    pub bytes: Vec<u8>,
    /// Whether it went on.
    pub is_cut: bool,
}

impl Id {
    /// What is kept of an id.
    pub fn of(id: &[u8]) -> Self {
        let (kept, is_cut) = visible::cut(id, ID_BYTES);
        Self {
            bytes: kept.to_vec(),
            is_cut,
        }
    }

    /// Its text for people.
    pub fn visible(&self) -> String {
        let mut text = visible::visible(&self.bytes, ID_BYTES);
        if self.is_cut {
            text.push('…');
        }
        text
    }
}

/// Refusals of one account for one reason within one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Who; `None` where the request named nobody.
    pub account: Option<Id>,
    /// In which tier and by what.
    pub reason: Reason,
    /// When the last of them was written down, in seconds of the monotonic clock.
    pub at: u64,
    /// How many.
    pub count: u64,
}

/// What one VM gathered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All of it.
    pub totals: Vec<(Reason, u64)>,
    /// By account, as far as there was room.
    pub accounts: Vec<(Option<Id>, Reason, u64)>,
}

/// The refusals of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalLog {
    /// Numbered buckets with how many, ascending.
    pub(super) rows: BTreeMap<Reason, Vec<(u64, u64)>>,
    /// Oldest first.
    pub(super) ring: Vec<Recent>,
}

/// How many of one kind were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total<'a> {
    /// In which tier and by what.
    pub reason: &'a Reason,
    /// In the bucket that fills and the five before: the last 50 to 60 s.
    pub last_minute: u64,
    /// In all that is kept: the last 290 to 300 s.
    pub in_all: u64,
}

fn seconds(now: Mono) -> u64 {
    now.as_millis().div_euclid(1000)
}

const fn bucket(seconds: u64) -> u64 {
    seconds.div_euclid(BUCKET_S)
}

/// Whether a bucket is one of the last so many; one from the future is none.
fn is_recent(number: u64, now: u64, buckets: u64) -> bool {
    now.checked_sub(number).is_some_and(|age| age < buckets)
}

impl RefusalLog {
    /// Adds what a VM gathered until now.
    pub fn add(&mut self, batch: &Batch, now: Mono) {
        self.expire(now);
        let at = seconds(now);
        for (reason, n) in &batch.totals {
            self.count(reason, bucket(at), *n);
        }
        for (account, reason, n) in &batch.accounts {
            if self.rows.contains_key(reason) {
                self.push(account.as_ref(), reason, at, *n);
            }
        }
        let over = self.ring.len().saturating_sub(RING);
        self.ring.drain(..over);
    }

    fn count(&mut self, reason: &Reason, bucket: u64, n: u64) {
        let full = self.rows.len() >= MOST_ROWS;
        let row = match self.rows.get_mut(reason) {
            Some(row) => row,
            None if full => return,
            None => self.rows.entry(reason.clone()).or_default(),
        };
        match row.last_mut() {
            Some((last, count)) if *last == bucket => *count = count.saturating_add(n),
            _ => row.push((bucket, n)),
        }
    }

    /// Adds to the same in the same bucket, and makes it the newest.
    fn push(&mut self, account: Option<&Id>, reason: &Reason, at: u64, n: u64) {
        let is_it = |r: &Recent| {
            bucket(r.at) == bucket(at) && r.account.as_ref() == account && r.reason == *reason
        };
        let before = match self.ring.iter().position(is_it) {
            Some(place) => self.ring.remove(place).count,
            None => 0,
        };
        self.ring.push(Recent {
            account: account.cloned(),
            reason: reason.clone(),
            at,
            count: before.saturating_add(n),
        });
    }

    /// Drops what is too old, and what is not of this clock.
    pub fn expire(&mut self, now: Mono) {
        let now = bucket(seconds(now));
        self.rows.retain(|_, row| {
            row.retain(|(number, _)| is_recent(*number, now, BUCKETS));
            !row.is_empty()
        });
        let rows = &self.rows;
        self.ring
            .retain(|r| is_recent(bucket(r.at), now, BUCKETS) && rows.contains_key(&r.reason));
    }

    /// How many were refused, by tier and code.
    pub fn totals(&self, now: Mono) -> impl Iterator<Item = Total<'_>> {
        let now = bucket(seconds(now));
        self.rows.iter().map(move |(reason, row)| {
            let sum = |buckets: u64| {
                let recent = row.iter().filter(|(b, _)| is_recent(*b, now, buckets));
                recent.fold(0_u64, |sum, (_, n)| sum.saturating_add(*n))
            };
            Total {
                reason,
                last_minute: sum(MINUTE),
                in_all: sum(BUCKETS),
            }
        })
    }

    /// The newest refusals by account, newest first, and how long ago each was.
    pub fn newest(&self, now: Mono) -> impl Iterator<Item = (&Recent, Span)> {
        let now = seconds(now);
        let ago = move |r: &Recent| Span::from_secs(now.saturating_sub(r.at));
        self.ring.iter().rev().map(move |r| (r, ago(r)))
    }
}
