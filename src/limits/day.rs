//! Tokens of a day: a calendar day with a UTC offset, or the sliding log over a longer window.

use super::terms::Reservation;
use crate::limits::window::{Log, LogColumn};
use crate::time::{Mono, Now, Span, Wall};

const DAY_MS: u64 = 86_400_000;

/// The meaning of a day, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// From midnight to midnight at a UTC offset.
    Calendar {
        /// Minutes east of UTC, -1439 to 1439.
        offset_minutes: i32,
    },
    /// A sliding log over a span of this length.
    Rolling(Span),
}

/// The use of a day by an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DayUse {
    /// No use.
    #[default]
    None,
    /// Tokens of one calendar day.
    Calendar {
        /// Days since the epoch, in the configured offset.
        number: u32,
        /// Tokens reserved or used on that day.
        tokens: u64,
        /// The time of the first tokens; earlier reservations are not refunded.
        begun: Mono,
    },
    /// Tokens of a rolling day.
    Rolling(Log),
}

/// Returns local milliseconds since the epoch.
fn local_ms(wall: Wall, offset_minutes: i32) -> u64 {
    wall.as_millis()
        .saturating_add_signed(i64::from(offset_minutes).saturating_mul(60_000))
}

/// Returns the number of the calendar day; `None` when the wall clock was not read.
fn number(now: Now, offset_minutes: i32) -> Option<u32> {
    let days = local_ms(now.wall?, offset_minutes).div_euclid(DAY_MS);
    Some(u32::try_from(days).unwrap_or(u32::MAX))
}

impl DayUse {
    /// Advances the day to `now`: drops the use of an earlier day and of the other kind of rule.
    ///
    /// After a clock's step back over one midnight the later day stays, so there is no second
    /// quota. A day further ahead came from a wrong clock; the use of that day moves to today.
    pub fn advance(&mut self, now: Now, rule: DayRule) {
        match (&mut *self, rule) {
            (Self::Calendar { number: stored, .. }, DayRule::Calendar { offset_minutes }) => {
                let Some(today) = number(now, offset_minutes) else {
                    return;
                };
                if *stored < today {
                    *self = Self::None;
                } else if stored.saturating_sub(today) > 1 {
                    *stored = today;
                }
            }
            (Self::Rolling(log), DayRule::Rolling(window)) => {
                log.advance(now.mono, window);
                if log.is_empty() {
                    *self = Self::None;
                }
            }
            (Self::None, _) => {}
            _ => *self = Self::None,
        }
    }

    /// Returns the tokens used, as of the last [`Self::advance`].
    pub fn used(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Calendar { tokens, .. } => *tokens,
            Self::Rolling(log) => log.used(LogColumn::Tokens),
        }
    }

    /// Adds tokens at `now`; the day must be advanced to `now`.
    pub fn add(&mut self, now: Now, rule: DayRule, amount: u64) {
        match rule {
            DayRule::Calendar { offset_minutes } => {
                if let Self::Calendar { tokens, .. } = self {
                    *tokens = tokens.saturating_add(amount);
                } else if let Some(number) = number(now, offset_minutes) {
                    *self = Self::Calendar {
                        number,
                        tokens: amount,
                        begun: now.mono,
                    };
                }
            }
            DayRule::Rolling(window) => {
                if !matches!(self, Self::Rolling(_)) {
                    *self = Self::Rolling(Log::default());
                }
                if let Self::Rolling(log) = self {
                    log.add(now.mono, window, 0, amount);
                }
            }
        }
    }

    /// Returns the calendar day that new tokens go to, for a later refund.
    pub fn label(&self) -> Option<u32> {
        match self {
            Self::Calendar { number, .. } => Some(*number),
            _ => None,
        }
    }

    /// Replaces the reserved tokens with `used`.
    ///
    /// A calendar day that has ended since keeps its reserve. The day of settlement is charged
    /// with all used tokens.
    pub fn settle(&mut self, now: Now, rule: DayRule, reservation: &Reservation, used: u64) {
        let Reservation {
            at,
            day: label,
            reserved,
            ..
        } = *reservation;
        let same_day = !matches!(rule, DayRule::Calendar { .. }) || self.label() == label;
        if !same_day {
            self.add(now, rule, used);
        } else if used > reserved {
            self.add(now, rule, used.saturating_sub(reserved));
        } else {
            let refund = reserved.saturating_sub(used);
            match self {
                Self::None => {}
                Self::Calendar { tokens, begun, .. } if at >= *begun => {
                    *tokens = tokens.saturating_sub(refund);
                }
                Self::Calendar { .. } => {}
                Self::Rolling(log) => {
                    if let DayRule::Rolling(window) = rule {
                        log.refund(now.mono, window, at, refund);
                    }
                }
            }
        }
    }

    /// Returns the time until `need` more fits under `limit`; zero when it fits now, `None` when
    /// it never fits.
    pub fn wait(&self, now: Now, rule: DayRule, need: u64, limit: u64) -> Option<Span> {
        let room = limit.checked_sub(need)?;
        if self.used() <= room {
            return Some(Span::ZERO);
        }
        match (self, rule) {
            (Self::Rolling(log), DayRule::Rolling(window)) => {
                log.wait(now.mono, window, LogColumn::Tokens, need, limit)
            }
            _ => Some(self.resets_in(now, rule)),
        }
    }

    /// Returns the time until nothing is used, if nothing more happens.
    pub fn resets_in(&self, now: Now, rule: DayRule) -> Span {
        match (self, rule) {
            (Self::Calendar { number, .. }, DayRule::Calendar { offset_minutes }) => {
                let end = u64::from(*number).saturating_add(1).saturating_mul(DAY_MS);
                let left = now.wall.map_or(DAY_MS, |wall| {
                    end.saturating_sub(local_ms(wall, offset_minutes))
                });
                Span::from_millis(left)
            }
            (Self::Rolling(log), DayRule::Rolling(window)) => {
                log.resets_in(now.mono, window, LogColumn::Tokens)
            }
            _ => Span::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: DayRule = DayRule::Calendar { offset_minutes: 0 };

    fn now(wall_ms: u64) -> Now {
        Now {
            mono: Mono::from_millis(5_000_000),
            wall: Some(Wall::from_millis(wall_ms)),
        }
    }

    fn reservation(day: &DayUse, at: Now, reserved: u64) -> Reservation {
        Reservation {
            at: at.mono,
            day: day.label(),
            reserved,
            holder: None,
        }
    }

    #[test]
    fn a_calendar_day_ends_at_local_midnight() {
        let rule = DayRule::Calendar {
            offset_minutes: 480,
        };
        let evening = now(15 * 3_600_000);
        let mut day = DayUse::default();
        day.add(evening, rule, 70);
        assert_eq!(
            day.wait(evening, rule, 40, 100),
            Some(Span::from_secs(3600))
        );
        day.advance(now(16 * 3_600_000 - 1), rule);
        assert_eq!(day.used(), 70);
        day.advance(now(16 * 3_600_000), rule);
        assert_eq!(day.used(), 0);
    }

    #[test]
    fn a_step_back_over_midnight_gives_no_second_quota() {
        let mut day = DayUse::default();
        day.add(now(DAY_MS + 10), UTC, 100);
        day.advance(now(DAY_MS - 3_600_000), UTC);
        assert_eq!(day.used(), 100);
        day.advance(now(DAY_MS + 20), UTC);
        assert_eq!(day.used(), 100, "the same day, come to again");
        day.advance(now(2 * DAY_MS), UTC);
        assert_eq!(day.used(), 0);
    }

    #[test]
    fn a_clock_that_was_a_year_ahead_does_not_block_for_a_year() {
        let mut day = DayUse::default();
        day.add(now(365 * DAY_MS), UTC, 100);
        day.advance(now(5 * DAY_MS), UTC);
        assert_eq!(day.used(), 100);
        day.advance(now(6 * DAY_MS), UTC);
        assert_eq!(day.used(), 0);
    }

    #[test]
    fn usage_of_a_day_that_ended_is_charged_to_the_day_of_settlement() {
        let mut day = DayUse::default();
        let (eve, morning) = (now(DAY_MS - 5), now(DAY_MS + 5));
        day.add(eve, UTC, 100);
        let reservation = reservation(&day, eve, 100);
        day.advance(morning, UTC);
        day.settle(morning, UTC, &reservation, 30);
        assert_eq!(day.used(), 30);
    }
    #[test]
    fn a_settlement_on_the_same_day_refunds_or_charges_the_difference() {
        for rule in [UTC, DayRule::Rolling(Span::from_millis(DAY_MS))] {
            for used in [0, 30, 100, 170] {
                let noon = now(12 * 3_600_000);
                let mut day = DayUse::default();
                day.add(noon, rule, 100);
                let reservation = reservation(&day, noon, 100);
                day.add(noon, rule, 5);
                day.settle(noon, rule, &reservation, used);
                assert_eq!(day.used(), used + 5, "{rule:?}");
            }
        }
    }

    #[test]
    fn a_refund_from_before_a_reset_takes_nothing_of_what_came_after() {
        let noon = now(12 * 3_600_000);
        let later = Now {
            mono: noon.mono.after(Span::from_secs(1)),
            ..noon
        };
        let mut day = DayUse::default();
        day.add(noon, UTC, 100);
        let reservation = reservation(&day, noon, 100);
        day = DayUse::None;
        day.add(later, UTC, 7);
        day.settle(later, UTC, &reservation, 0);
        assert_eq!(day.used(), 7);
    }

    #[test]
    fn a_rolling_day_resets_a_day_after_its_last_tokens() {
        let rule = DayRule::Rolling(Span::from_millis(DAY_MS));
        let mut day = DayUse::default();
        day.add(now(0), rule, 100);
        let resets_in = day.resets_in(now(0), rule).as_millis();
        assert!((DAY_MS..=DAY_MS + 1).contains(&resets_in), "{resets_in}");
        assert_eq!(DayUse::None.resets_in(now(0), rule), Span::ZERO);
    }
}
