//! The board as bytes, and back. Decoding takes any bytes and never panics.
//!
//! ```text
//! offset  width  field
//! 0       1      layout version (page::LAYOUT)
//! 1       1      'R'
//! 2       ...    rows: count, [tier, code, flags, count, [bucket, refusals] ...] ...
//!         ...    ring: count, [row, at, refusals, account] ...
//! ```
//! Flags are 1 for overloaded and 2 for shadowed, added up. Numbers are varints as in [`crate::ledger::bytes`]. Tier and code are a length and text. A bucket is
//! 10 s of the monotonic clock, by its number; `at` is in seconds of that clock. `row` is the place
//! of tier and code in the rows. An account is 0 for none, or 1 for all of an id or 2 for its
//! beginning, with a length and bytes.

use super::LAYOUT;
use crate::refusals::log::{BUCKETS, ID_BYTES, Id, MOST_ROWS, RING, Reason, Recent, RefusalLog};
use crate::shared::varint::{Corrupt, put, put_len, take, take_count};

/// The longest name of a tier or a code, in bytes.
const NAME_BYTES: usize = 64;

/// The most bytes that a value can have: a varint takes at most 10.
pub const MOST_BYTES: u64 = {
    let row = 2 * (10 + NAME_BYTES as u64) + 11 + BUCKETS * 20;
    let recent = 41 + ID_BYTES as u64;
    22 + MOST_ROWS as u64 * row + RING as u64 * recent
};

/// The bytes of a log.
pub fn encode(log: &RefusalLog) -> Vec<u8> {
    let mut out = LAYOUT.prefix().to_vec();
    put_len(&mut out, log.rows.len());
    for (reason, row) in &log.rows {
        put_bytes(&mut out, reason.tier.as_bytes());
        put_bytes(&mut out, reason.code.as_bytes());
        put(&mut out, flags(reason));
        put_len(&mut out, row.len());
        for (bucket, n) in row {
            put(&mut out, *bucket);
            put(&mut out, *n);
        }
    }
    // Each of the ring has its row: both go when its bucket does.
    let place = |recent: &Recent| log.rows.keys().position(|reason| *reason == recent.reason);
    let placed: Vec<_> = log
        .ring
        .iter()
        .filter_map(|recent| Some((place(recent)?, recent)))
        .collect();
    put_len(&mut out, placed.len());
    for (row, recent) in placed {
        put_len(&mut out, row);
        put(&mut out, recent.at);
        put(&mut out, recent.count);
        match &recent.account {
            None => put(&mut out, 0),
            Some(id) => {
                put(&mut out, if id.is_cut { 2 } else { 1 });
                put_bytes(&mut out, &id.bytes);
            }
        }
    }
    out
}

/// Reads a log.
///
/// # Errors
/// [`Corrupt`] for bytes that [`encode`] does not write.
pub fn decode(bytes: &[u8]) -> Result<RefusalLog, Corrupt> {
    let mut rest = LAYOUT.body(bytes).ok_or(Corrupt)?;
    let input = &mut rest;
    let mut log = RefusalLog::default();
    let mut rows = Vec::new();
    for _ in 0..at_most(take_count(input)?, MOST_ROWS)? {
        let (tier, code) = (take_name(input)?, take_name(input)?);
        let (overloaded, shadowed) = match take(input)? {
            0 => (false, false),
            1 => (true, false),
            2 => (false, true),
            3 => (true, true),
            _ => return Err(Corrupt),
        };
        let reason = Reason {
            tier,
            code,
            overloaded,
            shadowed,
        };
        let buckets = take_buckets(input)?;
        if log.rows.insert(reason.clone(), buckets).is_some() {
            return Err(Corrupt);
        }
        rows.push(reason);
    }
    for _ in 0..at_most(take_count(input)?, RING)? {
        let row = usize::try_from(take(input)?).map_err(|_| Corrupt)?;
        log.ring.push(Recent {
            reason: rows.get(row).cloned().ok_or(Corrupt)?,
            at: take(input)?,
            count: take(input)?,
            account: take_account(input)?,
        });
    }
    if !input.is_empty() {
        return Err(Corrupt);
    }
    Ok(log)
}

fn flags(reason: &Reason) -> u64 {
    u64::from(reason.overloaded) | (u64::from(reason.shadowed) << 1)
}

fn at_most(count: usize, most: usize) -> Result<usize, Corrupt> {
    if count > most {
        Err(Corrupt)
    } else {
        Ok(count)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(input: &mut &'a [u8], most: usize) -> Result<&'a [u8], Corrupt> {
    let length = at_most(take_count(input)?, most)?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(Corrupt)?;
    *input = rest;
    Ok(bytes)
}

fn take_name(input: &mut &[u8]) -> Result<String, Corrupt> {
    let name = take_bytes(input, NAME_BYTES)?;
    Ok(std::str::from_utf8(name).map_err(|_| Corrupt)?.to_owned())
}

/// Ascending, so that no bucket is counted twice.
fn take_buckets(input: &mut &[u8]) -> Result<Vec<(u64, u64)>, Corrupt> {
    let most = usize::try_from(BUCKETS).unwrap_or(usize::MAX);
    let mut buckets: Vec<(u64, u64)> = Vec::new();
    for _ in 0..at_most(take_count(input)?, most)? {
        let bucket = (take(input)?, take(input)?);
        if buckets.last().is_some_and(|last| last.0 >= bucket.0) {
            return Err(Corrupt);
        }
        buckets.push(bucket);
    }
    Ok(buckets)
}

fn take_account(input: &mut &[u8]) -> Result<Option<Id>, Corrupt> {
    let is_cut = match take(input)? {
        0 => return Ok(None),
        1 => false,
        2 => true,
        _ => return Err(Corrupt),
    };
    Ok(Some(Id {
        bytes: take_bytes(input, ID_BYTES)?.to_vec(),
        is_cut,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusals::log::Batch;
    use crate::time::Mono;

    #[test]
    fn a_board_is_read_as_it_was_written_and_no_part_of_it_is() {
        let reason = |tier: &str, code: &str, overloaded| Reason {
            tier: tier.to_owned(),
            code: code.to_owned(),
            overloaded,
            shadowed: overloaded && tier == "none",
        };
        let mut log = RefusalLog::default();
        for second in [1, 9, 12, 40] {
            let totals = vec![
                (reason("tier0", "rpm", false), 3),
                (reason("tier0", "rpm", true), 1),
                (reason("none", "account_missing", false), second),
                (reason("none", "rpm", true), second),
            ];
            let accounts = vec![
                (Some(Id::of(b"a\xff")), reason("tier0", "rpm", true), 2),
                (Some(Id::of(&[b'x'; 70])), reason("tier0", "rpm", false), 1),
                (None, reason("none", "account_missing", false), second),
            ];
            log.add(
                &Batch { totals, accounts },
                Mono::from_millis(second * 1000),
            );
        }
        let bytes = encode(&log);
        assert_eq!(decode(&bytes), Ok(log));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(Corrupt), "{end}");
        }
    }
}
