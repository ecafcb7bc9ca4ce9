//! Requests whose headers Envoy holds until their body is read, and what to do where it never
//! hands the body over.
//!
//! Without `allow_on_headers_stop_iteration: true` in the plugin's config, Envoy keeps the body back
//! as well while headers are held, and no host call tells whether it is set. So the first requests
//! find out: when no body came for a while to any of them, the headers are not held any more.

use super::held::{self, HeldRequest, resume};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// Ticks that a request is held before its body is taken not to come.
const PATIENCE: u8 = 2;

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
    waiting: RefCell<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    id: u32,
    request: Weak<RefCell<dyn HeldRequest>>,
    ticks: u8,
}

impl BodyWait {
    /// Whether headers are to be held until the body is there.
    pub fn holds_headers(&self) -> bool {
        self.gives.get() != HostGivesBodies::No
    }

    /// A body came while headers were held: it is known now that they do.
    pub fn body_came(&self) {
        if self.gives.replace(HostGivesBodies::Yes) != HostGivesBodies::Yes {
            self.waiting.take();
        }
    }

    /// Looks after a request, unless it is known that bodies come.
    pub fn add(&self, id: u32, request: &held::Shared) {
        if self.gives.get() != HostGivesBodies::Yes
            && let Ok(mut waiting) = self.waiting.try_borrow_mut()
        {
            waiting.push(Waiting {
                id,
                request: Rc::downgrade(request),
                ticks: 0,
            });
        }
    }

    /// Lets requests go whose bodies do not come; returns them.
    pub fn tick(&self) -> Vec<(u32, held::Shared)> {
        let mut gone = Vec::new();
        for mut waiting in self.waiting.take() {
            waiting.ticks = waiting.ticks.saturating_add(1);
            let Some(request) = waiting.request.upgrade() else {
                continue;
            };
            if waiting.ticks <= PATIENCE {
                if let Ok(mut all) = self.waiting.try_borrow_mut() {
                    all.push(waiting);
                }
                continue;
            }
            if self.gives.replace(HostGivesBodies::No) == HostGivesBodies::Unknown {
                log::warn!(
                    "tiergate: read_body: Envoy keeps bodies back while headers are held; set \
                     allow_on_headers_stop_iteration. Until then requests are judged when their \
                     headers have gone on"
                );
            }
            resume(waiting.id, &request, |request| request.give_up_waiting());
            gone.push((waiting.id, request));
        }
        gone
    }
}
