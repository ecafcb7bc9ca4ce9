//! The use of one calendar period, such as a day.
//!
//! ```text
//! units  = the columns (bits 0 to 4)
//! body   = calendar (1) last (3: s from begun, rounded up) begun (8: monotonic ms)
//!          ends_at (8: wall ms) sum (8) for each column
//! ```
//! A period is named by its end, on the wall clock: that tells periods of two time zones apart, and
//! any code when it is over. `begun` is the time of the first use, `last` that of the latest.
//! Reservations before `begun` get no refund.

use super::section::{HEAD, PERIOD, Section, drop_section, grow};
use super::{FamilyKey, Record, weight};
use crate::limits::day::DayRule;
use crate::limits::units::{Amounts, Unit, Units};
use crate::shared::fields::{put, u64_at};
use crate::time::{Mono, Now, Span, Wall};
use crate::zone::Calendar;

const CALENDAR: usize = HEAD;
const LAST: usize = 9;
const BEGUN: usize = 12;
const ENDS_AT: usize = 20;
const SUMS: usize = 28;

/// The time left of a period for a decision that did not read the wall clock.
pub(super) const UNKNOWN: Span = Span::from_secs(86_400);

/// A section with a period.
#[derive(Clone, Copy, Debug)]
pub struct Period<'a>(pub(super) &'a [u8]);

impl Period<'_> {
    /// True when the section has a calendar and a sum for each column.
    pub(super) fn has_shape(&self) -> bool {
        let columns = self.units().count();
        columns > 0 && self.0.len() == SUMS.saturating_add(columns.saturating_mul(8))
    }

    /// True when the period is one of this calendar.
    pub(super) fn is(&self, calendar: Calendar) -> bool {
        self.0.get(CALENDAR) == Some(&code(calendar))
    }

    /// Returns the calendar; `None` for one of newer code.
    pub fn calendar(&self) -> Option<Calendar> {
        let mut all = CALENDARS.into_iter();
        all.find(|calendar| self.is(*calendar))
    }

    fn units(&self) -> Units {
        Units::from_bits(self.0.get(1).copied().unwrap_or(0))
    }

    fn begun(&self) -> Mono {
        Mono::from_millis(u64_at(self.0, BEGUN))
    }

    /// Returns the time of the latest use, up to a second late.
    fn last(&self) -> Mono {
        let [a, b, c] = self
            .0
            .get(LAST..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .unwrap_or_default();
        let seconds = u32::from_le_bytes([a, b, c, 0]);
        self.begun().after(Span::from_secs(seconds.into()))
    }

    /// Returns the end of the period.
    pub fn ends_at(&self) -> Wall {
        Wall::from_millis(u64_at(self.0, ENDS_AT))
    }

    /// Returns the time left of the period.
    pub fn left(&self, wall: Wall) -> Span {
        let left = self.ends_at().as_millis().saturating_sub(wall.as_millis());
        Span::from_millis(left)
    }

    /// Returns the use of a unit, as of the last [`Record::advance`].
    pub fn used(&self, unit: Unit) -> u64 {
        let column = self.units().column(unit);
        column.map_or(0, |column| u64_at(self.0, sum_at(column)))
    }

    /// Returns the time until `need` more fits under `limit`; zero when it fits now, `None` when
    /// it never fits.
    pub fn wait(&self, now: Now, unit: Unit, need: u64, limit: u64) -> Option<Span> {
        let room = limit.checked_sub(need)?;
        match self.used(unit) <= room {
            true => Some(Span::ZERO),
            false => Some(self.resets_in(now)),
        }
    }

    /// Returns the time until nothing is used, if nothing more happens.
    pub fn resets_in(&self, now: Now) -> Span {
        now.wall.map_or(UNKNOWN, |wall| self.left(wall))
    }

    /// Returns the period's part of a record's worth, in tokens.
    pub(super) fn weight(&self) -> u64 {
        weight(|unit| self.used(unit))
    }
}

/// All calendars.
pub const CALENDARS: [Calendar; 3] = [Calendar::Day, Calendar::Week, Calendar::Month];

/// The calendar's number in stored bytes.
const fn code(calendar: Calendar) -> u8 {
    match calendar {
        Calendar::Day => 1,
        Calendar::Week => 2,
        Calendar::Month => 3,
    }
}

const fn sum_at(column: usize) -> usize {
    SUMS.saturating_add(column.saturating_mul(8))
}

/// Advances a period to `now`: drops one that is over. Returns where the next section begins.
///
/// After a clock's step back over one end the later period stays, so there is no second quota. Any
/// other end belongs to another time zone or to a wrong clock: then the use counts for the present
/// period, unless all of it was before.
pub(super) fn advance(bytes: &mut Vec<u8>, section: &Section, now: Now, rule: DayRule) -> usize {
    let (Some(wall), DayRule::Calendar { zone }) = (now.wall, rule) else {
        return section.end();
    };
    let period = Period(section.of(bytes));
    let (ends_at, last) = (period.ends_at(), period.last());
    if ends_at <= wall {
        return drop_section(bytes, section);
    }
    let Some(calendar) = period.calendar() else {
        return section.end();
    };
    let present = zone.period(calendar, wall);
    if ends_at == present.ends_at || ends_at == zone.period(calendar, present.ends_at).ends_at {
        return section.end();
    }
    let since = now.mono.since(last).as_millis();
    if wall.as_millis().saturating_sub(since) < present.starts_at.as_millis() {
        return drop_section(bytes, section);
    }
    let at = section.at.saturating_add(ENDS_AT);
    put(bytes, at, present.ends_at.as_millis().to_le_bytes());
    section.end()
}

/// Drops a period that is over, in any time zone. Returns where the next section begins.
pub(super) fn drop_ended(bytes: &mut Vec<u8>, section: &Section, now: Now) -> usize {
    let ends_at = Period(section.of(bytes)).ends_at();
    match now.wall.is_some_and(|wall| ends_at <= wall) {
        true => drop_section(bytes, section),
        false => section.end(),
    }
}

impl Record {
    /// Adds amounts to a period with the columns `units` at least; the record must be advanced.
    pub fn add_to_period(
        &mut self,
        now: Now,
        family: FamilyKey,
        (calendar, rule): (Calendar, DayRule),
        units: Units,
        amounts: &Amounts,
    ) {
        let Some(wall) = now.wall else { return };
        let mut section = match self.find_period(family, calendar) {
            Some(section) => section,
            None => {
                let section = self.append(PERIOD, 0, family, SUMS);
                let at = |field: usize| section.at.saturating_add(field);
                put(&mut self.bytes, at(CALENDAR), [code(calendar)]);
                let (begun, ends_at) = (
                    now.mono.as_millis(),
                    rule.ends_at(calendar, wall).as_millis(),
                );
                put(&mut self.bytes, at(BEGUN), begun.to_le_bytes());
                put(&mut self.bytes, at(ENDS_AT), ends_at.to_le_bytes());
                section
            }
        };
        self.widen(&mut section, units);
        let period = Period(section.of(&self.bytes));
        let units = period.units();
        let last = now.mono.since(period.begun()).as_secs_ceil().min(0xff_ffff);
        let [a, b, c, ..] = last.to_le_bytes();
        put(&mut self.bytes, section.at.saturating_add(LAST), [a, b, c]);
        for (column, unit) in (0..).zip(units.iter()) {
            let at = section.at.saturating_add(sum_at(column));
            let sum = u64_at(&self.bytes, at).saturating_add(amounts.get(unit));
            put(&mut self.bytes, at, sum.to_le_bytes());
        }
    }

    /// Replaces the reserve of the event at `at` with what was used.
    ///
    /// A period that has ended since keeps its reserve. The period of settlement is charged with
    /// all that was used. After a reset, only what was used beyond the reserve counts.
    pub fn settle_period(
        &mut self,
        now: Now,
        family: FamilyKey,
        (calendar, rule): (Calendar, DayRule),
        units: Units,
        settled: &Settled<'_>,
    ) {
        let Settled {
            at,
            ends_at,
            reserved,
            used,
        } = *settled;
        let section = self.find_period(family, calendar);
        let stored = section.map(|section| Period(section.of(&self.bytes)));
        let (present, begun) = match stored {
            Some(period) => (Some(period.ends_at()), period.begun()),
            None => (
                now.wall.map(|wall| rule.ends_at(calendar, wall)),
                Mono::default(),
            ),
        };
        if ends_at != present {
            // The request itself was one of the period before.
            let used = Amounts {
                requests: 0,
                ..*used
            };
            return self.add_to_period(now, family, (calendar, rule), units, &used);
        }
        let extra = used.over(reserved);
        if !extra.is_zero() {
            self.add_to_period(now, family, (calendar, rule), units, &extra);
        }
        if let Some(section) = section.filter(|_| at >= begun) {
            self.refund_period(&section, units, &reserved.over(used));
        }
    }

    /// Takes amounts from a period; a period of which nothing is left is dropped.
    fn refund_period(&mut self, section: &Section, counted: Units, amounts: &Amounts) {
        let Some(section) = Section::read(&self.bytes, section.at) else {
            return;
        };
        let units = Period(section.of(&self.bytes)).units();
        let mut left: u64 = 0;
        for (column, unit) in (0..).zip(units.iter()) {
            let at = section.at.saturating_add(sum_at(column));
            let refund = if counted.contains(unit) {
                amounts.get(unit)
            } else {
                0
            };
            let sum = u64_at(&self.bytes, at).saturating_sub(refund);
            put(&mut self.bytes, at, sum.to_le_bytes());
            left = left.saturating_add(sum);
        }
        if left == 0 {
            drop_section(&mut self.bytes, &section);
        }
    }

    /// Gives a period columns for all `units`.
    fn widen(&mut self, section: &mut Section, units: Units) {
        for unit in units.iter() {
            let present = Period(section.of(&self.bytes)).units();
            let all = present.with(unit);
            let Some(column) = all.column(unit).filter(|_| !present.contains(unit)) else {
                continue;
            };
            let at = section.at.saturating_add(sum_at(column));
            if grow(&mut self.bytes, section, at, 8) {
                put(&mut self.bytes, section.at.saturating_add(1), [all.bits()]);
            }
        }
    }
}

/// The end of a request that was admitted in a period.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The time of the admission.
    pub at: Mono,
    /// The end of the period that the request was admitted in.
    pub ends_at: Option<Wall>,
    /// The amounts that were reserved.
    pub reserved: &'a Amounts,
    /// The amounts that were used.
    pub used: &'a Amounts,
}
