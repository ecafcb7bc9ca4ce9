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

use crate::limits::day::DayUse;
use crate::limits::lease::{Holder, Leases};
use crate::limits::record::Record;
use crate::limits::window::{Grain, Log};
use crate::shared::varint::{Corrupt, put, put_len, take, take_as, take_count};
use crate::time::{Mono, Span};

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

/// Reads a record from all of `bytes`.
///
/// # Errors
/// [`Corrupt`] for bytes that are not a record.
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

/// Returns the leases of an encoded record; none for a corrupt one.
pub fn leases_of(bytes: &[u8]) -> Leases {
    decode(bytes).map(|r| r.leases).unwrap_or_default()
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
