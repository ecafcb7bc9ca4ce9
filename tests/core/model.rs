//! The sliding log as a list of grains, beside which the stored form is tested.
//!
//! A compressed sliding log: an account's use of the last window, in at most about 61 grains.
//!
//! An event joins the newest grain while that grain is younger than 1/60 of the window, and moves
//! the grain's expiry to its own. So no event expires early (never over a limit), and no event
//! counts more than 1/60 of the window too long. Accounts with less than one event in 1/60 of a
//! window get an exact log.
//!
//! Clock readings are truncated to milliseconds, so an event counts for one millisecond more than
//! the window. Events less than a window apart by the true clock always count together.

use tiergate::time::{Mono, Span};

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
        // A log of which nothing is left is dropped.
        if self.grains.iter().all(|e| e.requests == 0 && e.tokens == 0) {
            self.grains.clear();
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
}
