//! Base64 that arrives in pieces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The number of characters that are decoded at once: a multiple of 4.
const BLOCK: usize = 64;

/// A reader of base64.
#[derive(Debug)]
pub struct Base64Reader {
    block: [u8; BLOCK],
    filled: usize,
}

impl Default for Base64Reader {
    fn default() -> Self {
        Self {
            block: [0; BLOCK],
            filled: 0,
        }
    }
}

impl Base64Reader {
    /// Reads a piece, and passes on the bytes in it. It skips backslashes: JSON may write one before a
    /// slash.
    pub fn feed(&mut self, piece: &[u8], mut sink: impl FnMut(&[u8])) {
        for byte in piece.iter().filter(|byte| **byte != b'\\') {
            if let Some(free) = self.block.get_mut(self.filled) {
                *free = *byte;
                self.filled = self.filled.saturating_add(1);
            }
            if self.filled == BLOCK {
                self.end(&mut sink);
            }
        }
    }

    /// Passes on what is left. Characters that are no base64 are dropped, with those around them.
    pub fn end(&mut self, mut sink: impl FnMut(&[u8])) {
        let mut bytes = [0; BLOCK];
        let block = self.block.get(..self.filled).unwrap_or_default();
        if let Ok(length) = STANDARD.decode_slice(block, &mut bytes) {
            sink(bytes.get(..length).unwrap_or_default());
        }
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_bytes() {
        let text: Vec<u8> = (0..=255).collect();
        let wrapped = STANDARD.encode(&text).replace('/', "\\/");
        for size in [1, 3, 64, 1000] {
            let mut reader = Base64Reader::default();
            let mut out = Vec::new();
            for piece in wrapped.as_bytes().chunks(size) {
                reader.feed(piece, |bytes| out.extend_from_slice(bytes));
            }
            reader.end(|bytes| out.extend_from_slice(bytes));
            assert_eq!(out, text, "{size}");
        }
    }
}
