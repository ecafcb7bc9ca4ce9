//! One account's place on a page of the directory: the entry in force, and one that a feed staged.
//!
//! A feed writes its accounts page by page as they come, each with the generation of its import. The
//! head of the directory names the generation in force. So a whole feed comes into force with one
//! write, and a broken one never does.

use crate::directory::entry::AccountEntry;
use crate::http::sha256::sha256_hex;
use crate::time::{Mono, Span};

/// The longest id that is kept as it is, in bytes.
pub const KEPT_ID_BYTES: usize = 128;
/// The time for which a deletion is remembered: longer than an import takes.
const DELETION_KEPT: Span = Span::from_secs(3_600);

/// The id of an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EntryId {
    /// The id.
    Whole(Vec<u8>),
    /// The SHA-256 of a longer id, in hex.
    Digest(String),
}

impl EntryId {
    /// Returns the id as text, or the digest of a longer one.
    pub fn text(&self) -> String {
        match self {
            Self::Whole(id) => String::from_utf8_lossy(id).into_owned(),
            Self::Digest(digest) => digest.clone(),
        }
    }

    /// Keeps an id.
    pub fn of(id: &[u8]) -> Self {
        match id.len() <= KEPT_ID_BYTES {
            true => Self::Whole(id.to_vec()),
            false => Self::Digest(sha256_hex(id)),
        }
    }
}

/// An entry that comes into force with its import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The import's generation.
    pub generation: u32,
    /// The entry; `None` for a removed account.
    pub entry: Option<AccountEntry>,
}

/// One account's place on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The account's id.
    pub id: EntryId,
    /// The entry in force; `None` before the first, and after a deletion.
    pub entry: Option<AccountEntry>,
    /// The entry of an import.
    pub staged: Option<Staged>,
    /// The generation of the last import that named the account, as far as that was written down.
    pub seen: u32,
    /// The time of the admin API's last write.
    pub written: Option<Mono>,
}

impl StoredEntry {
    /// Creates a place without an entry.
    pub const fn new(id: EntryId) -> Self {
        Self {
            id,
            entry: None,
            staged: None,
            seen: 0,
            written: None,
        }
    }

    /// Returns the entry in force, where `in_force` is the generation of the last whole import.
    pub fn current(&self, in_force: u32) -> Option<&AccountEntry> {
        match &self.staged {
            Some(staged) if staged.generation == in_force => staged.entry.as_ref(),
            _ => self.entry.as_ref(),
        }
    }

    /// Takes a staged entry over if its import is in force, and drops it otherwise. True when that
    /// changed the place.
    pub fn settle(&mut self, in_force: u32) -> bool {
        let Some(staged) = self.staged.take() else {
            return false;
        };
        if staged.generation == in_force {
            self.entry = staged.entry;
        }
        true
    }

    /// True for a place that at most remembers a deletion.
    pub const fn is_empty(&self) -> bool {
        self.entry.is_none() && self.staged.is_none()
    }

    /// True when nothing is lost with the place.
    pub fn is_void(&self, now: Mono) -> bool {
        let is_kept = self
            .written
            .is_some_and(|written| now < written.after(DELETION_KEPT));
        self.is_empty() && !is_kept
    }
}
