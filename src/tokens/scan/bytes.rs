//! The bytes that mean something in JSON, and ways to cut pieces at them.

use memchr::memchr2;

/// Bytes that end an unquoted value.
pub const ENDS_BARE: u8 = 1;
/// Bytes that begin or end a string or a container.
pub const NESTS: u8 = 2;

/// The length of a string from which a search pays off.
const SHORT: usize = 24;

/// The classes of each byte.
#[expect(
    clippy::indexing_slicing,
    reason = "a constant: the compiler checks it"
)]
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte: u8 = 0;
    loop {
        classes[byte as usize] = match byte {
            b'"' | b'{' | b'}' | b'[' | b']' => ENDS_BARE | NESTS,
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => ENDS_BARE,
            _ => 0,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// True for a byte of a class.
pub fn is(byte: u8, class: u8) -> bool {
    CLASSES
        .get(usize::from(byte))
        .is_some_and(|classes| classes & class != 0)
}

/// Returns a string without escapes that ends in the piece, and the bytes behind it. `piece` begins
/// behind its first quote.
pub fn plain_string(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let (start, more) = split_at(piece, SHORT);
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let at = match start.iter().position(is_special) {
        Some(at) => at,
        None => memchr2(b'"', b'\\', more)?.saturating_add(start.len()),
    };
    let (text, rest) = split_at(piece, at);
    Some((text, rest.strip_prefix(b"\"")?))
}

/// Splits a piece before the byte at `at`; without one, all of it comes first.
pub fn split_at(piece: &[u8], at: usize) -> (&[u8], &[u8]) {
    piece.split_at_checked(at).unwrap_or((piece, &[]))
}

/// Splits a piece behind the byte at `at`.
pub fn split_behind(piece: &[u8], at: usize) -> (&[u8], &[u8]) {
    split_at(piece, at.saturating_add(1))
}
