//! Fields at fixed offsets of stored bytes; numbers are little endian.
//!
//! A read past the end returns zero, and a write past the end does nothing. Callers check the
//! length of a value once, when they open it.

/// Reads two bytes.
#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    chunk(bytes, at).map_or(0, u16::from_le_bytes)
}

/// Reads four bytes.
#[inline]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    chunk(bytes, at).map_or(0, u32::from_le_bytes)
}

/// Reads eight bytes.
#[inline]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    chunk(bytes, at).map_or(0, u64::from_le_bytes)
}

/// Writes `field` over the bytes at `at`.
#[inline]
pub fn put<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    let target = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
    if let Some(target) = target {
        *target = field;
    }
}

#[inline]
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Inserts `n` zero bytes at `at`; does nothing past the end.
pub fn insert(bytes: &mut Vec<u8>, at: usize, n: usize) {
    let end = bytes.len();
    let Some(behind) = at.checked_add(n).filter(|_| at <= end) else {
        return;
    };
    bytes.resize(end.saturating_add(n), 0);
    bytes.copy_within(at..end, behind);
    if let Some(new) = bytes.get_mut(at..behind) {
        new.fill(0);
    }
}

/// Removes the `n` bytes at `at`; does nothing where there are fewer.
pub fn remove(bytes: &mut Vec<u8>, at: usize, n: usize) {
    let end = bytes.len();
    if let Some(behind) = at.checked_add(n).filter(|behind| *behind <= end) {
        bytes.copy_within(behind..end, at);
        bytes.truncate(end.saturating_sub(n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_move_by_what_is_inserted_and_removed() {
        let mut bytes = vec![1, 2, 3, 4];
        insert(&mut bytes, 1, 3);
        assert_eq!(bytes, [1, 0, 0, 0, 2, 3, 4]);
        remove(&mut bytes, 0, 5);
        assert_eq!(bytes, [3, 4]);
        insert(&mut bytes, 3, 1);
        remove(&mut bytes, 1, 2);
        assert_eq!(bytes, [3, 4], "past the end");
        insert(&mut bytes, 2, 1);
        assert_eq!(bytes, [3, 4, 0]);
    }
}
