//! Who pulls the feed: one value of shared data, with the lease of the VM that does, and what all
//! know of the last load.
//!
//! ```text
//! key {namespace}/feed    offset  width  field (numbers little endian, times monotonic ms)
//!                         0       1      layout version (page::LAYOUT)
//!                         1       1      'L'
//!                         2       8      nonce of the VM that loads; 0: none does
//!                         10      8      when its lease ends
//!                         18      8      hash of where the feed comes from
//!                         26      8      when the newest config with that feed came
//!                         34      8      when the next load is due
//!                         42      8      when the directory was last known to be whole
//!                         50      8      the age that the gauge shows, in seconds
//!                         58      4      failures in a row
//!                         62      ..     ETag of the last whole load; empty for none
//! ```
//! A VM takes the lease for one load and gives it back. While it loads it renews the lease on its
//! ticks; when it dies, the lease ends and the next VM to tick begins anew.

use crate::host::{Host, HostError, SetError};
use crate::store::page::LAYOUT;
use crate::time::{Mono, Span};
use std::cell::Cell;

/// How long a lease holds without being renewed.
pub const LEASE: Span = Span::from_secs(5);
/// Tries to write the value; others write it about once a second.
const TRIES: u32 = 20;

const PREFIX: [u8; 2] = [LAYOUT, b'L'];

/// What all VMs know of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The nonce of the VM that loads; 0: none does.
    pub holder: u64,
    /// When its lease ends.
    pub until: Mono,
    /// Where the feed comes from, as a hash.
    pub source: u64,
    /// When the newest config with that feed came.
    pub configured: Mono,
    /// When the next load is due.
    pub due: Mono,
    /// When the directory was last known to be whole; when this value was made, before the first.
    pub whole_at: Mono,
    /// The age that the gauge shows, in seconds.
    pub shown: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The ETag of the last whole load.
    pub etag: Vec<u8>,
}

/// Why the value could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Newer code wrote it.
    #[error("the feed's lease is of a newer layout than {LAYOUT}")]
    Newer,
    /// Others were faster each time.
    #[error("the feed's lease was changed by others {TRIES} times in a row")]
    Contended,
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The value of one namespace.
#[derive(Debug)]
pub struct Lease {
    key: String,
    damaged: Cell<u64>,
}

impl Lease {
    /// The lease of `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self {
            key: format!("{namespace}/feed"),
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
        match host.set(&self.key, &encode(&afresh(host.mono())), None) {
            Ok(()) | Err(SetError::Conflict) => Ok(()),
            Err(SetError::Host(error)) => Err(error),
        }
    }

    /// Runs `rule` on what is known, and stores what it makes of it; `None` leaves it.
    ///
    /// The moment that `rule` is given was read after the value. Damaged bytes read as nothing
    /// standing.
    ///
    /// # Errors
    /// [`LeaseError`] when nothing was stored.
    pub fn change<T>(
        &self,
        host: &dyn Host,
        mut rule: impl FnMut(&Standing, Mono) -> (Option<Standing>, T),
    ) -> Result<T, LeaseError> {
        for _ in 0..TRIES {
            let stored = host.get(&self.key)?;
            let now = host.mono();
            let cas = stored.as_ref().map(|s| s.cas);
            let bytes = stored.map(|s| s.value).unwrap_or_default();
            if bytes.first().is_some_and(|version| *version > LAYOUT) {
                return Err(LeaseError::Newer);
            }
            let read = decode(&bytes);
            let damaged = read.is_none() && !bytes.is_empty();
            let standing = read.unwrap_or_else(|| afresh(now));
            let (changed, result) = rule(&standing, now);
            let Some(changed) = changed else {
                return Ok(result);
            };
            match host.set(&self.key, &encode(&changed), cas) {
                Ok(()) => {
                    let count = self.damaged.get().saturating_add(u64::from(damaged));
                    self.damaged.set(count);
                    return Ok(result);
                }
                Err(SetError::Conflict) => {}
                Err(SetError::Host(error)) => return Err(error.into()),
            }
        }
        Err(LeaseError::Contended)
    }

    /// The shared-data key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is known, and the moment when it was read.
    ///
    /// # Errors
    /// [`LeaseError`] when it can't be read.
    pub fn read(&self, host: &dyn Host) -> Result<(Standing, Mono), LeaseError> {
        self.change(host, |standing, now| (None, (standing.clone(), now)))
    }

    /// Values that could not be read since the last call.
    pub fn take_damaged(&self) -> u64 {
        self.damaged.take()
    }
}

impl Standing {
    /// Whether a VM holds the lease.
    pub fn is_held(&self, now: Mono) -> bool {
        self.holder != 0 && now < self.until
    }
}

fn afresh(now: Mono) -> Standing {
    Standing {
        whole_at: now,
        ..Standing::default()
    }
}

fn encode(standing: &Standing) -> Vec<u8> {
    let mut out = PREFIX.to_vec();
    for number in [
        standing.holder,
        standing.until.as_millis(),
        standing.source,
        standing.configured.as_millis(),
        standing.due.as_millis(),
        standing.whole_at.as_millis(),
        standing.shown,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&standing.failures.to_le_bytes());
    out.extend_from_slice(&standing.etag);
    out
}

/// `None` for bytes that [`encode`] does not write.
fn decode(bytes: &[u8]) -> Option<Standing> {
    let mut rest = bytes.strip_prefix(&PREFIX)?;
    let mut number = || {
        let (number, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(u64::from_le_bytes(*number))
    };
    let (holder, until, source) = (number()?, number()?, number()?);
    let (configured, due, whole_at, shown) = (number()?, number()?, number()?, number()?);
    let (failures, etag) = rest.split_first_chunk::<4>()?;
    Some(Standing {
        holder,
        until: Mono::from_millis(until),
        source,
        configured: Mono::from_millis(configured),
        due: Mono::from_millis(due),
        whole_at: Mono::from_millis(whole_at),
        shown,
        failures: u32::from_le_bytes(*failures),
        etag: etag.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_read_as_it_was_written() {
        let standing = Standing {
            holder: 1,
            until: Mono::from_millis(2),
            source: 3,
            configured: Mono::from_millis(4),
            due: Mono::from_millis(5),
            whole_at: Mono::from_millis(6),
            shown: 7,
            failures: 8,
            etag: b"W/\"9\"".to_vec(),
        };
        let bytes = encode(&standing);
        for end in 0..62 {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(decode(&bytes), Some(standing));
    }
}
