//! The account's allowances in the fleet, kept beside its use on this edge.
//!
//! ```text
//! body = keep_until (8: monotonic ms) state ...
//! ```
//! The state is `fleet`'s own. The record lives until `keep_until` at least, so that what a message
//! to the fleet has not said is not dropped with windows that are over.

use super::section::{ALLOWANCE, HEAD, Section, cut, grow};
use super::{FamilyKey, Record};
use crate::shared::fields::{put, u64_at};
use crate::time::Mono;

/// The place of the state in a section.
const STATE: usize = 16;

/// True when a section has a moment and a state.
pub(super) const fn has_shape(section: &[u8]) -> bool {
    section.len() > STATE
}

/// Returns the moment until which a section is kept.
pub(super) fn keep_until(section: &[u8]) -> Mono {
    Mono::from_millis(u64_at(section, HEAD))
}

impl Record {
    /// Returns the state of the account in the fleet; `None` for one that takes no part.
    pub fn allowance(&self) -> Option<&[u8]> {
        let section = self.find(ALLOWANCE, FamilyKey::ACCOUNT, |_| true)?;
        section.of(&self.bytes).get(STATE..)
    }

    /// Replaces the state of the account in the fleet. An empty state, and one that is too large for
    /// a section, take the section off.
    pub fn set_allowance(&mut self, state: &[u8], keep_until: Mono) {
        let found = self.find(ALLOWANCE, FamilyKey::ACCOUNT, |_| true);
        if state.is_empty() {
            return self.drop_allowance();
        }
        let mut section = match found {
            Some(section) => section,
            None => self.append(ALLOWANCE, 0, FamilyKey::ACCOUNT, STATE),
        };
        let len = STATE.saturating_add(state.len());
        let end = section.at.saturating_add(len.min(section.len));
        if !self.resize(&mut section, end, len) {
            return self.drop_allowance();
        }
        let at = section.at.saturating_add(HEAD);
        put(&mut self.bytes, at, keep_until.as_millis().to_le_bytes());
        let body = self.bytes.get_mut(section.at..section.end());
        if let Some(body) = body.and_then(|body| body.get_mut(STATE..))
            && body.len() == state.len()
        {
            body.copy_from_slice(state);
        }
    }

    /// Forgets the state of the account in the fleet, as for a copy of another record.
    pub fn drop_allowance(&mut self) {
        self.retain(|section| section.tag != ALLOWANCE);
    }

    /// Makes a section `len` bytes long, by bytes at `at`; false where it would be too large.
    fn resize(&mut self, section: &mut Section, at: usize, len: usize) -> bool {
        match len.checked_sub(section.len) {
            Some(more) => grow(&mut self.bytes, section, at, more),
            None => {
                let fewer = section.len.saturating_sub(len);
                cut(&mut self.bytes, section, at, fewer);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::lease::Holder;
    use crate::time::{Now, Span};

    #[test]
    fn a_state_is_replaced_by_one_of_any_length_and_leaves_its_neighbours() {
        let mut record = Record::default();
        let holder = Holder {
            slot: 3,
            generation: 7,
        };
        assert!(record.acquire(FamilyKey::ACCOUNT, holder));
        for state in [&b"abc"[..], b"a longer state", b"a", b"another one"] {
            record.set_allowance(state, Mono::from_millis(9_000));
            assert_eq!(record.allowance(), Some(state));
            assert!(record.is_valid() && !record.has_unknown());
            assert_eq!(record.leases(FamilyKey::ACCOUNT), 1);
        }
        let now = Now {
            mono: Mono::from_millis(1_000),
            wall: None,
        };
        assert_eq!(record.expiry(now).all.since(now.mono), Span::from_secs(8));
        record.set_allowance(b"", now.mono);
        assert_eq!(record.allowance(), None);
        record.set_allowance(&[1; 70_000], now.mono);
        assert_eq!(record.allowance(), None, "too large for a section");
        assert!(record.is_valid());
        assert_eq!(record.leases(FamilyKey::ACCOUNT), 1);
    }
}
