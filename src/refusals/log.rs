//! The refusals of the last minutes: totals in buckets of time, and a ring of the newest by
//! account. Both are bounded, whatever clients send.

use crate::http::visible;
use crate::time::{Mono, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// For how long refusals are kept, in seconds.
pub const WINDOW_S: u64 = 300;
/// The length of a bucket, in seconds.
const BUCKET_S: u64 = 10;
/// Buckets that are kept, the one that fills among them.
const BUCKETS: u64 = WINDOW_S.div_euclid(BUCKET_S);
/// Buckets of the last minute.
const MINUTE: u64 = 6;
/// Accounts in the ring, at most.
pub const RING: usize = 256;
/// Bytes of an account's id that are kept.
pub const ID_BYTES: usize = 64;
/// Rows of totals, at most: 64 tiers come to some 600, and only several configs within the window
/// or modes to more. What is refused past that is not counted.
const MOST_ROWS: usize = 1024;

/// The longest name of a tier or a code, in bytes.
const NAME_BYTES: usize = 64;
/// The most bytes of the stored log: a number takes at most 10, a flag 1.
pub const MOST_BYTES: u64 = {
    let reason = 2 * (10 + NAME_BYTES as u64) + 2;
    let row = reason + 10 + BUCKETS * 20;
    let recent = 1 + 10 + ID_BYTES as u64 + 1 + reason + 20;
    2 + 20 + MOST_ROWS as u64 * row + RING as u64 * recent
};

/// What was refused: in which tier, by what, and whether only because of load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The tier's name; "none" where it is not known.
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// Whether it is over a limit that is lowered for load, and under it otherwise.
    pub overloaded: bool,
    /// True when a config in shadow mode let it through.
    pub shadowed: bool,
}

/// An account's id as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentRefusal {
    /// The account; `None` where the request names none.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalLog {
    /// Numbered buckets with how many, ascending.
    rows: BTreeMap<Reason, Vec<(u64, u64)>>,
    /// Oldest first.
    ring: Vec<RecentRefusal>,
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

/// Tells whether a bucket is among the last `buckets`; one from the future is not.
fn is_recent(number: u64, now: u64, buckets: u64) -> bool {
    now.checked_sub(number).is_some_and(|age| age < buckets)
}

impl RefusalLog {
    /// Tells whether the log keeps the bounds of what this code writes.
    pub fn is_bounded(&self) -> bool {
        let buckets = usize::try_from(BUCKETS).unwrap_or(usize::MAX);
        let is_short =
            |reason: &Reason| reason.tier.len() <= NAME_BYTES && reason.code.len() <= NAME_BYTES;
        let ascends = |row: &[(u64, u64)]| row.is_sorted_by(|a, b| a.0 < b.0);
        let is_row = |(reason, row): (&Reason, &Vec<(u64, u64)>)| {
            is_short(reason) && row.len() <= buckets && ascends(row)
        };
        let is_recent = |recent: &RecentRefusal| {
            let id = recent.account.as_ref();
            is_short(&recent.reason) && id.is_none_or(|id| id.bytes.len() <= ID_BYTES)
        };
        self.rows.len() <= MOST_ROWS
            && self.ring.len() <= RING
            && self.rows.iter().all(is_row)
            && self.ring.iter().all(is_recent)
    }

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
        let is_it = |r: &RecentRefusal| {
            bucket(r.at) == bucket(at) && r.account.as_ref() == account && r.reason == *reason
        };
        let before = match self.ring.iter().position(is_it) {
            Some(place) => self.ring.remove(place).count,
            None => 0,
        };
        self.ring.push(RecentRefusal {
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
    pub fn newest(&self, now: Mono) -> impl Iterator<Item = (&RecentRefusal, Span)> {
        let now = seconds(now);
        let ago = move |r: &RecentRefusal| Span::from_secs(now.saturating_sub(r.at));
        self.ring.iter().rev().map(move |r| (r, ago(r)))
    }
}
