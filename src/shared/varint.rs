//! Unsigned LEB128 numbers in stored bytes (DWARF 5, section 7.6). Reading takes any bytes and
//! never panics.

/// Stored bytes that are not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored bytes are corrupt")]
pub struct Corrupt;

/// Appends a number.
#[inline]
pub fn put(out: &mut Vec<u8>, mut n: u64) {
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

/// Appends a length.
pub fn put_len(out: &mut Vec<u8>, n: usize) {
    put(out, u64::try_from(n).unwrap_or(u64::MAX));
}

/// Takes a number from the front.
///
/// # Errors
/// [`Corrupt`] for bytes that end too early, or for more than 64 bits.
#[inline]
pub fn take(input: &mut &[u8]) -> Result<u64, Corrupt> {
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

/// Takes a number of a smaller type.
///
/// # Errors
/// [`Corrupt`] when the number does not fit.
pub fn take_as<T: TryFrom<u64>>(input: &mut &[u8]) -> Result<T, Corrupt> {
    T::try_from(take(input)?).map_err(|_| Corrupt)
}

/// Takes a count of items of at least one byte each.
///
/// # Errors
/// [`Corrupt`] when the count exceeds the remaining bytes.
pub fn take_count(input: &mut &[u8]) -> Result<usize, Corrupt> {
    let count: usize = take_as(input)?;
    if count > input.len() {
        return Err(Corrupt);
    }
    Ok(count)
}
