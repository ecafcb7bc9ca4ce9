//! A page: the records of the accounts that hash to it, as one value of shared data.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (LAYOUT)
//! 1       1      'P'
//! 2       ...    records, one after the other:
//!         16     account key
//!         8      touched: when it was last written, monotonic ms, little endian
//!         8      expires_at: from when on its windows hold nothing, same form
//!         2      length of the body, little endian
//!         ...    body (bytes.rs)
//! ```
//! A page holds at most [`MAX_RECORDS`] records and [`MAX_BYTES`] bytes. Records that hold nothing
//! any more are dropped on each write; past a bound, the idlest live ones go, and are counted.

use super::bytes;
use crate::limits::lease::Liveness;
use crate::limits::record::Record;
use crate::shared::Layout;
use crate::shared::varint::Corrupt;
use crate::time::Mono;

/// The layout of a page.
pub const LAYOUT: Layout = Layout {
    name: "a page of the ledger",
    version: 1,
    kind: b'P',
};
/// Records on one page at most: three times what a full ledger has on average.
pub const MAX_RECORDS: usize = 24;
/// Bytes of one page at most.
pub const MAX_BYTES: usize = 16_384;
/// A page without records.
pub const EMPTY: [u8; 2] = LAYOUT.prefix();

const KEY: usize = 16;

/// One record as it lies on the page.
#[derive(Clone, Copy, Debug)]
struct Slice<'a> {
    key: [u8; KEY],
    touched: Mono,
    expires_at: Mono,
    body: &'a [u8],
}

/// A page that was read.
#[derive(Debug, Default)]
pub struct Page<'a> {
    records: Vec<Slice<'a>>,
    /// The value was there, but not as this layout writes it; what could not be read is empty.
    pub corrupt: bool,
}

/// Losses of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Live records of other accounts.
    pub evicted: u64,
    /// Leases of VMs that are gone.
    pub stale_leases: u64,
}

/// The account's new record and what belongs to it.
#[derive(Debug)]
pub struct Update<'a> {
    /// The account of the record.
    pub key: [u8; KEY],
    /// The record.
    pub record: &'a Record,
    /// The moment of the write.
    pub now: Mono,
    /// The moment from which on its windows hold nothing.
    pub expires_at: Mono,
}

impl<'a> Page<'a> {
    /// Reads a page; bytes of another layout, or corrupt ones, read as empty.
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

    /// The number of records on it.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when no record is on it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record of `key`, or an empty one; a corrupt record reads as empty and marks the page.
    pub fn find(&mut self, key: &[u8; KEY]) -> Record {
        let Some(slice) = self.records.iter().find(|r| r.key == *key) else {
            return Record::default();
        };
        bytes::decode(slice.body).unwrap_or_else(|Corrupt| {
            self.corrupt = true;
            Record::default()
        })
    }

    /// The page's bytes with one record changed, and what was lost on the way.
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
            let leases = bytes::leases_of(slice.body);
            let live = leases.counts.iter().any(|(h, _)| liveness.is_alive(*h));
            if live {
                kept.push(*slice);
            } else {
                losses.stale_leases = losses.stale_leases.saturating_add(leases.count());
            }
        }
        if !body.is_empty() {
            losses.evicted = evict(&mut kept, body.len());
            kept.push(Slice {
                key: update.key,
                touched: update.now,
                expires_at: update.expires_at,
                body: &body,
            });
        }
        (write(&kept), losses)
    }
}

const fn size(body: usize) -> usize {
    body.saturating_add(KEY).saturating_add(18)
}

/// Makes room for one more record with `body` bytes; says how many live ones had to go.
fn evict(kept: &mut Vec<Slice<'_>>, body: usize) -> u64 {
    let mut evicted: u64 = 0;
    let mut bytes = kept.iter().fold(EMPTY.len(), |sum: usize, r| {
        sum.saturating_add(size(r.body.len()))
    });
    while kept.len() >= MAX_RECORDS || bytes.saturating_add(size(body)) > MAX_BYTES {
        let idlest = kept
            .iter()
            .enumerate()
            .min_by_key(|(_, r)| (!bytes::leases_of(r.body).is_empty(), r.touched));
        let Some((at, _)) = idlest else { break };
        let gone = kept.swap_remove(at);
        bytes = bytes.saturating_sub(size(gone.body.len()));
        evicted = evicted.saturating_add(1);
    }
    evicted
}

fn write(records: &[Slice<'_>]) -> Vec<u8> {
    let bytes = records
        .iter()
        .fold(2, |sum: usize, r| sum.saturating_add(size(r.body.len())));
    let mut out = Vec::with_capacity(bytes);
    out.extend_from_slice(&EMPTY);
    for r in records {
        let Ok(len) = u16::try_from(r.body.len()) else {
            continue;
        };
        out.extend_from_slice(&r.key);
        out.extend_from_slice(&r.touched.as_millis().to_le_bytes());
        out.extend_from_slice(&r.expires_at.as_millis().to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(r.body);
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
        let (body, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        records.push(Slice {
            key: *key,
            touched: Mono::from_millis(u64::from_le_bytes(*touched)),
            expires_at: Mono::from_millis(u64::from_le_bytes(*expires_at)),
            body,
        });
        rest = after;
    }
    Some(records)
}
