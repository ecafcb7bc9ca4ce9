//! The refusals of the last minutes, as one value of shared data that all VMs add to
//! (key `{namespace}/refusals`; `bytes.rs` draws it).
//!
//! What is refused is gathered in each VM and added on its ticks, at most once a second, so nothing
//! of this is on a request's way. When shared data is lost, so is the list; nothing hangs on it.

mod board;
mod bytes;

pub use board::{Batch, Board, ID_BYTES, Id, RING, Recent, Total, WINDOW_S, Why};
pub use bytes::{MOST_BYTES, decode, encode};

use super::page::LAYOUT;
use crate::host::{Host, HostError, SetError};
use crate::time::Mono;
use std::cell::Cell;

/// Tries to write the value; others write it about once a second.
const TRIES: u32 = 20;

/// Why refusals were not written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalsError {
    /// Newer code wrote the value.
    #[error("the list of refusals is of a newer layout than {LAYOUT}")]
    Newer,
    /// Others were faster each time.
    #[error("the list of refusals was changed by others {TRIES} times in a row")]
    Contended,
    /// The host failed.
    #[error("the list of refusals: {0}")]
    Host(#[from] HostError),
}

/// The value of one namespace.
#[derive(Debug)]
pub struct Refusals {
    key: String,
    damaged: Cell<u64>,
}

impl Refusals {
    /// The refusals of `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self {
            key: format!("{namespace}/refusals"),
            damaged: Cell::default(),
        }
    }

    /// Creates the value if it is not there; alone, since the host can't insert if absent.
    ///
    /// # Errors
    /// The host's status.
    pub fn create(&self, host: &dyn Host) -> Result<(), HostError> {
        if host.get(&self.key)?.is_some() {
            return Ok(());
        }
        match host.set(&self.key, &encode(&Board::default()), None) {
            Ok(()) | Err(SetError::Conflict) => Ok(()),
            Err(SetError::Host(error)) => Err(error),
        }
    }

    /// Adds what a VM gathered. Damaged bytes read as nothing refused.
    ///
    /// # Errors
    /// [`RefusalsError`] when nothing was added.
    pub fn add(&self, host: &dyn Host, batch: &Batch) -> Result<(), RefusalsError> {
        for _ in 0..TRIES {
            let stored = host.get(&self.key)?;
            let now = host.mono();
            let cas = stored.as_ref().map(|s| s.cas);
            let value = stored.map(|s| s.value).unwrap_or_default();
            if value.first().is_some_and(|version| *version > LAYOUT) {
                return Err(RefusalsError::Newer);
            }
            let read = decode(&value);
            let damaged = read.is_err() && !value.is_empty();
            let mut board = read.unwrap_or_default();
            board.add(batch, now);
            match host.set(&self.key, &encode(&board), cas) {
                Ok(()) => {
                    let count = self.damaged.get().saturating_add(u64::from(damaged));
                    self.damaged.set(count);
                    return Ok(());
                }
                Err(SetError::Conflict) => {}
                Err(SetError::Host(error)) => return Err(error.into()),
            }
        }
        Err(RefusalsError::Contended)
    }

    /// What was refused lately, and the moment when it was read.
    ///
    /// # Errors
    /// The host's status when it can't be read.
    pub fn read(&self, host: &dyn Host) -> Result<(Board, Mono), HostError> {
        let stored = host.get(&self.key)?;
        let now = host.mono();
        let mut board = stored
            .and_then(|s| decode(&s.value).ok())
            .unwrap_or_default();
        board.expire(now);
        Ok((board, now))
    }

    /// Values that could not be read since the last call.
    pub fn take_damaged(&self) -> u64 {
        self.damaged.take()
    }
}
