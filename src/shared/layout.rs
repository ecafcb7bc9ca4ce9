//! The first two bytes of a stored value: the version of its layout, and its kind.
//!
//! Each value has its own version. A value of a newer version belongs to newer code and stays
//! unchanged: code that drains must not clear values that it can't read. Bytes that are neither of
//! this version nor of a newer one are corrupt, and read as empty.

use super::StoreError;

/// The layout of one kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The value's name in errors.
    pub name: &'static str,
    /// The version, from 1.
    pub version: u8,
    /// The letter of the value's kind.
    pub kind: u8,
}

impl Layout {
    /// Returns the first two bytes of the value.
    pub const fn prefix(&self) -> [u8; 2] {
        [self.version, self.kind]
    }

    /// Checks that the value is not of a newer version.
    ///
    /// # Errors
    /// [`StoreError::Newer`].
    pub fn check(&self, bytes: &[u8]) -> Result<(), StoreError> {
        match bytes.first() {
            Some(version) if *version > self.version => Err(StoreError::Newer(self.name)),
            _ => Ok(()),
        }
    }

    /// Returns the bytes after the prefix; `None` for a value without the prefix.
    pub fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.strip_prefix(&self.prefix())
    }
}
