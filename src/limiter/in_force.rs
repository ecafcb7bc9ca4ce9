//! The limiter by which the admin API answers: that of the config in force.

use super::Limiter;
use crate::host::Host;

impl Limiter {
    /// Runs `f` on the limiter of the config in force.
    pub fn in_force<T>(&mut self, _host: &dyn Host, f: impl FnOnce(&mut Self) -> T) -> T {
        f(self)
    }
}
