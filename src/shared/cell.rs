//! One value of shared data that all VMs of a namespace read and write: created once, changed with
//! a compare-and-set, and read as its initial content when it is corrupt.

use super::{Change, Layout, StoreError, Target, update};
use crate::host::{Host, HostError, SetError};
use crate::time::Mono;
use std::cell::Cell;
use std::marker::PhantomData;

/// Tries to write a value; each VM writes one about once a second.
const TRIES: u32 = 50;

/// The content of a value.
pub trait Content: Clone + PartialEq {
    /// Its layout.
    const LAYOUT: Layout;

    /// The content before the first write.
    fn initial(now: Mono) -> Self;

    /// The stored bytes, which begin with the layout's prefix.
    fn encode(&self) -> Vec<u8>;

    /// Reads the bytes; `None` for bytes that [`Content::encode`] does not write.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// The value of one namespace.
#[derive(Debug)]
pub struct SharedCell<T> {
    key: String,
    corrupt: Cell<u64>,
    content: PhantomData<T>,
}

impl<T: Content> SharedCell<T> {
    /// The value at that key.
    pub fn new(key: String) -> Self {
        Self {
            key,
            corrupt: Cell::default(),
            content: PhantomData,
        }
    }

    /// The shared-data key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Creates the value if it is absent; alone, since the host can't insert if absent.
    ///
    /// # Errors
    /// The host's status.
    pub fn create(&self, host: &dyn Host) -> Result<(), HostError> {
        if host.get(&self.key)?.is_some() {
            return Ok(());
        }
        match host.set(&self.key, &T::initial(host.mono()).encode(), None) {
            Ok(()) | Err(SetError::Conflict) => Ok(()),
            Err(SetError::Host(error)) => Err(error),
        }
    }

    /// Runs `f` on the content, and stores it if that changed it. Returns the content as it is
    /// then, and the result of `f`.
    ///
    /// The moment that `f` gets was read after the value. `f` runs again each time another writer
    /// was faster.
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
            let before = T::decode(bytes);
            let corrupt = before.is_none() && !bytes.is_empty();
            let mut content = before.clone().unwrap_or_else(|| T::initial(now));
            let result = f(&mut content, now);
            Ok::<_, StoreError>(match before.as_ref() == Some(&content) {
                true => Change::Keep((content, result, corrupt)),
                false => Change::Write(content.encode(), (content, result, corrupt)),
            })
        })?;
        let (content, result, corrupt) = changed.result;
        if changed.written {
            let count = self.corrupt.get().saturating_add(u64::from(corrupt));
            self.corrupt.set(count);
        }
        Ok((content, result))
    }

    /// The content, and the moment when it was read. Nothing is written, so corrupt bytes stay.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn read(&self, host: &dyn Host) -> Result<(T, Mono), StoreError> {
        let failed = |error| StoreError::Host(T::LAYOUT.name, error);
        let bytes = host.get(&self.key).map_err(failed)?.map(|s| s.value);
        let now = host.mono();
        let bytes = bytes.unwrap_or_default();
        T::LAYOUT.check(&bytes)?;
        Ok((T::decode(&bytes).unwrap_or_else(|| T::initial(now)), now))
    }

    /// Corrupt values that were written anew since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.corrupt.take()
    }
}
