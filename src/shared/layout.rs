//! The first two bytes of a stored value: the version of its layout, and its kind.
//!
//! Each value has a version of its own. A value of a newer version belongs to newer code and is
//! left alone: code that drains must not empty what it can't read. Bytes that are neither of this
//! version nor of a newer one are corrupt, and read as empty.

use super::StoreError;

/// The layout of one kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The value's name in errors.
    pub name: &'static str,
    /// The version, from 1.
    pub version: u8,
    /// A letter that tells the kinds apart.
    pub kind: u8,
}

impl Layout {
    /// The two bytes that the value begins with.
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

    /// The bytes behind the prefix; `None` for a value that does not begin with it.
    pub fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.strip_prefix(&self.prefix())
    }
}
