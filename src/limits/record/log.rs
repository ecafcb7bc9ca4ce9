//! A compressed sliding log: an account's use of the last window, in at most about 61 grains.
//!
//! An event joins the newest grain while that grain is younger than 1/60 of the window, and moves
//! the grain's expiry to its own. So no event expires early (never over a limit), and no event
//! counts more than 1/60 of the window too long. Accounts with less than one event in 1/60 of a
//! window get an exact log.
//!
//! Clock readings are truncated to milliseconds, so an event counts for one millisecond more than
//! the window. Events less than a window apart by the true clock always count together.
//!
//! ```text
//! units  = the columns (bits 0 to 4), bit 7: amounts of a grain have 8 bytes, not 4
//! body   = window (4: id) length (4: ms) begun (8: monotonic ms) newest_first (4: ms from begun)
//!          sum (8) for each column, grain ...
//! grain  = last (4: ms from begun) amount (4 or 8) for each column
//! ```
//! `begun` is the time of the first event since the log was empty; `last` that of a grain's newest
//! event, with which the grain expires; `newest_first` that of the newest grain's first event. The
//! sums make an admission independent of the number of grains. The stored length is the longest
//! that any config of the namespace counts this window in, so that no config drops the events of
//! another.

use super::section::HEAD;
use super::weight;
use crate::limits::units::{Unit, Units};
use crate::shared::fields::{u32_at, u64_at};
use crate::time::{Mono, Span};

pub(super) const WINDOW: usize = HEAD;
pub(super) const LENGTH: usize = 12;
pub(super) const BEGUN: usize = 16;
pub(super) const NEWEST_FIRST: usize = 24;
pub(super) const SUMS: usize = 28;
/// The bit of `units` for amounts of eight bytes.
const WIDE: u8 = 0x80;

/// Returns the moment from which an event at `at` no longer counts.
pub(super) fn expiry(at: Mono, window: Span) -> Mono {
    at.after(window).after(Span::from_millis(1))
}

/// A section with a log.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a>(pub(super) &'a [u8]);

/// The places of a log's parts, relative to its section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub units: Units,
    pub wide: bool,
}

impl Shape {
    pub fn of(section: &[u8]) -> Self {
        let bits = section.get(1).copied().unwrap_or(0);
        Self {
            units: Units::from_bits(bits),
            wide: bits & WIDE != 0,
        }
    }

    pub const fn bits(self) -> u8 {
        let wide = if self.wide { WIDE } else { 0 };
        self.units.bits() | wide
    }

    pub const fn amount(self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    pub const fn grain(self) -> usize {
        let columns = self.units.count();
        columns.saturating_mul(self.amount()).saturating_add(4)
    }

    pub const fn first_grain(self) -> usize {
        SUMS.saturating_add(self.units.count().saturating_mul(8))
    }

    pub const fn sum_at(column: usize) -> usize {
        SUMS.saturating_add(column.saturating_mul(8))
    }
}

impl<'a> Log<'a> {
    /// True when the section has a window and at least one whole grain.
    pub(super) fn has_shape(&self) -> bool {
        let shape = Shape::of(self.0);
        let grains = self.0.len().saturating_sub(shape.first_grain());
        let has_grains = grains > 0 && grains.checked_rem(shape.grain()) == Some(0);
        let first = self.grains().next().map(|grain| grain.last);
        !shape.units.is_empty() && has_grains && first <= Some(self.newest())
    }

    /// Checks the order of the grains and the sums.
    pub(super) fn is_valid(&self) -> bool {
        let lasts = || self.grains().map(|grain| grain.last);
        let ordered = lasts().zip(lasts().skip(1)).all(|(a, b)| a <= b);
        let first = self.newest_first() <= self.newest();
        let sums = Shape::of(self.0).units.iter().all(|unit| {
            let amounts = self.grains().map(|grain| grain.amount(unit));
            amounts.fold(0, u64::saturating_add) == self.sum(unit)
        });
        ordered && first && sums && self.begun() <= self.newest()
    }

    /// Returns the window's id.
    pub fn window(&self) -> u32 {
        u32_at(self.0, WINDOW)
    }

    /// Returns the stored length of the window.
    pub fn length(&self) -> Span {
        Span::from_millis(u32_at(self.0, LENGTH).into())
    }

    pub(super) fn begun(&self) -> Mono {
        Mono::from_millis(u64_at(self.0, BEGUN))
    }

    pub(super) fn newest_first(&self) -> Mono {
        self.begun()
            .after(Span::from_millis(u32_at(self.0, NEWEST_FIRST).into()))
    }

    /// Returns the time of the newest event.
    pub fn newest(&self) -> Mono {
        let grain = Shape::of(self.0).grain();
        let at = self.0.len().saturating_sub(grain);
        self.begun()
            .after(Span::from_millis(u32_at(self.0, at).into()))
    }

    /// Returns the moment from which the log is empty, if nothing more happens.
    pub fn expires_at(&self) -> Mono {
        expiry(self.newest(), self.length())
    }

    /// Returns the grains, oldest first.
    pub fn grains(&self) -> impl DoubleEndedIterator<Item = Grain<'a>> + use<'a> {
        let (shape, begun) = (Shape::of(self.0), self.begun());
        let grains = self.0.get(shape.first_grain()..).unwrap_or_default();
        grains.chunks_exact(shape.grain()).map(move |bytes| Grain {
            last: begun.after(Span::from_millis(u32_at(bytes, 0).into())),
            bytes,
            shape,
        })
    }

    pub(super) fn sum(&self, unit: Unit) -> u64 {
        let column = Shape::of(self.0).units.column(unit);
        column.map_or(0, |column| u64_at(self.0, Shape::sum_at(column)))
    }

    /// Returns the sum of a unit over `window`; the log must be advanced to `now`.
    ///
    /// Where another config counts the window longer, the older grains do not count.
    #[inline]
    pub fn used(&self, now: Mono, window: Span, unit: Unit) -> u64 {
        if window >= self.length() {
            return self.sum(unit);
        }
        let live = self.live(now, window).map(|grain| grain.amount(unit));
        live.fold(0, u64::saturating_add)
    }

    /// Returns the grains that count in `window`.
    fn live(&self, now: Mono, window: Span) -> impl DoubleEndedIterator<Item = Grain<'a>> {
        self.grains()
            .filter(move |grain| now < expiry(grain.last, window))
    }

    /// Returns the time until `need` more fits under `limit`; zero when it fits now.
    ///
    /// `None` when `need` alone is over `limit`.
    pub fn wait(&self, now: Mono, window: Span, unit: Unit, need: u64, limit: u64) -> Option<Span> {
        let room = limit.checked_sub(need)?;
        let mut used = self.used(now, window, unit);
        let mut at = now;
        let mut grains = self.live(now, window);
        while used > room {
            let grain = grains.next()?;
            used = used.saturating_sub(grain.amount(unit));
            at = expiry(grain.last, window);
        }
        Some(at.since(now))
    }

    /// Returns the time until nothing of a unit is used, if nothing more happens.
    #[inline]
    pub fn resets_in(&self, now: Mono, window: Span, unit: Unit) -> Span {
        let mut used = self.live(now, window).rev();
        used.find(|grain| grain.amount(unit) > 0)
            .map_or(Span::ZERO, |grain| expiry(grain.last, window).since(now))
    }

    /// Returns the log's part of a record's worth, in tokens.
    pub(super) fn weight(&self) -> u64 {
        weight(|unit| self.sum(unit))
    }
}

/// Events that expire together.
#[derive(Clone, Copy, Debug)]
pub struct Grain<'a> {
    /// The time of the newest event, with which the grain expires.
    pub last: Mono,
    bytes: &'a [u8],
    shape: Shape,
}

impl Grain<'_> {
    /// Returns the amount of a unit; zero for a unit without a column.
    pub fn amount(&self, unit: Unit) -> u64 {
        let Some(column) = self.shape.units.column(unit) else {
            return 0;
        };
        read_amount(self.bytes, 0, self.shape, column)
    }
}

pub(super) const fn amount_at(grain: usize, shape: Shape, column: usize) -> usize {
    let before = column.saturating_mul(shape.amount()).saturating_add(4);
    grain.saturating_add(before)
}

pub(super) fn read_amount(bytes: &[u8], grain: usize, shape: Shape, column: usize) -> u64 {
    let at = amount_at(grain, shape, column);
    match shape.wide {
        true => u64_at(bytes, at),
        false => u32_at(bytes, at).into(),
    }
}
