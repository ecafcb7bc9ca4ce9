//! The shares of limits that an account was noticed at, so that each is noticed once.
//!
//! ```text
//! body  = entry ...
//! entry = limit (4: SipHash-2-4 of its name) shares (1: a bit each) 0 (3) until (8: ms)
//! ```
//! `until` is the end of a calendar period, on the wall clock, or of a window's length since the
//! notice, on the monotonic clock.

use super::section::{HEAD, NOTICED, Section, cut, grow};
use super::{FamilyKey, Record};
use crate::shared::fields::{put, u32_at, u64_at};

/// The bytes of an entry.
pub const ENTRY_BYTES: usize = 16;
/// The place of the shares in an entry.
const SHARES: usize = 4;
/// The place of `until` in an entry.
const UNTIL: usize = 8;
/// The maximum number of entries of a family: more than limits meet in a request.
const MOST_ENTRIES: usize = 16;

/// True when a section has whole entries.
pub(super) const fn has_shape(section: &[u8]) -> bool {
    section.len() > HEAD
        && section
            .len()
            .saturating_sub(HEAD)
            .is_multiple_of(ENTRY_BYTES)
}

impl Record {
    /// Marks shares of a limit as noticed until `until`; returns those that were not.
    ///
    /// `holds` tells whether an earlier mark with that end holds.
    pub fn notice(
        &mut self,
        family: FamilyKey,
        limit: &str,
        shares: u8,
        until: u64,
        holds: impl Fn(u64) -> bool,
    ) -> u8 {
        let name = FamilyKey::of(limit).0;
        let marked = self.noticed_at(family, name);
        let (old, kept) = match marked {
            Some(at) if holds(u64_at(&self.bytes, at.saturating_add(UNTIL))) => {
                let old = self.bytes.get(at.saturating_add(SHARES)).copied();
                (old.unwrap_or(0), true)
            }
            _ => (0, false),
        };
        let new = shares & !old;
        if new == 0 {
            return 0;
        }
        let Some(at) = marked.or_else(|| self.add_noticed(family, name)) else {
            return 0;
        };
        put(&mut self.bytes, at.saturating_add(SHARES), [old | shares]);
        if !kept {
            put(
                &mut self.bytes,
                at.saturating_add(UNTIL),
                until.to_le_bytes(),
            );
        }
        new
    }

    /// Returns the place of a limit's entry.
    fn noticed_at(&self, family: FamilyKey, name: u32) -> Option<usize> {
        let section = self.find(NOTICED, family, |_| true)?;
        let mut entries = entries(&section);
        entries.find(|at| u32_at(&self.bytes, *at) == name)
    }

    /// Adds an empty entry, in place of the first one where there are too many.
    fn add_noticed(&mut self, family: FamilyKey, name: u32) -> Option<usize> {
        let mut section = match self.find(NOTICED, family, |_| true) {
            Some(section) => section,
            None => self.append(NOTICED, 0, family, HEAD),
        };
        let first = section.at.saturating_add(HEAD);
        if entries(&section).count() >= MOST_ENTRIES {
            cut(&mut self.bytes, &mut section, first, ENTRY_BYTES);
        }
        let at = section.end();
        if !grow(&mut self.bytes, &mut section, at, ENTRY_BYTES) {
            return None;
        }
        put(&mut self.bytes, at, name.to_le_bytes());
        Some(at)
    }
}

/// Returns the places of a section's entries.
fn entries(section: &Section) -> impl Iterator<Item = usize> + use<> {
    let first = section.at.saturating_add(HEAD);
    (first..section.end()).step_by(ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_new_once_until_its_mark_no_longer_holds() {
        let mut record = Record::default();
        let account = FamilyKey::ACCOUNT;
        let mut notice = |limit: &str, shares: u8, until: u64| {
            let new = record.notice(account, limit, shares, until, |end| end == until);
            assert!(record.is_valid() && !record.has_unknown());
            new
        };
        assert_eq!(notice("tpd", 0b01, 100), 0b01);
        assert_eq!(notice("tpd", 0b11, 100), 0b10);
        assert_eq!(notice("tpd", 0b11, 100), 0);
        assert_eq!(notice("rpd", 0b01, 100), 0b01, "each limit by itself");
        assert_eq!(notice("tpd", 0b01, 200), 0b01, "another period");
        assert_eq!(notice("tpd", 0b10, 200), 0b10);
        for n in 0..40 {
            assert_eq!(notice(&format!("limit{n}"), 1, 100), 1);
        }
        assert!(record.bytes().len() <= HEAD + MOST_ENTRIES * ENTRY_BYTES);
    }
}
