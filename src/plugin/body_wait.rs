//! Tells whether the host delivers a request's body while its headers are paused.
//!
//! Without `allow_on_headers_stop_iteration: true` in the plugin's config, Envoy keeps the body
//! back while headers are paused. No host call reports the setting, so the filter learns it from
//! the first requests: headers whose body does not come go on without it. A host that kept the body
//! back then delivers it at once, which no slow client can imitate at will. After several such
//! bodies in a row, later requests no longer pause their headers.

use super::log::warn;
use crate::time::{Mono, Span};
use std::cell::Cell;

/// The time after which a body counts as missing.
const PATIENCE: Span = Span::from_secs(1);
/// The bodies in a row that the host kept back and that decide: one may be a coincidence.
const ENOUGH: u32 = 2;
/// The time after headers went on in which a body must come for the host to have kept it back.
const AT_ONCE: Span = Span::from_millis(10);
/// The time for which a finding that bodies do not come is kept.
const BELIEVED: Span = Span::from_secs(60);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HostGivesBodies {
    #[default]
    Unknown,
    Yes,
    No,
}

/// One look at all requests whose bodies are missing; it wraps around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GiveUpRound(u32);

/// The knowledge of one root context about its host.
#[derive(Debug, Default)]
pub struct BodyWait {
    gives: Cell<HostGivesBodies>,
    /// Bodies in a row that came as soon as their headers went on.
    kept_back: Cell<u32>,
    /// The last round in which headers went on without their bodies, and the time of its end.
    round: Cell<(GiveUpRound, Mono)>,
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
        self.kept_back.set(0);
        self.gives.set(HostGivesBodies::Yes);
    }

    /// Begins a round in which headers go on without their bodies.
    pub fn begin_round(&self) {
        let (GiveUpRound(round), at) = self.round.get();
        self.round.set((GiveUpRound(round.wrapping_add(1)), at));
    }

    /// Ends a round: the host delivers what it kept back from now on.
    pub fn end_round(&self, now: Mono) {
        self.round.set((self.round(), now));
    }

    /// Returns the last round.
    pub fn round(&self) -> GiveUpRound {
        self.round.get().0
    }

    /// Records the first piece of a body whose headers went on without it in that round. A host that
    /// kept it back delivers it at once. A later one was late itself.
    pub fn body_followed(&self, round: GiveUpRound, now: Mono) {
        let (last, ended_at) = self.round.get();
        if round != last || now.since(ended_at) > AT_ONCE {
            self.kept_back.set(0);
            return;
        }
        self.kept_back.set(self.kept_back.get().saturating_add(1));
        if self.kept_back.get() < ENOUGH || self.gives.get() != HostGivesBodies::Unknown {
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
            self.kept_back.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono::from_millis(1_000);

    /// A round that ends at that time.
    fn gives_up(bodies: &BodyWait, at: Mono) -> GiveUpRound {
        bodies.begin_round();
        bodies.end_round(at);
        bodies.round()
    }

    #[test]
    fn one_body_that_was_kept_back_does_not_decide_and_two_in_a_row_do() {
        let bodies = BodyWait::default();
        let round = gives_up(&bodies, START);
        bodies.body_followed(round, START);
        assert!(bodies.holds_headers());
        bodies.body_followed(round, START.after(AT_ONCE));
        assert!(!bodies.holds_headers());
    }

    #[test]
    fn bodies_of_slow_clients_never_decide() {
        let bodies = BodyWait::default();
        for _ in 0..100 {
            let round = gives_up(&bodies, START);
            bodies.body_followed(round, START.after(Span::from_millis(11)));
        }
        assert!(bodies.holds_headers());
    }

    /// Regression: it was the time of the last round that counted, whosever it was.
    #[test]
    fn a_late_body_is_late_just_after_the_round_of_others_too() {
        let bodies = BodyWait::default();
        for _ in 0..100 {
            let round = gives_up(&bodies, START);
            let other = gives_up(&bodies, START.after(Span::from_secs(1)));
            bodies.body_followed(round, START.after(Span::from_secs(1)));
            assert_ne!(round, other);
        }
        assert!(bodies.holds_headers());
    }

    #[test]
    fn a_late_body_ends_the_row() {
        let bodies = BodyWait::default();
        for _ in 0..100 {
            let round = gives_up(&bodies, START);
            bodies.body_followed(round, START);
            bodies.body_followed(round, START.after(Span::from_secs(1)));
        }
        assert!(bodies.holds_headers());
    }

    #[test]
    fn a_body_that_comes_decides_for_good() {
        let bodies = BodyWait::default();
        let round = gives_up(&bodies, START);
        bodies.body_followed(round, START);
        bodies.body_came();
        assert!(bodies.is_certain());
        for _ in 0..ENOUGH {
            bodies.body_followed(round, START);
        }
        assert!(bodies.is_certain());
    }

    #[test]
    fn the_finding_is_forgotten_after_a_minute() {
        let bodies = BodyWait::default();
        let round = gives_up(&bodies, START);
        bodies.body_followed(round, START);
        bodies.body_followed(round, START);
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
