//! The refusals of the last minutes: totals in time buckets, and a ring of the newest by account.
//! Both have a bounded size.

use crate::http::visible;
use crate::time::{Mono, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The time for which refusals are kept, in seconds.
pub const WINDOW_S: u64 = 300;
/// The length of a bucket, in seconds.
const BUCKET_S: u64 = 10;
/// The number of buckets, including the current one.
const BUCKETS: u64 = WINDOW_S.div_euclid(BUCKET_S);
/// The number of buckets in the last minute.
const MINUTE: u64 = 6;
/// The maximum number of entries in the ring.
pub const RING: usize = 256;
/// The bytes of an account's id that are kept.
pub const ID_BYTES: usize = 64;
/// The maximum number of rows of totals. 64 tiers have about 600; only several modes, or several
/// configs within the window, exceed it. Refusals without a row are not counted.
const MOST_ROWS: usize = 1024;

/// The maximum length of a tier's name, or of a code with the name of a family, in bytes.
const NAME_BYTES: usize = 64 + 1 + 32;
/// The maximum size of the stored log: a number takes at most 10 bytes, a flag 1.
pub const MOST_BYTES: u64 = {
    let reason = 2 * (10 + NAME_BYTES as u64) + 2;
    let row = reason + 10 + BUCKETS * 20;
    let recent = 1 + 10 + ID_BYTES as u64 + 1 + reason + 20;
    2 + 20 + MOST_ROWS as u64 * row + RING as u64 * recent
};

/// The reason of a refusal: its tier, its code, and its cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The tier's name; "none" when unknown.
    pub tier: String,
    /// `error.code` of the reply.
    pub code: String,
    /// True when only a limit lowered for overload refuses.
    pub overloaded: bool,
    /// True when a config in shadow mode let it through.
    pub shadowed: bool,
}

/// The kept part of an account's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// The first bytes, at most [`ID_BYTES`].
    pub bytes: Vec<u8>,
    /// True when the id is longer.
    pub is_cut: bool,
}

impl Id {
    /// Keeps the first part of an id.
    pub fn of(id: &[u8]) -> Self {
        let (kept, is_cut) = visible::cut(id, ID_BYTES);
        Self {
            bytes: kept.to_vec(),
            is_cut,
        }
    }

    /// Converts the id to safe text.
    pub fn visible(&self) -> String {
        let mut text = visible::visible(&self.bytes, ID_BYTES);
        if self.is_cut {
            text.push('…');
        }
        text
    }
}

/// The refusals of one account for one reason within one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentRefusal {
    /// The account; `None` when the request has none.
    pub account: Option<Id>,
    /// The tier and the code.
    pub reason: Reason,
    /// The time of the last write, in seconds of the monotonic clock.
    pub at: u64,
    /// The number of refusals.
    pub count: u64,
}

/// The refusals gathered by one VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The totals.
    pub totals: Vec<(Reason, u64)>,
    /// The counts by account, as far as there was room.
    pub accounts: Vec<(Option<Id>, Reason, u64)>,
}

/// The refusals of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalLog {
    /// The numbers and counts of the buckets, ascending.
    rows: BTreeMap<Reason, Vec<(u64, u64)>>,
    /// The newest refusals, oldest first.
    ring: Vec<RecentRefusal>,
}

/// The number of refusals for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total<'a> {
    /// The tier and the code.
    pub reason: &'a Reason,
    /// The count in the current bucket and the five before: the last 50 to 60 s.
    pub last_minute: u64,
    /// The count in all buckets: the last 290 to 300 s.
    pub in_all: u64,
}

fn seconds(now: Mono) -> u64 {
    now.as_millis().div_euclid(1000)
}

const fn bucket(seconds: u64) -> u64 {
    seconds.div_euclid(BUCKET_S)
}

/// True for one of the last `buckets` buckets; false for a future bucket.
fn is_recent(number: u64, now: u64, buckets: u64) -> bool {
    now.checked_sub(number).is_some_and(|age| age < buckets)
}

impl RefusalLog {
    /// True when the log is within the bounds of this code.
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

    /// Adds the refusals of one VM.
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

    /// Adds to the same account, reason and bucket, and moves the entry to the newest.
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

    /// Drops the refusals of an account from the newest ones; true when there were some.
    pub fn forget(&mut self, account: &Id) -> bool {
        let before = self.ring.len();
        self.ring.retain(|r| r.account.as_ref() != Some(account));
        self.ring.len() != before
    }

    /// Drops refusals that are too old, or of another clock.
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

    /// Returns the number of refusals by reason.
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

    /// Returns the newest refusals by account, newest first, with their age.
    pub fn newest(&self, now: Mono) -> impl Iterator<Item = (&RecentRefusal, Span)> {
        let now = seconds(now);
        let ago = move |r: &RecentRefusal| Span::from_secs(now.saturating_sub(r.at));
        self.ring.iter().rev().map(move |r| (r, ago(r)))
    }
}
