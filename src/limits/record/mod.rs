//! One account's complete state, as the bytes in which it is stored and edited.
//!
//! ```text
//! record  = section ...
//! section = tag (1) units (1) length (2, with this head) family (4) body
//! ```
//! Numbers are little endian. `family` is 0 for the account's own limits. Code keeps the sections
//! whose tag it does not know, so a later section is no new layout. Each section is a room of its
//! own: [`log`], [`period`], [`leases`], `completion`, `noticed` and `allowance`.

mod allowance;
mod completion;
pub mod leases;
pub mod log;
mod log_edit;
mod noticed;
pub mod period;
mod section;

use crate::limits::day::DayRule;
use crate::limits::lease::{Holder, Liveness};
use crate::limits::units::{CENT, Unit};
use crate::shared::fields::{insert, put};
use crate::time::{Mono, Now, Span};
use crate::zone::Calendar;
pub use completion::COMPLETION_BYTES;
use leases::Leases;
use log::Log;
pub use noticed::{Mark, noticed_bytes};
use period::Period;
use section::{
    ALLOWANCE, COMPLETION, HEAD, LEASES, LOG, NOTICED, PERIOD, RETIRED, Section, drop_section,
    retain, sections, set_len,
};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// A family of models, as sections name it; 0 for the account's own limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyKey(pub u32);

impl FamilyKey {
    /// The account's own limits.
    pub const ACCOUNT: Self = Self(0);

    /// Returns the key of a family's name: SipHash-2-4 without a key, cut to 32 bits; never that of
    /// the account.
    pub fn of(name: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(name.as_bytes());
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]).max(1))
    }
}

/// A sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The window's name in stored bytes: see [`window_id`].
    pub id: u32,
    /// The length.
    pub length: Span,
}

/// The names of windows in stored bytes. A custom window is named by its length, which is longer.
pub mod window_id {
    /// `windows.second`.
    pub const SECOND: u32 = 1;
    /// `windows.minute`.
    pub const MINUTE: u32 = 2;
    /// `windows.hour`.
    pub const HOUR: u32 = 3;
    /// A rolling day.
    pub const DAY: u32 = 4;
    /// Seven rolling days.
    pub const WEEK: u32 = 5;
    /// Thirty rolling days.
    pub const MONTH: u32 = 6;
}

/// The lengths of the windows, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// A second.
    pub second: Span,
    /// A minute.
    pub minute: Span,
    /// An hour.
    pub hour: Span,
    /// The meaning of a day, a week and a month.
    pub day: DayRule,
}

/// The moments from which parts of a record are empty, if nothing more happens; leases do not
/// count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// All windows.
    pub all: Mono,
    /// The sliding windows.
    pub sliding: Mono,
}

/// The use of an account's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    /// Leases of the page's overflow record, some of which may be this account's, by family.
    shared_leases: Vec<(FamilyKey, u64)>,
    /// True when the page has no room for another grain.
    crowded: bool,
    /// True when the page has no room for another lease.
    full: bool,
    /// True for the record that new accounts of a full page share.
    overflow: bool,
}

impl Record {
    /// Replaces the record by stored bytes.
    ///
    /// Returns false, and an empty record, for bytes that are not a record.
    #[must_use]
    pub fn load(&mut self, bytes: &[u8]) -> bool {
        self.clear();
        let valid = is_record(bytes);
        if valid {
            self.bytes.extend_from_slice(bytes);
        }
        valid
    }

    /// Empties the record.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.shared_leases.clear();
        self.crowded = false;
        self.full = false;
        self.overflow = false;
    }

    /// From now on, no lease is taken: the page is at its maximum.
    pub const fn fill_up(&mut self) {
        self.full = true;
    }

    /// Says whether this is the record that new accounts of a full page share.
    pub const fn set_overflow(&mut self, overflow: bool) {
        self.overflow = overflow;
    }

    /// True for the record that new accounts of a full page share.
    pub const fn is_overflow(&self) -> bool {
        self.overflow
    }

    /// Returns the stored form.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Counts the leases of living VMs in a stored overflow record too; returns their number.
    pub fn share_leases(&mut self, overflow: &[u8], liveness: &dyn Liveness) -> u64 {
        self.shared_leases.clear();
        for section in sections(overflow).filter(|section| section.tag == LEASES) {
            let (live, _) = Leases(section.of(overflow)).by_liveness(liveness);
            self.shared_leases.push((section.family, live));
        }
        let all = self.shared_leases.iter();
        all.fold(0, |sum: u64, (_, live)| sum.saturating_add(*live))
    }

    /// From now on, events join the newest grain whatever its age: the page has no room.
    pub const fn crowd(&mut self) {
        self.crowded = true;
    }

    /// True when the record has no use and no lease.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// True when the record has sections that this code does not know.
    pub fn has_unknown(&self) -> bool {
        self.sections()
            .any(|section| !matches!(section.tag, LOG..=NOTICED))
    }

    /// True when the record has a calendar period, whose end only the wall clock tells.
    pub fn has_period(&self) -> bool {
        self.sections().any(|section| section.tag == PERIOD)
    }

    /// Advances the windows to `now`.
    pub fn advance(&mut self, now: Now, windows: &Windows) {
        self.advance_each(now, |bytes, period| {
            period::advance(bytes, period, now, windows.day)
        });
    }

    /// Advances the windows to `now` for a settlement. Periods that are not over stay as they are:
    /// the config of the request may not be the one in force, and have another time zone.
    pub fn advance_to_settle(&mut self, now: Now) {
        self.advance_each(now, |bytes, period| period::drop_ended(bytes, period, now));
    }

    /// Advances the logs, and each period by `period`, which returns where the next section begins.
    fn advance_each(&mut self, now: Now, period: impl Fn(&mut Vec<u8>, &Section) -> usize) {
        let mut at = 0;
        while let Some(section) = Section::read(&self.bytes, at) {
            at = match section.tag {
                LOG => log_edit::advance(&mut self.bytes, section, now.mono),
                PERIOD => period(&mut self.bytes, &section),
                RETIRED => drop_section(&mut self.bytes, &section),
                _ => section.end(),
            };
        }
    }

    /// Returns the time of the newest event in the sliding logs.
    pub fn newest(&self) -> Mono {
        let logs = self.logs().map(|(_, log)| log.newest());
        logs.max().unwrap_or_default()
    }

    /// Clears the windows and keeps the leases.
    pub fn clear_usage(&mut self) {
        self.retain(|section| !matches!(section.tag, LOG | PERIOD | NOTICED));
    }

    /// Drops the leases, and what is held of the fleet, as for a copy of another record.
    pub fn drop_leases(&mut self) {
        self.retain(|section| !matches!(section.tag, LEASES | ALLOWANCE));
    }

    /// Drops the leases of lost VMs and returns their number.
    pub fn forget_stale(&mut self, liveness: &dyn Liveness) -> u64 {
        let mut forgotten: u64 = 0;
        let mut at = 0;
        while let Some(section) = Section::read(&self.bytes, at) {
            at = section.end();
            if section.tag == LEASES {
                let (n, end) = leases::forget_stale(&mut self.bytes, section, liveness);
                forgotten = forgotten.saturating_add(n);
                at = end;
            }
        }
        forgotten
    }

    /// Returns the number of leases of a family, with those that may be the account's own.
    pub fn leases(&self, family: FamilyKey) -> u64 {
        let own = self.find(LEASES, family, |_| true);
        let own = own.map_or(0, |section| Leases(section.of(&self.bytes)).count());
        let shared = self.shared_leases.iter().filter(|(of, _)| *of == family);
        shared.fold(own, |sum, (_, live)| sum.saturating_add(*live))
    }

    /// Returns the number of all leases of the record itself.
    pub fn all_leases(&self) -> u64 {
        let leases = self.sections().filter(|section| section.tag == LEASES);
        leases.fold(0, |sum: u64, section| {
            sum.saturating_add(Leases(section.of(&self.bytes)).count())
        })
    }

    /// Adds a lease of `holder`; false where the page has no room for it.
    pub fn acquire(&mut self, family: FamilyKey, holder: Holder) -> bool {
        if self.full {
            return false;
        }
        let section = match self.find(LEASES, family, |_| true) {
            Some(section) => section,
            None => self.append(LEASES, 0, family, HEAD),
        };
        leases::acquire(&mut self.bytes, section, holder);
        true
    }

    /// Removes a lease of `holder`; does nothing when its leases were dropped before.
    pub fn release(&mut self, family: FamilyKey, holder: Holder) {
        if let Some(section) = self.find(LEASES, family, |_| true) {
            leases::release(&mut self.bytes, section, holder);
        }
    }

    /// Returns the moments from which the windows are empty, if nothing more happens.
    pub fn expiry(&self, now: Now) -> Expiry {
        let sliding = self.logs().map(|(_, log)| log.expires_at());
        let sliding = sliding.max().unwrap_or_default();
        let periods = self.periods().map(|period| {
            let left = now.wall.map_or(period::UNKNOWN, |wall| period.left(wall));
            now.mono.after(left)
        });
        let held = self.sections().filter(|section| section.tag == ALLOWANCE);
        let held = held.map(|section| allowance::keep_until(section.of(&self.bytes)));
        let others = periods.chain(held).max().unwrap_or_default();
        Expiry {
            all: sliding.max(others),
            sliding,
        }
    }

    /// Returns what the account would be forgiven without the record: about the binary logarithm
    /// of its tokens, where a request weighs 1,000.
    pub fn worth(&self) -> u8 {
        let logs = self.logs().map(|(_, log)| log.weight());
        let weight = logs.chain(self.periods().map(|period| period.weight()));
        let weight = weight.fold(0, u64::saturating_add);
        let bits = u64::BITS.saturating_sub(weight.leading_zeros());
        u8::try_from(bits).unwrap_or(u8::MAX)
    }

    /// Checks the invariants that every change keeps: shapes, order and sums.
    pub fn is_valid(&self) -> bool {
        is_record(&self.bytes) && self.logs().all(|(_, log)| log.is_valid())
    }

    /// Returns the log of a window.
    pub fn log(&self, family: FamilyKey, window: Window) -> Option<Log<'_>> {
        let section = self.find_log(family, window)?;
        Some(Log(section.of(&self.bytes)))
    }

    /// Returns the log of a window of this length.
    pub fn log_of_length(&self, family: FamilyKey, length: Span) -> Option<Log<'_>> {
        let section = self.find(LOG, family, |bytes| Log(bytes).length() == length)?;
        Some(Log(section.of(&self.bytes)))
    }

    /// Returns the period of a calendar.
    pub fn period(&self, family: FamilyKey, calendar: Calendar) -> Option<Period<'_>> {
        let section = self.find_period(family, calendar)?;
        Some(Period(section.of(&self.bytes)))
    }

    fn logs(&self) -> impl Iterator<Item = (FamilyKey, Log<'_>)> {
        let logs = self.sections().filter(|section| section.tag == LOG);
        logs.map(|section| (section.family, Log(section.of(&self.bytes))))
    }

    fn periods(&self) -> impl Iterator<Item = Period<'_>> {
        let periods = self.sections().filter(|section| section.tag == PERIOD);
        periods.map(|section| Period(section.of(&self.bytes)))
    }

    /// Finds the log of a window, or else one of the same length: a custom window shares the log of
    /// a known one, whose length another config may change.
    fn find_log(&self, family: FamilyKey, window: Window) -> Option<Section> {
        let by_id = self.find(LOG, family, |bytes| Log(bytes).window() == window.id);
        by_id.or_else(|| self.find(LOG, family, |bytes| Log(bytes).length() == window.length))
    }

    fn find_period(&self, family: FamilyKey, calendar: Calendar) -> Option<Section> {
        self.find(PERIOD, family, |bytes| Period(bytes).is(calendar))
    }

    fn sections(&self) -> impl Iterator<Item = Section> {
        sections(&self.bytes)
    }

    fn find(&self, tag: u8, family: FamilyKey, is: impl Fn(&[u8]) -> bool) -> Option<Section> {
        self.sections().find(|section| {
            section.tag == tag && section.family == family && is(section.of(&self.bytes))
        })
    }

    /// Appends a section of `len` bytes whose body is zero.
    fn append(&mut self, tag: u8, units: u8, family: FamilyKey, len: usize) -> Section {
        let at = self.bytes.len();
        insert(&mut self.bytes, at, len);
        put(&mut self.bytes, at, [tag, units]);
        set_len(&mut self.bytes, at, len);
        put(
            &mut self.bytes,
            at.saturating_add(4),
            family.0.to_le_bytes(),
        );
        Section {
            at,
            tag,
            len,
            family,
        }
    }

    fn retain(&mut self, keep: impl Fn(&Section) -> bool) {
        retain(&mut self.bytes, keep);
    }
}

/// The weight of one request in the worth of a record, in tokens.
const REQUEST_WEIGHT: u64 = 1_000;
/// A cent weighs as much as a request.
const CENT_WEIGHT: u64 = CENT.div_euclid(REQUEST_WEIGHT);

/// Returns the part of a record's worth that the amounts of a window or a period make.
fn weight(amount: impl Fn(Unit) -> u64) -> u64 {
    let requests = amount(Unit::Requests).saturating_mul(REQUEST_WEIGHT);
    let tokens = Unit::ALL.into_iter().skip(1).map(|unit| match unit {
        Unit::Usd => amount(unit).div_euclid(CENT_WEIGHT),
        _ => amount(unit),
    });
    requests.saturating_add(tokens.max().unwrap_or(0))
}

/// Drops the sliding windows of a stored record, which must be over.
pub fn shrink(bytes: &mut Vec<u8>) {
    retain(bytes, |section| section.tag != LOG);
}

/// Returns the leases of a stored record that belong to living VMs, and those of lost ones.
pub fn count_leases(bytes: &[u8], liveness: &dyn Liveness) -> (u64, u64) {
    let leases = sections(bytes).filter(|section| section.tag == LEASES);
    leases.fold((0, 0), |(live, lost): (u64, u64), section| {
        let (more, gone) = Leases(section.of(bytes)).by_liveness(liveness);
        (live.saturating_add(more), lost.saturating_add(gone))
    })
}

/// True when a stored record takes part in the fleet.
pub fn has_allowance(bytes: &[u8]) -> bool {
    sections(bytes).any(|section| section.tag == ALLOWANCE)
}

/// True when a stored record holds something of the fleet, or has not told all.
pub fn holds_allowance(bytes: &[u8]) -> bool {
    let mut held = sections(bytes).filter(|section| section.tag == ALLOWANCE);
    held.any(|section| allowance::keep_until(section.of(bytes)) > Mono::default())
}

/// Returns the latest end of a stored record's calendar periods; `None` without a period.
pub fn periods_end(bytes: &[u8]) -> Option<crate::time::Wall> {
    let periods = sections(bytes).filter(|section| section.tag == PERIOD);
    periods
        .map(|section| Period(section.of(bytes)).ends_at())
        .max()
}

/// True when the sections fill the bytes and have their shapes.
fn is_record(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        let Some(section) = Section::read(bytes, at) else {
            return false;
        };
        let body = section.of(bytes);
        let has_shape = match section.tag {
            LOG => Log(body).has_shape(),
            PERIOD => Period(body).has_shape(),
            LEASES => Leases(body).has_shape(),
            COMPLETION => completion::has_shape(body),
            NOTICED => noticed::has_shape(body),
            ALLOWANCE => allowance::has_shape(body),
            _ => true,
        };
        if !has_shape {
            return false;
        }
        at = section.end();
    }
    true
}
