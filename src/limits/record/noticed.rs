//! The shares that an account was noticed of, so that each is told once.
//!
//! ```text
//! body  = entry ...
//! entry = limit (4: SipHash-2-4 of its name) share (1: percent) refused (1) lowered (1) 0 (1)
//!         of (8: the limit's size) until (8: ms)
//! ```
//! `until` is the end of a calendar period, on the wall clock, or of a window's length since the last
//! notice, on the monotonic clock. Shares are stored as such, and with the limit that they are of:
//! another config may have other ones, and another limit begins anew.

use super::section::{HEAD, NOTICED, Section, cut, grow};
use super::{FamilyKey, Record};
use crate::shared::fields::{put, u32_at, u64_at};

/// The bytes of an entry.
const ENTRY_BYTES: usize = 24;
/// The places of its fields behind the name.
const SHARE: usize = 4;
const OF: usize = 8;
const UNTIL: usize = 16;
/// The maximum number of entries of a family: more than limits meet in a request.
const MOST_ENTRIES: usize = 16;

/// The share of one limit that an account was noticed of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The highest share below that of a refusal, in percent; 0 for none.
    pub share: u8,
    /// True when a refusal was noticed.
    pub refused: bool,
    /// The number of times that the limit was lowered since the mark holds.
    pub lowered: u8,
    /// The size of the limit.
    pub of: u64,
    /// The moment from which the mark does not hold, in ms; the rule knows on which clock.
    pub until: u64,
}

/// Returns the bytes that the marks of `limits` limits of one family take in a record.
pub const fn noticed_bytes(limits: usize) -> usize {
    match limits {
        0 => 0,
        _ => limits.saturating_mul(ENTRY_BYTES).saturating_add(HEAD),
    }
}

/// True when a section has whole entries.
pub(super) const fn has_shape(section: &[u8]) -> bool {
    section.len() > HEAD
        && section
            .len()
            .saturating_sub(HEAD)
            .is_multiple_of(ENTRY_BYTES)
}

impl Record {
    /// Returns what the account was noticed of a limit, whether that holds or not.
    pub fn mark(&self, family: FamilyKey, limit: &str) -> Option<Mark> {
        let at = self.mark_at(family, FamilyKey::of(limit).0)?;
        let byte = |place: usize| {
            let at = at.saturating_add(SHARE).saturating_add(place);
            self.bytes.get(at).copied().unwrap_or(0)
        };
        Some(Mark {
            share: byte(0),
            refused: byte(1) != 0,
            lowered: byte(2),
            of: u64_at(&self.bytes, at.saturating_add(OF)),
            until: u64_at(&self.bytes, at.saturating_add(UNTIL)),
        })
    }

    /// Notes what the account was noticed of a limit; false where the record has no room for it.
    #[must_use]
    pub fn set_mark(&mut self, family: FamilyKey, limit: &str, mark: &Mark) -> bool {
        let name = FamilyKey::of(limit).0;
        let at = self.mark_at(family, name);
        let Some(at) = at.or_else(|| self.add_mark(family, name)) else {
            return false;
        };
        let shares = [mark.share, mark.refused.into(), mark.lowered, 0];
        put(&mut self.bytes, at.saturating_add(SHARE), shares);
        let (of, until) = (mark.of.to_le_bytes(), mark.until.to_le_bytes());
        put(&mut self.bytes, at.saturating_add(OF), of);
        put(&mut self.bytes, at.saturating_add(UNTIL), until);
        true
    }

    /// Returns the place of a limit's entry.
    fn mark_at(&self, family: FamilyKey, name: u32) -> Option<usize> {
        let section = self.find(NOTICED, family, |_| true)?;
        let mut entries = entries(&section);
        entries.find(|at| u32_at(&self.bytes, *at) == name)
    }

    /// Adds an empty entry, in place of the first one where there are too many.
    fn add_mark(&mut self, family: FamilyKey, name: u32) -> Option<usize> {
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
    use crate::limits::day::DayRule;
    use crate::limits::record::Windows;
    use crate::time::{Now, Span};

    #[test]
    fn a_mark_is_read_as_it_was_written_and_entries_are_few() {
        let mut record = Record::default();
        let mark = Mark {
            share: 80,
            refused: true,
            lowered: 2,
            of: u64::MAX,
            until: 1 << 40,
        };
        for family in [FamilyKey::ACCOUNT, FamilyKey::of("k2")] {
            assert_eq!(record.mark(family, "tpd"), None);
            assert!(record.set_mark(family, "tpd", &Mark::default()));
            assert!(record.set_mark(family, "tpd", &mark));
            assert_eq!(record.mark(family, "tpd"), Some(mark));
        }
        assert_eq!(record.bytes().len(), 2 * noticed_bytes(1));
        for n in 0..40 {
            assert!(record.set_mark(FamilyKey::ACCOUNT, &format!("limit{n}"), &mark));
            assert!(record.is_valid() && !record.has_unknown());
        }
        assert_eq!(record.mark(FamilyKey::ACCOUNT, "limit39"), Some(mark));
        let most = noticed_bytes(1) + noticed_bytes(MOST_ENTRIES);
        assert!(record.bytes().len() <= most);
        record.clear_usage();
        assert!(record.is_empty());
    }

    /// The section of before: a bit for each position in a list. A notice twice is better than none.
    #[test]
    fn bits_of_an_earlier_build_are_dropped_and_cost_no_usage() {
        let old = [&[5, 0, 40, 0], &[0; 4][..], &[1; 32]].concat();
        let mut record = Record::default();
        assert!(record.load(&old), "not damaged");
        assert_eq!(record.mark(FamilyKey::ACCOUNT, "tpd"), None);
        let windows = Windows {
            second: Span::from_secs(1),
            minute: Span::from_secs(60),
            hour: Span::from_secs(3_600),
            day: DayRule::Rolling(Span::from_secs(86_400)),
        };
        record.advance(Now::default(), &windows);
        assert!(record.is_empty());
    }
}
