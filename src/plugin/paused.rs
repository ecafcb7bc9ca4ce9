//! Requests that Envoy holds, as those see them who let them go.

use super::hostcalls;
use super::log::warn;
use crate::time::Mono;
use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

/// A request that is held for its body or for a lease.
pub trait PausedRequest: Debug {
    /// Whether it is held for a lease.
    fn is_waiting(&self) -> bool;
    /// Whether another try for a lease may help.
    fn is_due(&self, now: Mono) -> bool;
    /// Tries again for a lease; `true` when the request is to go on.
    fn try_again(&mut self) -> bool;
    /// Does without its body; `true` when the request is to go on.
    fn give_up_waiting(&mut self) -> bool;
}

/// A request that is held, shared with its stream.
pub type Shared = Rc<RefCell<dyn PausedRequest>>;

/// Runs `judge` on a held request of another stream, and lets it go on if that says so.
pub fn resume(id: u32, request: &Shared, check: fn(&mut dyn PausedRequest) -> bool) {
    let resumed = hostcalls::set_effective_context(id).and_then(|()| {
        // The request is free again before Envoy goes on with it.
        let goes_on = request
            .try_borrow_mut()
            .is_ok_and(|mut request| check(&mut *request));
        if goes_on {
            hostcalls::resume_request()
        } else {
            Ok(())
        }
    });
    if let Err(error) = resumed {
        warn!("a held request could not be resumed: {error}");
    }
}
