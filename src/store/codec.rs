//! A record as bytes, and back. Decoding takes any bytes and never panics.
//!
//! ```text
//! record  = log day leases
//! log     = count, [newest_first, begun, first_last, requests, tokens,
//!                   then for each further grain: delta_last, requests, tokens]
//! day     = 0 | 1 number tokens begun | 2 log
//! leases  = count, [slot, generation, count] ...
//! ```
//! Every number is an unsigned LEB128 varint (the encoding of the DWARF standard, section 7.6);
//! times are milliseconds; `delta_last` counts from the grain before.

use crate::limit::day::DayUse;
use crate::limit::lease::{Holder, Leases};
use crate::limit::record::Record;
use crate::limit::window::{Grain, Log};
use crate::time::{Mono, Span};

/// The bytes are not those of a record of this layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record of this layout")]
pub struct Corrupt;

/// Appends a record to `out`.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    put_log(out, &record.minute);
    match &record.day {
        DayUse::None => put(out, 0),
        DayUse::Calendar {
            number,
            tokens,
            begun,
        } => {
            put(out, 1);
            put(out, u64::from(*number));
            put(out, *tokens);
            put(out, begun.as_millis());
        }
        DayUse::Rolling(log) => {
            put(out, 2);
            put_log(out, log);
        }
    }
    put_len(out, record.leases.counts.len());
    for (holder, count) in &record.leases.counts {
        put(out, u64::from(holder.slot));
        put(out, u64::from(holder.generation));
        put(out, u64::from(*count));
    }
}

/// Reads a record that takes up all of `bytes`.
///
/// # Errors
/// [`Corrupt`] for bytes that [`encode`] does not write.
pub fn decode(mut bytes: &[u8]) -> Result<Record, Corrupt> {
    let input = &mut bytes;
    let minute = take_log(input)?;
    let day = match take(input)? {
        0 => DayUse::None,
        1 => DayUse::Calendar {
            number: take_as(input)?,
            tokens: take(input)?,
            begun: Mono::from_millis(take(input)?),
        },
        2 => DayUse::Rolling(take_log(input)?),
        _ => return Err(Corrupt),
    };
    let leases = take_leases(input)?;
    if !input.is_empty() {
        return Err(Corrupt);
    }
    Ok(Record {
        minute,
        day,
        leases,
    })
}

/// Whether an encoded record holds leases, without reading all of it; `true` when in doubt.
pub fn leases_of(bytes: &[u8]) -> Leases {
    decode(bytes).map(|r| r.leases).unwrap_or_default()
}

#[inline]
pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(low_bits(n) | 0x80);
        n = n.wrapping_shr(7);
    }
    out.push(low_bits(n));
}

fn low_bits(n: u64) -> u8 {
    let [low, ..] = n.to_le_bytes();
    low & 0x7f
}

pub(super) fn put_len(out: &mut Vec<u8>, n: usize) {
    put(out, u64::try_from(n).unwrap_or(u64::MAX));
}

#[inline]
pub(super) fn take(input: &mut &[u8]) -> Result<u64, Corrupt> {
    match input.split_first() {
        Some((byte, rest)) if *byte < 0x80 => {
            *input = rest;
            Ok(u64::from(*byte))
        }
        _ => take_long(input),
    }
}

fn take_long(input: &mut &[u8]) -> Result<u64, Corrupt> {
    let mut n: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first().ok_or(Corrupt)?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        let placed = bits.wrapping_shl(shift);
        if placed.wrapping_shr(shift) != bits {
            return Err(Corrupt);
        }
        n |= placed;
        if byte & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(Corrupt)
}

pub(super) fn take_as<T: TryFrom<u64>>(input: &mut &[u8]) -> Result<T, Corrupt> {
    T::try_from(take(input)?).map_err(|_| Corrupt)
}

/// A count of things that take at least one byte each.
pub(super) fn take_count(input: &mut &[u8]) -> Result<usize, Corrupt> {
    let count: usize = take_as(input)?;
    if count > input.len() {
        return Err(Corrupt);
    }
    Ok(count)
}

fn put_log(out: &mut Vec<u8>, log: &Log) {
    put_len(out, log.grains.len());
    if log.grains.is_empty() {
        return;
    }
    put(out, log.newest_first.as_millis());
    put(out, log.begun.as_millis());
    let mut before = Mono::default();
    for grain in &log.grains {
        put(out, grain.last.since(before).as_millis());
        put(out, grain.requests);
        put(out, grain.tokens);
        before = grain.last;
    }
}

fn take_log(input: &mut &[u8]) -> Result<Log, Corrupt> {
    let count = take_count(input)?;
    if count == 0 {
        return Ok(Log::default());
    }
    let newest_first = Mono::from_millis(take(input)?);
    let begun = Mono::from_millis(take(input)?);
    let mut grains = Vec::with_capacity(count);
    let mut last = Mono::default();
    for _ in 0..count {
        last = last.after(Span::from_millis(take(input)?));
        grains.push(Grain {
            last,
            requests: take(input)?,
            tokens: take(input)?,
        });
    }
    Ok(Log {
        newest_first,
        begun,
        grains,
    })
}

fn take_leases(input: &mut &[u8]) -> Result<Leases, Corrupt> {
    let count = take_count(input)?;
    let mut counts = Vec::with_capacity(count);
    for _ in 0..count {
        let holder = Holder {
            slot: take_as(input)?,
            generation: take_as(input)?,
        };
        counts.push((holder, take_as(input)?));
    }
    Ok(Leases { counts })
}
