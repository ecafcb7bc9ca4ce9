//! One value of shared data that all VMs of a namespace read and write: created once, changed with a
//! compare-and-set, and read as nothing when it is corrupt.

use crate::host::{Host, HostError, SetError};
use crate::ledger::page::LAYOUT;
use crate::time::Mono;
use std::cell::Cell;
use std::marker::PhantomData;

/// Tries to write a value; each VM writes one about once a second.
const TRIES: u32 = 50;

/// What a value holds.
pub trait Content: Clone + PartialEq {
    /// What the value is called in errors.
    const NAME: &'static str;

    /// What stands where nothing was written yet.
    fn initial(now: Mono) -> Self;

    /// The bytes that are stored; they begin with the layout version.
    fn encode(&self) -> Vec<u8>;

    /// Reads the bytes; `None` for bytes that [`Content::encode`] does not write.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Why a value could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Newer code wrote it.
    #[error("{0} in shared data is of a newer layout than {LAYOUT}: load the newer module")]
    Newer(&'static str),
    /// Others were faster each time.
    #[error("{0} in shared data was changed by others {TRIES} times in a row")]
    Contended(&'static str),
    /// The host failed.
    #[error("{0} in shared data: {1}")]
    Host(&'static str, HostError),
}

/// The value of one namespace.
#[derive(Debug)]
pub struct Value<T> {
    key: String,
    corrupt: Cell<u64>,
    content: PhantomData<T>,
}

impl<T: Content> Value<T> {
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

    /// Creates the value if it is not there; alone, since the host can't insert if absent.
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

    /// Runs `update` on the content, and stores it when that changed it; the content as it is then,
    /// and what `update` says of it.
    ///
    /// The moment that `update` is given was read after the value. `update` runs again each time
    /// another was faster.
    ///
    /// # Errors
    /// [`ValueError`] when nothing was stored.
    pub fn change<R>(
        &self,
        host: &dyn Host,
        mut update: impl FnMut(&mut T, Mono) -> R,
    ) -> Result<(T, R), ValueError> {
        let failed = |error| ValueError::Host(T::NAME, error);
        for _ in 0..TRIES {
            let stored = host.get(&self.key).map_err(failed)?;
            let now = host.mono();
            let (bytes, cas) = stored.map_or_else(Default::default, |s| (s.value, Some(s.cas)));
            if bytes.first().is_some_and(|version| *version > LAYOUT) {
                return Err(ValueError::Newer(T::NAME));
            }
            let before = T::decode(&bytes);
            let corrupt = before.is_none() && !bytes.is_empty();
            let mut content = before.clone().unwrap_or_else(|| T::initial(now));
            let result = update(&mut content, now);
            if before.as_ref() == Some(&content) {
                return Ok((content, result));
            }
            match host.set(&self.key, &content.encode(), cas) {
                Ok(()) => {
                    let count = self.corrupt.get().saturating_add(u64::from(corrupt));
                    self.corrupt.set(count);
                    return Ok((content, result));
                }
                Err(SetError::Conflict) => {}
                Err(SetError::Host(error)) => return Err(failed(error)),
            }
        }
        Err(ValueError::Contended(T::NAME))
    }

    /// The content and the moment when it was read; nothing is written, so damage stays.
    ///
    /// # Errors
    /// [`ValueError`] when it can't be read.
    pub fn read(&self, host: &dyn Host) -> Result<(T, Mono), ValueError> {
        let failed = |error| ValueError::Host(T::NAME, error);
        let bytes = host.get(&self.key).map_err(failed)?.map(|s| s.value);
        let now = host.mono();
        let bytes = bytes.unwrap_or_default();
        if bytes.first().is_some_and(|version| *version > LAYOUT) {
            return Err(ValueError::Newer(T::NAME));
        }
        Ok((T::decode(&bytes).unwrap_or_else(|| T::initial(now)), now))
    }

    /// Corrupt values that were written anew since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.corrupt.take()
    }
}
