//! A page: the records of the accounts that hash to it, as one value of shared data.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (LAYOUT)
//! 1       1      'P'
//! 2       ...    records, one after the other:
//!         16     account key
//!         8      touched: time of the last write, monotonic ms, little endian
//!         8      expires_at: moment from which the windows are empty, same form
//!         2      length of the body, little endian
//!         ...    body (bytes.rs)
//! ```
//! A page has at most [`MAX_RECORDS`] records and [`MAX_BYTES`] bytes. Each write drops expired
//! records without living leases. Past a bound, live records are evicted and counted: those without
//! leases first, then the idlest.

use super::bytes;
use crate::limits::lease::{Leases, Liveness};
use crate::limits::record::Record;
use crate::shared::Layout;
use crate::shared::varint::Corrupt;
use crate::time::Mono;
use std::cmp::Reverse;

/// The layout of a page.
pub const LAYOUT: Layout = Layout {
    name: "a page of the ledger",
    version: 1,
    kind: b'P',
};
/// The maximum number of records on a page: three times the average of a full ledger.
pub const MAX_RECORDS: usize = 24;
/// The maximum size of a page in bytes.
pub const MAX_BYTES: usize = 16_384;
/// A page without records.
pub const EMPTY: [u8; 2] = LAYOUT.prefix();

const KEY: usize = 16;
/// Bytes of a record before its body.
const HEAD: usize = KEY + 18;
/// Bytes of the largest body: a page with one record.
const MAX_BODY: usize = MAX_BYTES - EMPTY.len() - HEAD;

/// One record as stored on the page.
#[derive(Clone, Copy, Debug)]
struct Slice<'a> {
    key: [u8; KEY],
    touched: Mono,
    expires_at: Mono,
    body: Body<'a>,
}

impl Slice<'_> {
    fn bytes(&self) -> usize {
        self.body.bytes.len().saturating_add(HEAD)
    }

    fn leases(&self) -> Leases {
        bytes::leases_of(self.body.bytes)
    }
}

/// The bytes of a record, which fit on a page.
#[derive(Clone, Copy, Debug)]
struct Body<'a> {
    bytes: &'a [u8],
    len: u16,
}

impl<'a> Body<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let fits = bytes.len() <= MAX_BODY;
        let len = u16::try_from(bytes.len()).ok().filter(|_| fits)?;
        Some(Self { bytes, len })
    }
}

/// A page that was read.
#[derive(Debug, Default)]
pub struct Page<'a> {
    records: Vec<Slice<'a>>,
    /// True when stored bytes were corrupt; corrupt bytes read as empty.
    pub corrupt: bool,
}

/// Losses of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Evicted live records.
    pub evicted: u64,
    /// Dropped leases of lost VMs.
    pub stale_leases: u64,
}

/// An account's new record and its times.
#[derive(Debug)]
pub struct Update<'a> {
    /// The account's key.
    pub key: [u8; KEY],
    /// The record.
    pub record: &'a Record,
    /// The moment of the write.
    pub now: Mono,
    /// The moment from which the record's windows are empty.
    pub expires_at: Mono,
}

impl<'a> Page<'a> {
    /// Reads a page; bytes of another layout and corrupt bytes read as empty.
    pub fn parse(bytes: &'a [u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let parsed = LAYOUT.body(bytes).and_then(parse_records);
        Self {
            corrupt: parsed.is_none(),
            records: parsed.unwrap_or_default(),
        }
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when the page has no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the record of `key`, or an empty one. A corrupt record reads as empty and marks the
    /// page.
    pub fn find(&mut self, key: &[u8; KEY]) -> Record {
        let Some(slice) = self.records.iter().find(|r| r.key == *key) else {
            return Record::default();
        };
        bytes::decode(slice.body.bytes).unwrap_or_else(|Corrupt| {
            self.corrupt = true;
            Record::default()
        })
    }

    /// Returns the page's bytes with one changed record, and the losses of the write.
    pub fn with(&self, update: &Update<'_>, liveness: &dyn Liveness) -> (Vec<u8>, Losses) {
        let mut losses = Losses::default();
        let mut body = Vec::with_capacity(64);
        if !update.record.is_empty() {
            bytes::encode(update.record, &mut body);
        }
        let mut kept: Vec<Slice<'_>> = Vec::with_capacity(self.records.len().saturating_add(1));
        for slice in self.records.iter().filter(|r| r.key != update.key) {
            if slice.expires_at > update.now {
                kept.push(*slice);
                continue;
            }
            let leases = slice.leases();
            let live = leases.counts.iter().any(|(h, _)| liveness.is_alive(*h));
            if live {
                kept.push(*slice);
            } else {
                losses.stale_leases = losses.stale_leases.saturating_add(leases.count());
            }
        }
        match Body::new(&body) {
            _ if body.is_empty() => {}
            Some(body) => {
                let slice = Slice {
                    key: update.key,
                    touched: update.now,
                    expires_at: update.expires_at,
                    body,
                };
                losses.evicted = evict(&mut kept, slice.bytes());
                kept.push(slice);
            }
            // No record grows as large as a page: see the bounds of logs and leases.
            None => losses.evicted = 1,
        }
        (write(&kept), losses)
    }
}

/// Makes room for a record of `bytes` bytes and returns the number of evicted records. Records
/// without leases go first, the idlest first.
fn evict(kept: &mut Vec<Slice<'_>>, bytes: usize) -> u64 {
    let mut total = page_bytes(kept);
    let is_over = |records: usize, total: usize| {
        records >= MAX_RECORDS || total.saturating_add(bytes) > MAX_BYTES
    };
    if !is_over(kept.len(), total) {
        return 0;
    }
    // Descending: the end of the list is evicted first.
    kept.sort_by_cached_key(|slice| Reverse((!slice.leases().is_empty(), slice.touched)));
    let mut evicted: u64 = 0;
    while is_over(kept.len(), total) {
        let Some(slice) = kept.pop() else { break };
        total = total.saturating_sub(slice.bytes());
        evicted = evicted.saturating_add(1);
    }
    evicted
}

/// The bytes of a page with these records.
fn page_bytes(records: &[Slice<'_>]) -> usize {
    records.iter().fold(EMPTY.len(), |sum: usize, slice| {
        sum.saturating_add(slice.bytes())
    })
}

fn write(records: &[Slice<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(page_bytes(records));
    out.extend_from_slice(&EMPTY);
    for slice in records {
        out.extend_from_slice(&slice.key);
        out.extend_from_slice(&slice.touched.as_millis().to_le_bytes());
        out.extend_from_slice(&slice.expires_at.as_millis().to_le_bytes());
        out.extend_from_slice(&slice.body.len.to_le_bytes());
        out.extend_from_slice(slice.body.bytes);
    }
    out
}

fn parse_records(mut rest: &[u8]) -> Option<Vec<Slice<'_>>> {
    let mut records = Vec::with_capacity(8);
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk::<KEY>()?;
        let (touched, after) = after.split_first_chunk::<8>()?;
        let (expires_at, after) = after.split_first_chunk::<8>()?;
        let (len, after) = after.split_first_chunk::<2>()?;
        let len = u16::from_le_bytes(*len);
        let (bytes, after) = after.split_at_checked(usize::from(len))?;
        records.push(Slice {
            key: *key,
            touched: Mono::from_millis(u64::from_le_bytes(*touched)),
            expires_at: Mono::from_millis(u64::from_le_bytes(*expires_at)),
            body: Body { bytes, len },
        });
        rest = after;
    }
    Some(records)
}
