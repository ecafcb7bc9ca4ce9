//! Tells whether the host delivers a request's body while its headers are paused.
//!
//! Without `allow_on_headers_stop_iteration: true` in the plugin's config, Envoy keeps the body
//! back while headers are paused. No host call reports the setting, so the filter learns it from
//! the first requests. After several missing bodies in a row, later requests no longer pause their
//! headers.

use super::log::warn;
use crate::time::{Mono, Span};
use std::cell::Cell;

/// The time after which a body counts as missing.
const PATIENCE: Span = Span::from_secs(1);
/// The missing bodies in a row that decide: a single one may be a slow client.
const ENOUGH: u32 = 2;
/// The time for which a finding that bodies do not come is kept.
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
    /// True when headers are paused until the body is here.
    pub fn holds_headers(&self) -> bool {
        self.gives.get() != HostGivesBodies::No
    }

    /// True when the host is known to deliver bodies, so that every wait for a body ends.
    pub fn is_certain(&self) -> bool {
        self.gives.get() == HostGivesBodies::Yes
    }

    /// True when a body awaited since `since` counts as missing.
    pub fn is_overdue(since: Mono, now: Mono) -> bool {
        now.since(since) >= PATIENCE
    }

    /// Records a body that came while the headers were paused: the host delivers bodies.
    pub fn body_came(&self) {
        self.missed.set(0);
        self.gives.set(HostGivesBodies::Yes);
    }

    /// Records a body that did not come in time.
    pub fn body_missed(&self, now: Mono) {
        self.missed.set(self.missed.get().saturating_add(1));
        if self.missed.get() < ENOUGH || self.gives.get() == HostGivesBodies::No {
            return;
        }
        self.gives.set(HostGivesBodies::No);
        self.found_out.set(now);
        warn!(
            "read_body: Envoy keeps bodies back while headers are held; set \
             allow_on_headers_stop_iteration. Until then requests are checked when their headers \
             have gone on"
        );
    }

    /// Drops an old finding that bodies do not come, so that the next requests test the host again.
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
