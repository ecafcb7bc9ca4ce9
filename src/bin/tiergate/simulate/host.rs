//! The host of a replay: shared data in this process's memory, and the log's time as both clocks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroU32;
use tiergate::host::{Clock, HostError, SetError, SharedData, Stored};
use tiergate::time::{Mono, Wall};

/// Shared data of one worker, and a clock that the log sets.
#[derive(Default)]
pub struct LogHost {
    data: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    now: Cell<u64>,
}

impl LogHost {
    /// Sets both clocks to a moment in microseconds since 1970; they never go back.
    pub fn set(&self, now: u64) {
        self.now.set(now.max(self.now.get()));
    }

    /// Returns the moment in microseconds since 1970.
    pub fn now(&self) -> u64 {
        self.now.get()
    }
}

impl SharedData for LogHost {
    fn get(&self, key: &str) -> Result<Option<Stored>, HostError> {
        let data = self.data.borrow();
        let stored = data.get(key).map(|(value, version)| Stored {
            value: value.clone(),
            cas: NonZeroU32::new(*version).unwrap_or(NonZeroU32::MIN),
        });
        Ok(stored)
    }

    /// Sets a value. There is one writer, so no version is ever another's.
    fn set(&self, key: &str, value: &[u8], _: Option<NonZeroU32>) -> Result<(), SetError> {
        let mut data = self.data.borrow_mut();
        match data.get_mut(key) {
            Some((stored, version)) => {
                stored.clear();
                stored.extend_from_slice(value);
                *version = version.wrapping_add(1).max(1);
            }
            None => _ = data.insert(key.to_owned(), (value.to_vec(), 1)),
        }
        Ok(())
    }
}

impl Clock for LogHost {
    fn mono(&self) -> Mono {
        Mono::from_millis(self.now.get().div_euclid(1000))
    }

    fn wall(&self) -> Wall {
        Wall::from_millis(self.now.get().div_euclid(1000))
    }
}
