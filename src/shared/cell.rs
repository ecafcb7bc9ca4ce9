//! One value of shared data that all VMs of a namespace read and write. A value is created once and
//! changed with a compare-and-set; a corrupt one reads as its initial content.
//!
//! The content follows the layout's prefix in postcard's wire format (postcard.jamesmunns.com,
//! "wire format"), which reads any bytes without a panic. No request touches such a value.

use super::{Change, Layout, StoreError, Target, update};
use crate::host::{Host, HostError, SetError};
use crate::time::Mono;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::marker::PhantomData;

/// The maximum number of tries to write; each VM writes a value about once a second.
const TRIES: u32 = 50;

/// The content of a value.
pub trait Content: Serialize + DeserializeOwned + Default {
    /// The content's layout.
    const LAYOUT: Layout;
    /// The last segment of the key, after the namespace.
    const KEY: &'static str;

    /// Returns the content before the first write.
    fn initial(_now: Mono) -> Self {
        Self::default()
    }

    /// True when content that was read is within the bounds of this code.
    fn is_valid(&self) -> bool {
        true
    }
}

/// Encodes a content: the layout's prefix, then postcard.
pub fn encode<T: Serialize>(layout: Layout, content: &T) -> Vec<u8> {
    // Serialising into a Vec fails only for maps and sequences of unknown length.
    postcard::to_extend(content, layout.prefix().to_vec()).unwrap_or_default()
}

/// Decodes a content from all of `bytes`; `None` for bytes that are not a content.
pub fn decode<T: DeserializeOwned>(layout: Layout, bytes: &[u8]) -> Option<T> {
    let (content, rest) = postcard::take_from_bytes(layout.body(bytes)?).ok()?;
    rest.is_empty().then_some(content)
}

/// The value of one namespace.
#[derive(Debug)]
pub struct SharedCell<T> {
    key: String,
    corrupt: Cell<u64>,
    content: PhantomData<T>,
}

impl<T: Content> SharedCell<T> {
    /// Creates the cell of `namespace`.
    pub fn of(namespace: &str) -> Self {
        Self {
            key: format!("{namespace}/{}", T::KEY),
            corrupt: Cell::default(),
            content: PhantomData,
        }
    }

    /// Returns the shared-data key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Creates the value if it is absent, in a write of its own: the host can't insert if absent.
    ///
    /// # Errors
    /// The host's status.
    pub fn create(&self, host: &dyn Host) -> Result<(), HostError> {
        if host.get(&self.key)?.is_some() {
            return Ok(());
        }
        match host.set(
            &self.key,
            &encode(T::LAYOUT, &T::initial(host.mono())),
            None,
        ) {
            Ok(()) | Err(SetError::Conflict) => Ok(()),
            Err(SetError::Host(error)) => Err(error),
        }
    }

    /// Runs `f` on the content, and stores a changed content. Returns the resulting content and the
    /// result of `f`.
    ///
    /// The time passed to `f` was read after the value. `f` runs again each time another writer was
    /// faster.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was stored.
    pub fn change<R>(
        &self,
        host: &dyn Host,
        mut f: impl FnMut(&mut T, Mono) -> R,
    ) -> Result<(T, R), StoreError> {
        let target = Target {
            key: &self.key,
            layout: T::LAYOUT,
            tries: TRIES,
        };
        let changed = update(host, &target, |bytes| {
            let now = host.mono();
            let bytes = bytes.unwrap_or_default();
            let valid = Self::valid(&bytes);
            let corrupt = valid.is_none() && !bytes.is_empty();
            let mut content = valid.unwrap_or_else(|| T::initial(now));
            let result = f(&mut content, now);
            let after = encode(T::LAYOUT, &content);
            Ok::<_, StoreError>(match after == bytes {
                true => Change::Keep((content, result, corrupt)),
                false => Change::Write(after, (content, result, corrupt)),
            })
        })?;
        let (content, result, corrupt) = changed.result;
        if changed.written {
            let count = self.corrupt.get().saturating_add(u64::from(corrupt));
            self.corrupt.set(count);
        }
        Ok((content, result))
    }

    /// Returns the content and the time of the read. Nothing is written, so corrupt bytes stay.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn read(&self, host: &dyn Host) -> Result<(T, Mono), StoreError> {
        let failed = |error| StoreError::Host(T::LAYOUT.name, error);
        let bytes = host.get(&self.key).map_err(failed)?.map(|s| s.value);
        let now = host.mono();
        let bytes = bytes.unwrap_or_default();
        T::LAYOUT.check(&bytes)?;
        Ok((Self::valid(&bytes).unwrap_or_else(|| T::initial(now)), now))
    }

    fn valid(bytes: &[u8]) -> Option<T> {
        decode(T::LAYOUT, bytes).filter(T::is_valid)
    }

    /// Returns the number of overwritten corrupt values since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.corrupt.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LAYOUT: Layout = Layout {
        name: "a test's value",
        version: 3,
        kind: b'T',
    };

    #[test]
    fn a_content_is_read_as_it_was_written_and_no_part_of_it_is_one() {
        let content = BTreeMap::from([("tier0".to_owned(), 300_u64), (String::new(), u64::MAX)]);
        let bytes = encode(LAYOUT, &content);
        assert_eq!(bytes.get(..2), Some(&b"\x03T"[..]));
        assert_eq!(decode(LAYOUT, &bytes), Some(content));
        for end in 0..bytes.len() {
            let cut = bytes.get(..end).unwrap();
            assert_eq!(decode::<BTreeMap<String, u64>>(LAYOUT, cut), None, "{end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(decode::<BTreeMap<String, u64>>(LAYOUT, &longer), None);
    }
}
