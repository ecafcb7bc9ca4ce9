//! A JSON string that arrives in pieces, of which a short one is kept, unescaped.

use super::Value;
use super::bytes::split_at;
use memchr::memchr2;

/// The maximum number of kept bytes.
pub const KEPT_BYTES: usize = 64;

/// The part of an escape that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// A backslash.
    Begun,
    /// `\u`, the value of its hexadecimal digits, and their number.
    Hex(u32, u8),
}

/// A string, or another short text.
#[derive(Debug)]
pub struct Text {
    bytes: [u8; KEPT_BYTES],
    kept: usize,
    is_long: bool,
    escape: Escape,
    length: u64,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            bytes: [0; KEPT_BYTES],
            kept: 0,
            is_long: false,
            escape: Escape::None,
            length: 0,
        }
    }
}

impl Text {
    /// Begins a new one.
    pub const fn clear(&mut self) {
        self.kept = 0;
        self.is_long = false;
        self.escape = Escape::None;
        self.length = 0;
    }

    /// Adds bytes as they are.
    pub fn push_plain(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(self.kept..).unwrap_or_default();
        let fits = bytes.len().min(free.len());
        self.is_long |= fits < bytes.len();
        let kept = bytes.get(..fits).unwrap_or_default();
        if let Some(free) = free.get_mut(..fits) {
            free.copy_from_slice(kept);
        }
        self.kept = self.kept.saturating_add(fits);
    }

    /// Returns the text, if all of it was kept.
    pub fn whole(&self) -> Option<&[u8]> {
        self.bytes.get(..self.kept).filter(|_| !self.is_long)
    }

    /// Returns the text as a string's value.
    pub fn value(&self) -> Value<'_> {
        Value::Text {
            start: self.bytes.get(..self.kept).unwrap_or_default(),
            is_whole: !self.is_long,
            length: self.length,
        }
    }

    /// Takes a part of the string, up to its end or into an escape. Returns the bytes of the part, the
    /// bytes behind it, and true when the string ended between them. `keeps`: its start is kept.
    pub fn take<'a>(&mut self, piece: &'a [u8], keeps: bool) -> (&'a [u8], &'a [u8], bool) {
        if self.escape != Escape::None {
            let (raw, rest) = split_at(piece, 1);
            if self.unescape(raw, keeps) {
                self.count(raw);
                return (raw, rest, false);
            }
        }
        let at = memchr2(b'"', b'\\', piece);
        let (raw, behind) = split_at(piece, at.unwrap_or(piece.len()));
        if keeps {
            self.push_plain(raw);
        }
        let (special, rest) = split_at(behind, 1);
        if special == b"\\" {
            self.escape = Escape::Begun;
        }
        let has_end = special == b"\"";
        let (raw, rest) = match has_end {
            true => (raw, rest),
            false => split_at(piece, raw.len().saturating_add(special.len())),
        };
        self.count(raw);
        (raw, rest, has_end)
    }

    fn count(&mut self, raw: &[u8]) {
        let length = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(length);
    }

    /// Takes the next byte of an escape; false when the byte is not part of it.
    fn unescape(&mut self, raw: &[u8], keeps: bool) -> bool {
        let byte = raw.first().copied().unwrap_or_default();
        let plain = match self.escape {
            Escape::Begun if byte == b'u' => {
                self.escape = Escape::Hex(0, 0);
                return true;
            }
            Escape::Begun => plain(byte),
            Escape::Hex(value, digits) => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    self.escape = Escape::None;
                    self.keep(char::REPLACEMENT_CHARACTER, keeps);
                    return false;
                };
                let value = (value << 4) | digit;
                if digits < 3 {
                    self.escape = Escape::Hex(value, digits.saturating_add(1));
                    return true;
                }
                // A half of a surrogate pair: no name has one.
                char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Escape::None => return false,
        };
        self.escape = Escape::None;
        self.keep(plain, keeps);
        true
    }

    fn keep(&mut self, plain: char, keeps: bool) {
        if keeps {
            let mut utf8 = [0; 4];
            self.push_plain(plain.encode_utf8(&mut utf8).as_bytes());
        }
    }
}

/// Returns the character behind a backslash.
fn plain(byte: u8) -> char {
    match byte {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        other => char::from(other),
    }
}
