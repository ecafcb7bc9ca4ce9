//! A compressed sliding log: an account's use of the last window, in at most about 61 grains.
//!
//! An event joins the newest grain while that grain is younger than 1/60 of the window, and moves
//! the grain's expiry to its own. So no event expires early (never over a limit), and no event
//! counts more than 1/60 of the window too long. Accounts with less than one event in 1/60 of a
//! window get an exact log.
//!
//! Clock readings are truncated to milliseconds, so an event counts for one millisecond more than
//! the window. Events less than a window apart by the true clock always count together.

use crate::time::{Mono, Span};

/// The number of parts of a window.
const PARTS: u64 = 60;

/// Events that expire together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// The time of the newest event, with which the grain expires.
    pub last: Mono,
    /// Requests admitted.
    pub requests: u64,
    /// Tokens reserved or used.
    pub tokens: u64,
}

/// A column of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogColumn {
    /// Requests.
    Requests,
    /// Tokens.
    Tokens,
}

impl Grain {
    /// Returns the amount in a column.
    pub const fn get(&self, column: LogColumn) -> u64 {
        match column {
            LogColumn::Requests => self.requests,
            LogColumn::Tokens => self.tokens,
        }
    }
}

/// The sliding log of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The time of the newest grain's first event; decides whether the next event joins.
    pub newest_first: Mono,
    /// The time of the first event since the log was empty; older events are not in the log.
    pub begun: Mono,
    /// Grains in order of `last`, oldest first.
    pub grains: Vec<Grain>,
}

/// Returns the moment from which an event at `at` no longer counts.
fn expiry(at: Mono, window: Span) -> Mono {
    at.after(window).after(Span::from_millis(1))
}

fn grain_ms(window: Span) -> u64 {
    window.as_millis().div_euclid(PARTS).max(1)
}

impl Log {
    /// True when the log has no grain.
    pub fn is_empty(&self) -> bool {
        self.grains.is_empty()
    }

    /// Returns the time of the newest event; the clock's start for an empty log.
    pub fn newest(&self) -> Mono {
        self.grains.last().map_or(Mono::default(), |e| e.last)
    }

    /// Advances the log to `now`: drops expired grains and follows a clock that stepped back.
    ///
    /// A clock that reads earlier than the newest event has stepped back. The complete log then
    /// moves back too, so the account neither waits for the step nor gets a second quota.
    pub fn advance(&mut self, now: Mono, window: Span) {
        let step = self.newest().since(now);
        if step > Span::ZERO {
            for grain in &mut self.grains {
                grain.last = grain.last.before(step);
            }
            self.newest_first = self.newest_first.before(step);
            self.begun = self.begun.before(step);
        }
        self.grains.retain(|e| now < expiry(e.last, window));
    }

    /// Returns the sum of a column.
    pub fn used(&self, column: LogColumn) -> u64 {
        self.grains
            .iter()
            .fold(0, |sum: u64, e| sum.saturating_add(e.get(column)))
    }

    /// Charges tokens used beyond a reserve; the log must be advanced to `now`.
    ///
    /// The tokens join a young newest grain without moving its expiry, so a reported wait for
    /// requests stays true.
    pub fn charge(&mut self, now: Mono, window: Span, tokens: u64) {
        if let Some(newest) = self.grains.last_mut()
            && now.since(self.newest_first).as_millis() < grain_ms(window)
        {
            newest.tokens = newest.tokens.saturating_add(tokens);
        } else {
            self.add(now, window, 0, tokens);
        }
    }

    /// Records an event at `now`; the log must be advanced to `now`.
    pub fn add(&mut self, now: Mono, window: Span, requests: u64, tokens: u64) {
        if self.grains.is_empty() {
            self.begun = now;
        }
        if let Some(newest) = self.grains.last_mut()
            && now.since(self.newest_first).as_millis() < grain_ms(window)
        {
            newest.last = now;
            newest.requests = newest.requests.saturating_add(requests);
            newest.tokens = newest.tokens.saturating_add(tokens);
        } else {
            self.newest_first = now;
            self.grains.push(Grain {
                last: now,
                requests,
                tokens,
            });
        }
    }

    /// Refunds `tokens` to the grain of the event at `at`.
    ///
    /// An event that has expired or was cleared gets no refund: no later grain is refunded
    /// instead.
    pub fn refund(&mut self, now: Mono, window: Span, at: Mono, tokens: u64) {
        if now >= expiry(at, window) || at < self.begun {
            return;
        }
        if let Some(grain) = self.grains.iter_mut().find(|e| e.last >= at) {
            grain.tokens = grain.tokens.saturating_sub(tokens);
        }
    }

    /// Returns the time until `need` more fits under `limit`; zero when it fits now.
    ///
    /// `None` when `need` alone is over `limit`.
    pub fn wait(
        &self,
        now: Mono,
        window: Span,
        column: LogColumn,
        need: u64,
        limit: u64,
    ) -> Option<Span> {
        let room = limit.checked_sub(need)?;
        let mut used = self.used(column);
        let mut at = now;
        let mut grains = self.grains.iter();
        while used > room {
            let grain = grains.next()?;
            used = used.saturating_sub(grain.get(column));
            at = expiry(grain.last, window);
        }
        Some(at.since(now))
    }

    /// Returns the time until a column is empty, if nothing more happens.
    pub fn resets_in(&self, now: Mono, window: Span, column: LogColumn) -> Span {
        self.grains
            .iter()
            .rev()
            .find(|e| e.get(column) > 0)
            .map_or(Span::ZERO, |e| expiry(e.last, window).since(now))
    }

    /// Returns the moment from which the log is empty, if nothing more happens.
    pub fn expires_at(&self, window: Span) -> Mono {
        self.grains
            .last()
            .map_or(Mono::default(), |e| expiry(e.last, window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Span = Span::from_secs(60);

    fn at(ms: u64) -> Mono {
        Mono::from_millis(1_000_000 + ms)
    }

    #[test]
    fn slow_events_are_kept_apart_and_expire_one_by_one() {
        let mut log = Log::default();
        for s in [0, 5, 10] {
            log.add(at(s * 1000), W, 1, 100);
        }
        assert_eq!(log.grains.len(), 3);
        assert_eq!(
            log.wait(at(10_000), W, LogColumn::Requests, 1, 3),
            Some(Span::from_millis(50_001))
        );
        log.advance(at(60_000), W);
        assert_eq!(
            log.used(LogColumn::Requests),
            3,
            "a true minute has not passed"
        );
        log.advance(at(60_001), W);
        assert_eq!(log.used(LogColumn::Requests), 2);
    }

    #[test]
    fn an_hour_of_steady_events_stays_within_61_entries() {
        let mut log = Log::default();
        for ms in (0..3_600_000).step_by(7) {
            log.advance(at(ms), W);
            log.add(at(ms), W, 1, 1);
            assert!(log.grains.len() <= 61);
        }
    }

    #[test]
    fn a_refund_goes_to_the_entry_that_was_charged() {
        let mut log = Log::default();
        log.add(at(0), W, 1, 100);
        log.add(at(500), W, 1, 70);
        log.add(at(5_000), W, 1, 30);
        log.refund(at(5_000), W, at(0), 60);
        let tokens: Vec<u64> = log.grains.iter().map(|e| e.tokens).collect();
        assert_eq!(tokens, [110, 30]);
        log.advance(at(60_501), W);
        log.refund(at(60_501), W, at(0), 30);
        assert_eq!(
            log.used(LogColumn::Tokens),
            30,
            "what is gone is not refunded"
        );
    }

    #[test]
    fn what_was_cleared_is_not_refunded_out_of_what_came_later() {
        let mut log = Log::default();
        log.add(at(5_000), W, 1, 5_000);
        log.refund(at(6_000), W, at(0), 9_900);
        assert_eq!(log.used(LogColumn::Tokens), 5_000);
    }

    #[test]
    fn tokens_charged_late_do_not_move_the_wait_of_requests() {
        let mut log = Log::default();
        log.add(at(0), W, 3, 100);
        let told = log.wait(at(200), W, LogColumn::Requests, 1, 3);
        log.charge(at(900), W, 50);
        assert_eq!(log.wait(at(200), W, LogColumn::Requests, 1, 3), told);
        assert_eq!(log.used(LogColumn::Tokens), 150);
    }

    #[test]
    fn a_clock_that_steps_back_an_hour_moves_the_log_with_it() {
        let mut log = Log::default();
        let hour = Span::from_secs(3600);
        let late = at(0).after(hour);
        log.add(late, W, 3, 0);
        log.advance(at(0), W);
        assert_eq!(log.used(LogColumn::Requests), 3);
        let wait = log.wait(at(0), W, LogColumn::Requests, 1, 3);
        assert_eq!(wait, Some(Span::from_millis(60_001)));
    }

    #[test]
    fn more_than_the_limit_never_fits() {
        assert_eq!(
            Log::default().wait(at(0), W, LogColumn::Tokens, 11, 10),
            None
        );
    }
}
