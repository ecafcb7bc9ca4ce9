//! Whether the host hands over the bodies of requests whose headers are held.
//!
//! Without `allow_on_headers_stop_iteration: true` in the plugin's config, Envoy keeps the body back
//! while headers are held, and no host call tells whether it is set. So the first requests find
//! out: when several bodies in a row do not come, later requests go on with their headers.

use super::log::warn;
use crate::time::{Mono, Span};
use std::cell::Cell;

/// The time after which a body is taken not to come.
const PATIENCE: Span = Span::from_secs(1);
/// Bodies in a row that must not come: a single one may be a slow client.
const ENOUGH: u32 = 2;
/// The time for which the filter believes that bodies do not come.
const BELIEVED: Span = Span::from_secs(60);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HostGivesBodies {
    #[default]
    Unknown,
    Yes,
    No,
}

/// The knowledge of one root context about its host.
#[derive(Debug, Default)]
pub struct BodyWait {
    gives: Cell<HostGivesBodies>,
    /// Bodies in a row that did not come.
    missed: Cell<u32>,
    /// The time at which `gives` became `No`.
    found_out: Cell<Mono>,
}

impl BodyWait {
    /// Whether headers are to be held until the body is here.
    pub fn holds_headers(&self) -> bool {
        self.gives.get() != HostGivesBodies::No
    }

    /// Whether the host is known to hand bodies over, so that every wait ends by itself.
    pub fn is_certain(&self) -> bool {
        self.gives.get() == HostGivesBodies::Yes
    }

    /// Whether a body awaited since `since` is taken not to come.
    pub fn is_overdue(since: Mono, now: Mono) -> bool {
        now.since(since) >= PATIENCE
    }

    /// Notes a body that came while the headers were held, which settles the matter.
    pub fn body_came(&self) {
        self.missed.set(0);
        self.gives.set(HostGivesBodies::Yes);
    }

    /// Notes a body that did not come in time.
    pub fn body_missed(&self, now: Mono) {
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

    /// Forgets an old finding that bodies do not come, so that the next requests find out anew.
    pub fn tick(&self, now: Mono) {
        if self.gives.get() == HostGivesBodies::No && now.since(self.found_out.get()) >= BELIEVED {
            self.gives.set(HostGivesBodies::Unknown);
            self.missed.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono::from_millis(1_000);

    #[test]
    fn one_slow_client_does_not_decide_and_two_in_a_row_do() {
        let bodies = BodyWait::default();
        bodies.body_missed(START);
        assert!(bodies.holds_headers());
        bodies.body_missed(START);
        assert!(!bodies.holds_headers());
    }

    #[test]
    fn a_body_that_comes_decides_for_good() {
        let bodies = BodyWait::default();
        bodies.body_missed(START);
        bodies.body_came();
        assert!(bodies.is_certain());
        bodies.body_missed(START);
        assert!(bodies.holds_headers(), "the row began anew");
    }

    #[test]
    fn the_finding_is_forgotten_after_a_minute() {
        let bodies = BodyWait::default();
        bodies.body_missed(START);
        bodies.body_missed(START);
        bodies.tick(START.after(Span::from_millis(59_999)));
        assert!(!bodies.holds_headers());
        bodies.tick(START.after(BELIEVED));
        assert!(bodies.holds_headers() && !bodies.is_certain());
    }

    #[test]
    fn a_body_is_overdue_after_a_second() {
        let almost = START.after(Span::from_millis(999));
        assert!(!BodyWait::is_overdue(START, almost));
        assert!(BodyWait::is_overdue(START, START.after(PATIENCE)));
    }
}
