//! Requests whose headers Envoy holds until their body is read, and what to do where it never
//! hands the body over.
//!
//! Without `allow_on_headers_stop_iteration: true` in the plugin's config, Envoy keeps the body back
//! as well while headers are held, and no host call tells whether it is set. So the first requests
//! find out: when no body came for a while to any of them, the headers are not held any more.

use super::envoy::Envoy;
use super::log::warn;
use super::paused::{self, PausedRequest, resume};
use crate::host::Clock as _;
use crate::time::{Mono, Span};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// How long a request is held before its body is taken not to come.
const PATIENCE: Span = Span::from_secs(1);
/// Requests in a row without a body that tell that none comes: one may be a slow client.
const ENOUGH: u32 = 2;
/// After this it is found out anew.
const BELIEVED: Span = Span::from_secs(60);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HostGivesBodies {
    #[default]
    Unknown,
    Yes,
    No,
}

/// The requests of one root context that wait for their bodies.
#[derive(Debug, Default)]
pub struct BodyWait {
    gives: Cell<HostGivesBodies>,
    /// Requests in a row whose bodies did not come.
    missed: Cell<u32>,
    /// When it was found out that bodies don't come.
    found_out: Cell<Mono>,
    waiting: RefCell<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    id: u32,
    request: Weak<RefCell<dyn PausedRequest>>,
    since: Mono,
}

impl BodyWait {
    /// Whether headers are to be held until the body is there.
    pub fn holds_headers(&self) -> bool {
        self.gives.get() != HostGivesBodies::No
    }

    /// A body came while headers were held: it is known now that they do.
    pub fn body_came(&self) {
        self.missed.set(0);
        if self.gives.replace(HostGivesBodies::Yes) != HostGivesBodies::Yes {
            self.waiting.take();
        }
    }

    /// Looks after a request, unless it is known that bodies come.
    pub fn add(&self, id: u32, request: &paused::Shared) {
        if self.gives.get() != HostGivesBodies::Yes
            && let Ok(mut waiting) = self.waiting.try_borrow_mut()
        {
            waiting.push(Waiting {
                id,
                request: Rc::downgrade(request),
                since: Envoy.mono(),
            });
        }
    }

    /// Lets requests go whose bodies do not come; returns them.
    pub fn tick(&self, now: Mono) -> Vec<(u32, paused::Shared)> {
        if self.gives.get() == HostGivesBodies::No && now.since(self.found_out.get()) >= BELIEVED {
            self.gives.set(HostGivesBodies::Unknown);
            self.missed.set(0);
        }
        let mut gone = Vec::new();
        for waiting in self.waiting.take() {
            let Some(request) = waiting.request.upgrade() else {
                continue;
            };
            if now.since(waiting.since) < PATIENCE {
                if let Ok(mut all) = self.waiting.try_borrow_mut() {
                    all.push(waiting);
                }
                continue;
            }
            self.body_missed(now);
            resume(waiting.id, &request, |request| request.give_up_waiting());
            gone.push((waiting.id, request));
        }
        gone
    }

    fn body_missed(&self, now: Mono) {
        self.missed.set(self.missed.get().saturating_add(1));
        if self.missed.get() < ENOUGH || self.gives.get() == HostGivesBodies::No {
            return;
        }
        self.gives.set(HostGivesBodies::No);
        self.found_out.set(now);
        warn!(
            "read_body: Envoy keeps bodies back while headers are held; set \
             allow_on_headers_stop_iteration. Until then requests are judged when their headers \
             have gone on"
        );
    }
}
