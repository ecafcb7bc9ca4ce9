//! The compare-and-set loop of all stored values.

use super::Layout;
use crate::host::{Host, HostError, SetError};

/// The reason why a stored value could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Newer code wrote the value.
    #[error(
        "{0} in shared data is of a newer layout than this module's and is left alone: \
             load the newer module again, or restart Envoy"
    )]
    Newer(&'static str),
    /// Other writers were faster at each try.
    #[error("{0} in shared data was changed by others {1} times in a row")]
    Contended(&'static str, u32),
    /// The host failed.
    #[error("{0} in shared data: {1}")]
    Host(&'static str, HostError),
}

/// One stored value, and the number of tries to change it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The shared-data key.
    pub key: &'a str,
    /// The layout that this code reads and writes.
    pub layout: Layout,
    /// The number of tries, at least 1. Each lost try means that another writer succeeded.
    pub tries: u32,
}

/// The outcome of one run of an update.
#[derive(Debug)]
pub enum Change<T> {
    /// Writes these bytes.
    Write(Vec<u8>, T),
    /// Leaves the stored value unchanged.
    Keep(T),
}

/// The result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<T> {
    /// The result of the last run of the update.
    pub result: T,
    /// Tries lost to other writers.
    pub retries: u32,
    /// True when the value was written.
    pub written: bool,
}

/// Reads a value, runs `update` on it, and writes the result over the version that was read.
///
/// `update` gets `None` for a key that was never set. It runs again each time another writer was
/// faster, so it must not count anything by itself. A value of a newer layout is never written.
///
/// # Errors
/// A [`StoreError`], or the error that `update` returned; then nothing was written.
pub fn update<T, E: From<StoreError>>(
    host: &dyn Host,
    target: &Target<'_>,
    mut update: impl FnMut(Option<Vec<u8>>) -> Result<Change<T>, E>,
) -> Result<Changed<T>, E> {
    let Target { key, layout, tries } = *target;
    let failed = |error| StoreError::Host(layout.name, error);
    for retries in 0..tries {
        let stored = host.get(key).map_err(failed)?;
        let cas = stored.as_ref().map(|stored| stored.cas);
        let value = stored.map(|stored| stored.value);
        layout.check(value.as_deref().unwrap_or_default())?;
        let (bytes, result) = match update(value)? {
            Change::Write(bytes, result) => (bytes, result),
            Change::Keep(result) => {
                return Ok(Changed {
                    result,
                    retries,
                    written: false,
                });
            }
        };
        match host.set(key, &bytes, cas) {
            Ok(()) => {
                return Ok(Changed {
                    result,
                    retries,
                    written: true,
                });
            }
            Err(SetError::Conflict) => {}
            Err(SetError::Host(error)) => return Err(failed(error).into()),
        }
    }
    Err(StoreError::Contended(layout.name, tries).into())
}
