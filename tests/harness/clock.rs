//! This thread's monotonic clock, set by the test.

use std::cell::Cell;
use tiergate::plugin::set_monotonic_ns;

/// A clock that stands still until it is told that time passes. Dropped, the real one runs again.
pub struct Clock(Cell<u64>);

impl Clock {
    pub fn start() -> Self {
        let clock = Self(Cell::new(7_200_000_000_000));
        clock.pass_ms(0);
        clock
    }

    pub fn pass_ms(&self, ms: u64) {
        self.0.set(self.0.get() + ms * 1_000_000);
        set_monotonic_ns(Some(self.0.get()));
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        set_monotonic_ns(None);
    }
}
