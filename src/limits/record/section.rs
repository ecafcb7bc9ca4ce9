//! The chain of sections that a record is.

use super::FamilyKey;
use crate::shared::fields::{insert, put, remove, u16_at, u32_at};

/// Bytes of a section before its body.
pub(super) const HEAD: usize = 8;
/// The largest section.
const LARGEST: usize = 65_535;

/// The kinds of sections.
pub(super) const LOG: u8 = 1;
pub(super) const PERIOD: u8 = 2;
pub(super) const LEASES: u8 = 3;
pub(super) const COMPLETION: u8 = 4;
pub(super) const ALLOWANCE: u8 = 6;
pub(super) const NOTICED: u8 = 7;
/// Marks of notices as no released code has written them.
pub(super) const RETIRED: u8 = 5;

/// One section of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub at: usize,
    pub tag: u8,
    pub len: usize,
    pub family: FamilyKey,
}

impl Section {
    pub fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let len = usize::from(u16_at(bytes, at.saturating_add(2)));
        let end = at.checked_add(len)?;
        (len >= HEAD && end <= bytes.len()).then(|| Self {
            at,
            tag: bytes.get(at).copied().unwrap_or(0),
            len,
            family: FamilyKey(u32_at(bytes, at.saturating_add(4))),
        })
    }

    pub const fn end(&self) -> usize {
        self.at.saturating_add(self.len)
    }

    pub fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.at..self.end()).unwrap_or_default()
    }
}

pub(super) fn sections(bytes: &[u8]) -> impl Iterator<Item = Section> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let section = Section::read(bytes, at)?;
        at = section.end();
        Some(section)
    })
}

pub(super) fn retain(bytes: &mut Vec<u8>, keep: impl Fn(&Section) -> bool) {
    let mut at = 0;
    while let Some(section) = Section::read(bytes, at) {
        at = match keep(&section) {
            true => section.end(),
            false => drop_section(bytes, &section),
        };
    }
}

pub(super) fn set_len(bytes: &mut [u8], section: usize, len: usize) {
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    put(bytes, section.saturating_add(2), len.to_le_bytes());
}

/// Inserts zero bytes into a section; false, and no change, where the section would be too large.
#[must_use]
pub(super) fn grow(bytes: &mut Vec<u8>, section: &mut Section, at: usize, n: usize) -> bool {
    let len = section.len.saturating_add(n);
    if len > LARGEST {
        return false;
    }
    insert(bytes, at, n);
    set_len(bytes, section.at, len);
    section.len = len;
    true
}

/// Removes bytes of a section.
pub(super) fn cut(bytes: &mut Vec<u8>, section: &mut Section, at: usize, n: usize) {
    remove(bytes, at, n);
    section.len = section.len.saturating_sub(n);
    set_len(bytes, section.at, section.len);
}

/// Removes a section; returns where the next one begins.
pub(super) fn drop_section(bytes: &mut Vec<u8>, section: &Section) -> usize {
    remove(bytes, section.at, section.len);
    section.at
}
