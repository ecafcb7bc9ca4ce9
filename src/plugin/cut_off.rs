//! The end of requests in flight on an edge that is cut off from its fleet (`cut_off: reset`).

use super::envoy::Envoy;
use super::exchange::Exchange;
use super::hostcalls;
use super::log::warn;
use super::worker::Worker;
use crate::host::{Clock as _, HostError};
use crate::time::Mono;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// The number of streams from which on those that ended are dropped.
const FEW: usize = 64;

/// The streams of one root context, where their end may be due.
#[derive(Debug, Default)]
pub struct OpenStreams {
    all: RefCell<Vec<(u32, Weak<RefCell<Exchange>>)>>,
    /// The number of streams at which the list is cleared of those that ended.
    full: std::cell::Cell<usize>,
}

impl OpenStreams {
    /// Registers the stream `id`.
    pub fn add(&self, id: u32, exchange: &Rc<RefCell<Exchange>>) {
        let Ok(mut all) = self.all.try_borrow_mut() else {
            return;
        };
        if all.len() >= self.full.get().max(FEW) {
            all.retain(|(_, exchange)| exchange.strong_count() > 0);
            self.full.set(all.len().saturating_mul(2));
        }
        all.push((id, Rc::downgrade(exchange)));
    }

    /// Ends the requests whose leases the store gives to others now. It comes last in a callback: the
    /// host takes calls after it for those of a stream.
    pub fn end_cut_off(&self, worker: &Worker) {
        let now = Envoy.mono();
        let since = worker.with_limiter(|limiter| limiter.cut_off_since(now));
        let Some(since) = since.flatten() else {
            return;
        };
        let due = self.leased_before(since);
        let ended = due.iter().filter(|id| match end(**id) {
            Ok(()) => true,
            Err(error) => {
                warn!("fleet: a request in flight could not be ended: {error}");
                false
            }
        });
        let ended = ended.count();
        if ended > 0 {
            warn!(
                "fleet: {ended} requests in flight were ended (cut_off: reset), since the service did not \
                 answer for {} s and gives their leases to other edges",
                now.since(since).as_secs_floor()
            );
        }
    }

    /// Takes the streams whose requests have had a lease since `since` or before.
    fn leased_before(&self, since: Mono) -> Vec<u32> {
        let mut due = Vec::new();
        if let Ok(mut all) = self.all.try_borrow_mut() {
            all.retain(|(id, exchange)| {
                let Some(exchange) = exchange.upgrade() else {
                    return false;
                };
                let leased = exchange
                    .try_borrow()
                    .is_ok_and(|one| one.is_leased_before(since));
                if leased {
                    due.push(*id);
                }
                !leased
            });
        }
        due
    }
}

fn end(id: u32) -> Result<(), HostError> {
    hostcalls::set_effective_context(id)?;
    hostcalls::close_stream()
}
