//! Changes of a log: its bytes are edited in place.

use super::log::{
    BEGUN, LENGTH, Log, NEWEST_FIRST, SUMS, Shape, WINDOW, amount_at, expiry, read_amount,
};
use super::section::{LOG, Section, cut, drop_section, grow, set_len};
use super::{FamilyKey, Record, Window};
use crate::limits::units::{Amounts, Units};
use crate::shared::fields::{put, u32_at, u64_at};
use crate::time::{Mono, Span};

/// The number of parts of a window.
const PARTS: u64 = 60;

/// Advances a log to `now`: drops expired grains and follows a clock that stepped back. Returns
/// where the next section begins.
///
/// A clock that reads earlier than the newest event has stepped back. The complete log then moves
/// back too, so the account neither waits for the step nor gets a second quota.
pub(super) fn advance(bytes: &mut Vec<u8>, mut section: Section, now: Mono) -> usize {
    let log = Log(section.of(bytes));
    let step = log.newest().since(now);
    let (begun, window, shape) = (log.begun(), log.length(), Shape::of(log.0));
    if step > Span::ZERO {
        let begun = begun.before(step).as_millis();
        put(bytes, section.at.saturating_add(BEGUN), begun.to_le_bytes());
    }
    let log = Log(section.of(bytes));
    let expired = log
        .grains()
        .take_while(|grain| now >= expiry(grain.last, window))
        .count();
    if expired == 0 {
        return section.end();
    }
    for (column, unit) in (0..).zip(shape.units.iter()) {
        let log = Log(section.of(bytes));
        let amounts = log.grains().take(expired).map(|grain| grain.amount(unit));
        let gone = amounts.fold(0, u64::saturating_add);
        let left = log.sum(unit).saturating_sub(gone);
        let at = section.at.saturating_add(Shape::sum_at(column));
        put(bytes, at, left.to_le_bytes());
    }
    let first = section.at.saturating_add(shape.first_grain());
    let gone = expired.saturating_mul(shape.grain());
    cut(bytes, &mut section, first, gone);
    match section.len > shape.first_grain() {
        true => section.end(),
        false => drop_section(bytes, &section),
    }
}

impl Record {
    /// Records an event of `amounts` at `now`, in a log with the columns `units` at least. The
    /// record must be advanced to `now`.
    pub fn add(
        &mut self,
        now: Mono,
        family: FamilyKey,
        window: Window,
        units: Units,
        amounts: &Amounts,
    ) {
        let crowded = self.crowded;
        let mut log = self.log_mut(now, family, window, units);
        if log.is_young(now) || (crowded && log.has_grains()) {
            log.join(amounts);
            log.touch(now);
        } else {
            log.push(now, amounts);
        }
    }

    /// Charges amounts used beyond a reserve; the record must be advanced to `now`.
    ///
    /// They join a young newest grain without moving its expiry, so a reported wait for requests
    /// stays true.
    pub fn charge(
        &mut self,
        now: Mono,
        family: FamilyKey,
        window: Window,
        units: Units,
        amounts: &Amounts,
    ) {
        let mut log = self.log_mut(now, family, window, units);
        if log.is_young(now) {
            log.join(amounts);
        } else {
            self.add(now, family, window, units, amounts);
        }
    }

    /// Refunds amounts to the grain of the event at `at`.
    ///
    /// Only `units`, which counted the event, get a refund. An event that has expired or was cleared
    /// gets none: no later grain is refunded instead. A log of which nothing is left is dropped.
    pub fn refund(
        &mut self,
        now: Mono,
        family: FamilyKey,
        window: Window,
        units: Units,
        (at, amounts): (Mono, &Amounts),
    ) {
        let Some(section) = self.find_log(family, window) else {
            return;
        };
        let log = Log(section.of(&self.bytes));
        if now >= expiry(at, log.length()) || at < log.begun() {
            return;
        }
        let grain = log.grains().position(|grain| grain.last >= at);
        let mut log = LogMut {
            bytes: &mut self.bytes,
            section,
        };
        if let Some(grain) = grain {
            log.take(grain, units, amounts);
        }
        if log.is_void() {
            drop_section(&mut self.bytes, &section);
        }
    }

    /// Returns the log of a window, made or widened as needed.
    fn log_mut(
        &mut self,
        now: Mono,
        family: FamilyKey,
        window: Window,
        units: Units,
    ) -> LogMut<'_> {
        let length = u32::try_from(window.length.as_millis()).unwrap_or(u32::MAX);
        let Some(section) = self.find_log(family, window) else {
            let shape = Shape { units, wide: false };
            let section = self.append(LOG, shape.bits(), family, shape.first_grain());
            let at = section.at;
            put(
                &mut self.bytes,
                at.saturating_add(WINDOW),
                window.id.to_le_bytes(),
            );
            put(
                &mut self.bytes,
                at.saturating_add(LENGTH),
                length.to_le_bytes(),
            );
            let begun = now.as_millis().to_le_bytes();
            put(&mut self.bytes, at.saturating_add(BEGUN), begun);
            return LogMut {
                bytes: &mut self.bytes,
                section,
            };
        };
        let log = Log(section.of(&self.bytes));
        let (shape, stored) = (Shape::of(log.0), u32_at(log.0, LENGTH));
        let longest = stored.max(length);
        let at = section.at.saturating_add(LENGTH);
        put(&mut self.bytes, at, longest.to_le_bytes());
        let mut log = LogMut {
            bytes: &mut self.bytes,
            section,
        };
        if !shape.units.contains_all(units) {
            log.reshape(Shape {
                units: shape.units.union(units),
                ..shape
            });
        }
        log
    }
}

/// A log to be changed.
struct LogMut<'a> {
    bytes: &'a mut Vec<u8>,
    section: Section,
}

impl LogMut<'_> {
    fn log(&self) -> Log<'_> {
        Log(self.section.of(self.bytes))
    }

    fn shape(&self) -> Shape {
        Shape::of(self.log().0)
    }

    /// Returns the place of a field of the section.
    const fn at(&self, field: usize) -> usize {
        self.section.at.saturating_add(field)
    }

    fn newest_at(&self) -> usize {
        self.section.end().saturating_sub(self.shape().grain())
    }

    fn has_grains(&self) -> bool {
        self.section.len > self.shape().first_grain()
    }

    /// True when the newest grain takes another event.
    fn is_young(&self, now: Mono) -> bool {
        let log = self.log();
        let grain = log.length().as_millis().div_euclid(PARTS).max(1);
        self.has_grains() && now.since(log.newest_first()).as_millis() < grain
    }

    fn is_void(&self) -> bool {
        let log = self.log();
        self.shape().units.iter().all(|unit| log.sum(unit) == 0)
    }

    /// Returns `now` as an offset from `begun`; moves `begun` when the offset has no room.
    fn offset(&mut self, now: Mono) -> u32 {
        let begun = self.log().begun();
        if let Ok(offset) = u32::try_from(now.since(begun).as_millis()) {
            return offset;
        }
        let oldest = self.log().grains().next().map_or(now, |grain| grain.last);
        self.rebase(oldest);
        u32::try_from(now.since(oldest).as_millis()).unwrap_or(u32::MAX)
    }

    /// Moves `begun` to the last event of the oldest grain. Earlier events of that grain get no
    /// refund any more; they are 49 days old.
    fn rebase(&mut self, begun: Mono) {
        let by = begun.since(self.log().begun()).as_millis();
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let at = self.at(BEGUN);
        put(self.bytes, at, begun.as_millis().to_le_bytes());
        let shape = self.shape();
        let first = self.at(shape.first_grain());
        let grains = (first..self.section.end()).step_by(shape.grain());
        for at in grains.chain([self.at(NEWEST_FIRST)]) {
            let offset = u32_at(self.bytes, at).saturating_sub(by);
            put(self.bytes, at, offset.to_le_bytes());
        }
    }

    fn touch(&mut self, now: Mono) {
        let offset = self.offset(now);
        let at = self.newest_at();
        put(self.bytes, at, offset.to_le_bytes());
    }

    /// Appends a grain.
    fn push(&mut self, now: Mono, amounts: &Amounts) {
        let offset = self.offset(now);
        let (end, grain) = (self.section.end(), self.shape().grain());
        if grow(self.bytes, &mut self.section, end, grain) {
            put(self.bytes, end, offset.to_le_bytes());
            let at = self.at(NEWEST_FIRST);
            put(self.bytes, at, offset.to_le_bytes());
        }
        self.join(amounts);
    }

    /// Adds amounts to the newest grain and to the sums.
    fn join(&mut self, amounts: &Amounts) {
        if !self.has_room(amounts) {
            self.reshape(Shape {
                wide: true,
                ..self.shape()
            });
        }
        let (shape, grain) = (self.shape(), self.newest_at());
        for (column, unit) in (0..).zip(shape.units.iter()) {
            let amount = amounts.get(unit);
            let before = read_amount(self.bytes, grain, shape, column);
            let after = before.saturating_add(amount);
            self.set(grain, column, before, after);
        }
    }

    /// Takes amounts from a grain and from the sums.
    fn take(&mut self, grain: usize, units: Units, amounts: &Amounts) {
        let shape = self.shape();
        let at = shape.first_grain();
        let at = self.at(at.saturating_add(grain.saturating_mul(shape.grain())));
        for unit in units.iter() {
            let Some(column) = shape.units.column(unit) else {
                continue;
            };
            let before = read_amount(self.bytes, at, shape, column);
            let after = before.saturating_sub(amounts.get(unit));
            self.set(at, column, before, after);
        }
    }

    /// Changes an amount, and its sum by the difference.
    fn set(&mut self, grain: usize, column: usize, before: u64, after: u64) {
        let shape = self.shape();
        let at = amount_at(grain, shape, column);
        match shape.wide {
            true => put(self.bytes, at, after.to_le_bytes()),
            false => {
                let narrow = u32::try_from(after).unwrap_or(u32::MAX);
                put(self.bytes, at, narrow.to_le_bytes());
            }
        }
        let at = self.at(Shape::sum_at(column));
        let sum = u64_at(self.bytes, at);
        let sum = sum.saturating_sub(before).saturating_add(after);
        put(self.bytes, at, sum.to_le_bytes());
    }

    /// True when the newest grain can take the amounts without wider columns.
    fn has_room(&self, amounts: &Amounts) -> bool {
        let (shape, grain) = (self.shape(), self.newest_at());
        shape.wide
            || (0..).zip(shape.units.iter()).all(|(column, unit)| {
                let before = read_amount(self.bytes, grain, shape, column);
                u32::try_from(before.saturating_add(amounts.get(unit))).is_ok()
            })
    }

    /// Rewrites the section with more columns, or with wider ones.
    fn reshape(&mut self, shape: Shape) {
        let old = self.log();
        let mut new = old.0.get(..SUMS).unwrap_or_default().to_vec();
        put(&mut new, 1, [shape.bits()]);
        for unit in shape.units.iter() {
            new.extend_from_slice(&old.sum(unit).to_le_bytes());
        }
        let begun = old.begun();
        for grain in old.grains() {
            let offset = grain.last.since(begun).as_millis();
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            new.extend_from_slice(&offset.to_le_bytes());
            for unit in shape.units.iter() {
                let amount = grain.amount(unit);
                let narrow = u32::try_from(amount).unwrap_or(u32::MAX);
                match shape.wide {
                    true => new.extend_from_slice(&amount.to_le_bytes()),
                    false => new.extend_from_slice(&narrow.to_le_bytes()),
                }
            }
        }
        let more = new.len().saturating_sub(self.section.len);
        let end = self.section.end();
        if grow(self.bytes, &mut self.section, end, more) {
            set_len(&mut new, 0, self.section.len);
            let section = self.section.at..self.section.end();
            let target = self.bytes.get_mut(section).unwrap_or_default();
            for (byte, new) in target.iter_mut().zip(new) {
                *byte = new;
            }
        }
    }
}
