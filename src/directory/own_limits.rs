//! An account's own limits as bytes, for names and meanings that the fixed part of an entry lacks.
//!
//! ```text
//! others = count, (length, name, limit, meaning) ...
//! limit  = 1: unlimited, n + 1: n
//! meaning = 0: that of the name, else unit + 1, per, and for a custom window its milliseconds;
//!           plus 8 where the limit is in cents
//! ```
//! Numbers are varints as in [`crate::shared::varint`].

use super::bytes::{limit_number, number_limit};
use crate::limits::kinds::{Counted, Per};
use crate::limits::own::{MOST, OwnLimit, Size};
use crate::limits::units::Unit;
use crate::shared::varint::{put, put_len, take, take_count};
use crate::time::Span;

/// The maximum number of bytes: twelve limits with names of 32 bytes.
pub const MOST_BYTES: usize = 1 + 12 * (33 + 10 + 2 + 10);

/// The bit of a meaning whose limit is in cents.
const IN_CENTS: u64 = 8;
const CUSTOM: u64 = 6;
/// The times of limits by their number; [`CUSTOM`] follows them.
const TIMES: [Per; 6] = [
    Per::Second,
    Per::Minute,
    Per::Hour,
    Per::Day,
    Per::Week,
    Per::Month,
];

/// Appends the limits.
pub fn put_all(out: &mut Vec<u8>, limits: &[&(String, OwnLimit)]) {
    put_len(out, limits.len());
    for (name, own) in limits {
        put_len(out, name.len());
        out.extend_from_slice(name.as_bytes());
        let (number, in_cents) = match own.size {
            Size::Whole(limit) => (limit_number(Some(limit)), 0),
            Size::Cents(cents) => (cents, IN_CENTS),
        };
        put(out, number);
        match own.counted {
            None | Some(Counted::Leases) => put(out, in_cents),
            Some(Counted::Sum(unit, per)) => {
                put(out, (unit as u64).saturating_add(1) | in_cents);
                put_per(out, per);
            }
        }
    }
}

/// Takes the limits from the front; `None` for bytes that are none.
pub fn take_all(input: &mut &[u8]) -> Option<Vec<(String, OwnLimit)>> {
    let count = take_count(input).ok().filter(|count| *count <= MOST)?;
    (0..count).map(|_| take_one(input)).collect()
}

fn take_one(input: &mut &[u8]) -> Option<(String, OwnLimit)> {
    let length = take_count(input).ok()?;
    let (name, rest) = input.split_at_checked(length)?;
    *input = rest;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let number = take(input).ok()?;
    let meaning = take(input).ok()?;
    let size = match meaning & IN_CENTS {
        0 => Size::Whole(number_limit(number)?),
        _ => Size::Cents(number),
    };
    let counted = match meaning & !IN_CENTS {
        0 => None,
        unit => {
            let unit = usize::try_from(unit.saturating_sub(1)).ok()?;
            Some(Counted::Sum(*Unit::ALL.get(unit)?, take_per(input)?))
        }
    };
    Some((name, OwnLimit { size, counted }))
}

fn put_per(out: &mut Vec<u8>, per: Per) {
    match (0..).zip(TIMES).find(|(_, time)| *time == per) {
        Some((number, _)) => put(out, number),
        None => put(out, CUSTOM),
    }
    if let Per::Custom(length) = per {
        put(out, length.as_millis());
    }
}

fn take_per(input: &mut &[u8]) -> Option<Per> {
    match take(input).ok()? {
        CUSTOM => {
            let ms = take(input).ok()?;
            let fits = (60..=u64::from(u32::MAX)).contains(&ms);
            fits.then(|| Per::Custom(Span::from_millis(ms)))
        }
        number => TIMES.get(usize::try_from(number).ok()?).copied(),
    }
}
