//! A page of the directory: the places of the accounts that hash to it.
//!
//! ```text
//! 0  1  layout version
//! 1  1  'D'
//! 2  .. places: key (16), length (2, little endian), body (bytes.rs)
//! ```

use super::bytes;
use super::stored_entry::StoredEntry;
use crate::order::in_order;
use crate::shared::Layout;
use crate::time::Mono;

/// The layout of a page.
pub(super) const LAYOUT: Layout = Layout {
    name: "a page of the directory",
    version: 2,
    kind: b'D',
};
/// The maximum number of places on a page: four times the average of a full directory.
const MAX_ENTRIES: usize = 32;
/// The maximum size of a page, in bytes.
pub(super) const PAGE_BYTES: usize = 32_768;
/// The maximum size of a place, in bytes.
pub(super) const ENTRY_BYTES: usize = 8_192;

/// The length of an account's key, in bytes.
pub(super) const KEY: usize = 16;
/// An account's key.
pub(super) type Key = [u8; KEY];

/// The reason why a place does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The page is full.
    Page,
    /// The place itself is too large.
    Entry,
}

/// A page, for changes.
#[derive(Debug, Default)]
pub(super) struct DirectoryPage {
    places: Vec<(Key, Vec<u8>)>,
    /// Places that could not be read.
    corrupt: u64,
    changed: bool,
}

impl DirectoryPage {
    /// Reads a page; corrupt bytes read as an empty page.
    pub fn read(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let parsed = parse(bytes);
        let corrupt = u64::from(parsed.is_none());
        let places = parsed.unwrap_or_default().into_iter();
        Self {
            places: places.map(|(key, body)| (*key, body.to_vec())).collect(),
            corrupt,
            changed: false,
        }
    }

    /// Returns the place of an account.
    pub fn get(&mut self, key: &Key) -> Option<StoredEntry> {
        let (_, body) = self.places.iter().find(|(k, _)| k == key)?;
        let place = bytes::decode(body);
        if place.is_none() {
            self.corrupt = self.corrupt.saturating_add(1);
        }
        place
    }

    /// Returns the keys, in order.
    pub fn keys(&self) -> Vec<Key> {
        let keys = self.places.iter().map(|(key, _)| *key);
        in_order(keys.collect(), |key| *key)
    }

    /// Stores a place; a void one is removed. Drops void places where the page is full.
    ///
    /// # Errors
    /// [`NoRoom`]; then the page is unchanged.
    pub fn put(&mut self, key: &Key, place: &StoredEntry, now: Mono) -> Result<(), NoRoom> {
        if place.is_void(now) {
            self.remove(key);
            return Ok(());
        }
        let body = bytes::encode(place);
        if body.len() > ENTRY_BYTES {
            return Err(NoRoom::Entry);
        }
        if !self.has_room(key, body.len()) {
            self.drop_deleted(key);
            match self.has_room(key, body.len()) {
                true => {}
                // A deletion needs no room: then it is not remembered.
                false if place.is_empty() => {
                    self.remove(key);
                    return Ok(());
                }
                false => return Err(NoRoom::Page),
            }
        }
        self.remove(key);
        self.places.push((*key, body));
        self.changed = true;
        Ok(())
    }

    fn has_room(&self, key: &Key, length: usize) -> bool {
        let others = self.places.iter().filter(|(k, _)| k != key);
        let sizes = others.clone().map(|(_, body)| size_of_entry(body.len()));
        let size = sizes.fold(size_of_entry(length), usize::saturating_add);
        others.count() < MAX_ENTRIES && size.saturating_add(LAYOUT.prefix().len()) <= PAGE_BYTES
    }

    /// Drops places that only remember a deletion. An entry that has no room would be worse off.
    fn drop_deleted(&mut self, but: &Key) {
        let before = self.places.len();
        self.places.retain(|(key, body)| {
            key == but || bytes::decode(body).is_some_and(|place| !place.is_empty())
        });
        self.changed |= self.places.len() != before;
    }

    fn remove(&mut self, key: &Key) {
        let before = self.places.len();
        self.places.retain(|(k, _)| k != key);
        self.changed |= self.places.len() != before;
    }

    /// True when the page has changed.
    pub const fn is_changed(&self) -> bool {
        self.changed
    }

    /// Returns the stored form if the page has changed.
    pub fn changed_bytes(&self) -> Option<Vec<u8>> {
        if !self.changed {
            return None;
        }
        let mut out = LAYOUT.prefix().to_vec();
        for (key, body) in &self.places {
            // `ENTRY_BYTES` fits.
            let Ok(length) = u16::try_from(body.len()) else {
                continue;
            };
            out.extend_from_slice(key);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(body);
        }
        Some(out)
    }

    /// Returns the number of places that could not be read.
    pub const fn corrupt(&self) -> u64 {
        self.corrupt
    }
}

const fn size_of_entry(body: usize) -> usize {
    body.saturating_add(KEY).saturating_add(2)
}

/// Finds the place of an account on a stored page: `Err` for corrupt bytes.
pub(super) fn find(bytes: &[u8], key: &Key) -> Result<Option<StoredEntry>, ()> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let places = parse(bytes).ok_or(())?;
    match places.into_iter().find(|(k, _)| *k == key) {
        None => Ok(None),
        Some((_, body)) => bytes::decode(body).map(Some).ok_or(()),
    }
}

/// Returns the places of a stored page.
fn parse(bytes: &[u8]) -> Option<Vec<(&Key, &[u8])>> {
    let mut rest = LAYOUT.body(bytes)?;
    let mut places = Vec::with_capacity(MAX_ENTRIES);
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk::<KEY>()?;
        let (length, after) = after.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (body, after) = after.split_at_checked(length)?;
        places.push((key, body));
        rest = after;
    }
    Some(places)
}
