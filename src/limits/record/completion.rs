//! The smoothed completion length of an account: what its responses put out.
//!
//! ```text
//! body = tokens (8), in 1/256
//! ```
//! An exponentially weighted moving average; a new length weighs an eighth.

use super::section::{COMPLETION, HEAD, Section};
use super::{FamilyKey, Record};
use crate::shared::fields::{put, u64_at};

/// The stored parts of a token.
const PARTS: u64 = 256;
/// A new length has one of this many parts of the weight.
const WEIGHT: u64 = 8;
/// The bytes that a smoothed completion length takes in a record.
pub const COMPLETION_BYTES: usize = HEAD + 8;

/// True when a section has the right size.
pub(super) const fn has_shape(section: &[u8]) -> bool {
    section.len() == COMPLETION_BYTES
}

impl Record {
    /// Returns the smoothed completion length, in tokens; `None` before the first response.
    pub fn completion(&self) -> Option<u64> {
        let section = self.find(COMPLETION, FamilyKey::ACCOUNT, |_| true)?;
        Some(parts(&self.bytes, &section).div_ceil(PARTS))
    }

    /// Takes the output of one more response, in tokens.
    pub fn note_completion(&mut self, output: u64) {
        let output = output.saturating_mul(PARTS);
        let (section, smoothed) = match self.find(COMPLETION, FamilyKey::ACCOUNT, |_| true) {
            Some(section) => {
                let old = parts(&self.bytes, &section);
                let kept = old.saturating_sub(old.div_euclid(WEIGHT));
                (section, kept.saturating_add(output.div_euclid(WEIGHT)))
            }
            None => {
                let section = self.append(COMPLETION, 0, FamilyKey::ACCOUNT, COMPLETION_BYTES);
                (section, output)
            }
        };
        let at = section.at.saturating_add(HEAD);
        put(&mut self.bytes, at, smoothed.to_le_bytes());
    }
}

fn parts(bytes: &[u8], section: &Section) -> u64 {
    u64_at(bytes, section.at.saturating_add(HEAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_follows_what_is_put_out() {
        let mut record = Record::default();
        assert_eq!(record.completion(), None);
        record.note_completion(1_000);
        assert_eq!(record.completion(), Some(1_000));
        record.note_completion(9_000);
        assert_eq!(record.completion(), Some(2_000));
        for _ in 0..100 {
            record.note_completion(30_000);
        }
        assert!((29_990..=30_000).contains(&record.completion().unwrap()));
        for _ in 0..200 {
            record.note_completion(0);
        }
        assert!(record.completion().unwrap() < 5);
        record.note_completion(u64::MAX);
        assert!(record.is_valid() && !record.has_unknown());
    }
}
