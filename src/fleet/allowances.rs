//! An account's part in the fleet, as one edge's record keeps it.

use super::message::LIFE_MS;
use super::meter_key::{Demand, MeterKey};
use super::series::{PartTime, Series};
use crate::limits::Reservation;
use crate::limits::record::Record;
use crate::time::{Mono, Now, Span};
use serde::{Deserialize, Serialize};

/// The time for which an allowance is good, from the sending of the message that asked for it.
pub const LIFE: Span = Span::from_millis(LIFE_MS);
/// The time for which a record is kept for what no message has said.
const KEPT: Span = Span::from_secs(30);
/// Parts of a window in which events have one time.
const PARTS: u64 = 60;
/// The version of the stored state, its first byte. Another version reads as no state.
const VERSION: u8 = 2;

/// Bytes of an account's part without its meters, at most, and of one meter: usually, and at most.
const HEAD_BYTES: usize = 290;
const METER_BYTES: (usize, usize) = (75, 530);

/// Returns the bytes that an account's part usually takes, with so many meters.
pub const fn usual_bytes(meters: usize) -> usize {
    HEAD_BYTES.saturating_add(meters.saturating_mul(METER_BYTES.0))
}

/// Returns the bytes that an account's part takes at most, with so many meters.
pub const fn most_bytes(meters: usize) -> usize {
    HEAD_BYTES.saturating_add(meters.saturating_mul(METER_BYTES.1))
}

/// The fleet's account, as messages name it: 128 bits of a keyed hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FleetAccount(pub [u8; 16]);

/// An edge's allowances of an account's limits in the fleet, and its use that it has not told yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowances {
    /// The account's name in messages.
    pub account: FleetAccount,
    /// The edge that it is an allowance of: shared data that began anew makes another one.
    pub epoch: u64,
    /// The incarnation of this state: the moment of its beginning, and 16 random bits.
    pub incarnation: u64,
    /// The generation of the account that the store last said; a reset makes another one.
    pub generation: u32,
    /// The time of the last reset; 0 without one. What was admitted before gives nothing back.
    pub reset_at: u64,
    /// The number of the last message.
    pub seq: u32,
    /// The end of the time in which the answer to the last message counts; 0 without one.
    pub pending_until: u64,
    /// The time of the last message.
    pub sent_at: u64,
    /// The time of the last message that was answered.
    pub heard_at: u64,
    /// The time of the last use that a report saw.
    pub spent_at: u64,
    /// The end of what is held.
    pub good_until: u64,
    /// The number of edges that share the account's limits, as last said; 0 before the first answer.
    pub edges: u32,
    /// The account's clock in the store, and ours when we heard it.
    pub store_clock: Option<(u64, u64)>,
    /// True when the store has little left.
    pub tight: bool,
    /// The end of the time in which the store admits nothing, since it lost what it knew.
    pub closed_until: u64,
    /// The last refusal of the store.
    pub refused: Option<Remembered>,
    /// The meters.
    pub meters: Vec<Allowance>,
}

/// A refusal of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The meter.
    pub key: MeterKey,
    /// The limit that it was asked under.
    pub limit: u64,
    /// The amount that was asked for: no less is refused.
    pub need: u64,
    /// The end of the time in which nothing is asked again.
    pub until: u64,
    /// The time at which the store expects to grant it.
    pub open_at: u64,
    /// The use by the fleet.
    pub used: u64,
}

/// An edge's allowance of one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// The meter.
    pub key: MeterKey,
    /// The limit under which it was granted, or was last asked for.
    pub limit: u64,
    /// The unspent part.
    pub held: u64,
    /// The end of the period that it is of; 0 for no end.
    pub ends_at: u64,
    /// The amount that the store had left at the last answer.
    pub left: u64,
    /// The amount that the fleet had used at the last answer.
    pub used: u64,
    /// The amount that was admitted without an answer since.
    pub cut: u64,
    /// For leases: what the last message said of them, in flight and held.
    pub told: u64,
    /// The amount that was spent of allowances.
    pub spent: Series,
    /// The amount that was used beyond them.
    pub extra: Series,
    /// The amount of the spent ones that was given back.
    pub refunded: Series,
}

impl Allowances {
    /// Reads the account's part from its record; `None` for an account that takes no part yet.
    pub fn read(record: &Record) -> Option<Self> {
        let (version, state) = record.allowance()?.split_first()?;
        let state = (*version == VERSION).then_some(state)?;
        postcard::from_bytes(state).ok()
    }

    /// Begins the part of an account.
    pub fn begin(account: FleetAccount, epoch: u64, random: u16, now: Mono) -> Self {
        let moment = now.as_millis().wrapping_shl(u16::BITS);
        Self {
            account,
            epoch,
            incarnation: moment | u64::from(random),
            ..Self::default()
        }
    }

    /// Writes the part into the record.
    pub fn write(&self, record: &mut Record, now: Mono) {
        let bytes = postcard::to_extend(self, vec![VERSION]).unwrap_or_default();
        let keep_until = match self.is_told() && self.held_nothing() {
            true => Mono::default(),
            false => now.after(KEPT),
        };
        record.set_allowance(&bytes, keep_until);
    }

    /// Returns the moment from which on what is admitted may give back: that of the last reset, or
    /// else the one at which this state began.
    pub fn begun(&self) -> Mono {
        Mono::from_millis(self.reset_at.max(self.incarnation >> u16::BITS))
    }

    /// Begins the use anew, as of another generation: nothing is held, and what the store has not
    /// heard of is not told any more.
    pub fn reset(&mut self, generation: u32, now: Mono) {
        self.generation = generation;
        self.reset_at = now.as_millis();
        self.refused = None;
        for one in &mut self.meters {
            one.held = 0;
            for series in [&mut one.spent, &mut one.extra, &mut one.refunded] {
                series.forget_parts();
            }
        }
    }

    /// Returns the time of a moment by the store's clock, or an earlier one: what we heard was said
    /// before. 0 before the first answer.
    pub fn store_time(&self, at: u64) -> u64 {
        let (store, heard) = self.store_clock.unwrap_or_default();
        match at.checked_sub(heard) {
            Some(since) => store.saturating_add(since),
            None => store.saturating_sub(heard.saturating_sub(at)),
        }
    }

    /// True when nothing is held.
    pub fn held_nothing(&self) -> bool {
        self.meters.iter().all(|one| one.held == 0)
    }

    /// True when the store has acknowledged all totals, and the last message was answered: else it
    /// may have granted what never came here.
    pub fn is_told(&self) -> bool {
        let series = self.meters.iter().flat_map(Allowance::series);
        let is_answered = self.heard_at >= self.sent_at;
        is_answered && series.into_iter().all(Series::is_acknowledged)
    }

    /// Drops what is over at `now`: allowances, a message without an answer, and a refusal.
    pub fn advance(&mut self, now: Mono) {
        let now = now.as_millis();
        for one in &mut self.meters {
            let is_over = one.ends_at != 0 && one.ends_at <= now;
            if self.good_until <= now || is_over {
                one.held = 0;
            }
        }
        if self.pending_until <= now {
            self.pending_until = 0;
        }
        self.refused = self.refused.filter(|refused| refused.until > now);
    }

    /// Returns the allowance of a meter.
    pub fn find(&self, key: MeterKey) -> Option<&Allowance> {
        self.meters.iter().find(|one| one.key == key)
    }

    /// Returns the allowance of a demand's meter, and begins one where there is none. An allowance
    /// that was granted under a larger limit is void.
    pub fn meter(&mut self, demand: &Demand) -> Option<&mut Allowance> {
        let found = self.meters.iter().position(|one| one.key == demand.key);
        let at = found.unwrap_or(self.meters.len());
        if found.is_none() {
            self.meters.push(Allowance::new(demand.key, demand.limit));
        }
        let one = self.meters.get_mut(at)?;
        if one.limit > demand.limit {
            one.held = 0;
        }
        one.limit = demand.limit;
        Some(one)
    }

    /// True when so little of a limit falls to an edge that nothing of it is held.
    pub fn is_small(&self, limit: u64) -> bool {
        limit < u64::from(self.edges.max(1)).saturating_mul(4)
    }
}

impl Allowance {
    const fn new(key: MeterKey, limit: u64) -> Self {
        const NONE: Series = Series::NONE;
        Self {
            key,
            limit,
            held: 0,
            ends_at: 0,
            left: 0,
            used: 0,
            cut: 0,
            told: 0,
            spent: NONE,
            extra: NONE,
            refunded: NONE,
        }
    }

    /// Returns the three totals.
    pub const fn series(&self) -> [&Series; 3] {
        [&self.spent, &self.extra, &self.refunded]
    }

    /// Spends an amount: of what is held as far as it goes, and the rest beyond it.
    pub fn spend(&mut self, amount: u64, record: &Record, now: Now) {
        let of_held = amount.min(self.held);
        self.held = self.held.saturating_sub(of_held);
        if self.key.is_leases() {
            return;
        }
        let (at, width) = self.time(record, now);
        self.spent.add(at, of_held, PartTime::Newest(width));
        let rest = amount.saturating_sub(of_held);
        self.extra.add(at, rest, PartTime::Newest(width));
    }

    /// Returns the time of an event now, and the width of a part: for a period its number.
    fn time(&self, record: &Record, now: Now) -> (u64, u64) {
        let at = match self.key.window() {
            Some(_) => now.mono.as_millis(),
            None => {
                let end = self.key.period_end(record);
                end.map_or(0, |end| end.as_millis())
            }
        };
        (at, self.width())
    }

    /// Returns the width of a part, in milliseconds; 0 for a period.
    fn width(&self) -> u64 {
        let window = self.key.window();
        window.map_or(0, |length| length.as_millis().div_euclid(PARTS).max(1))
    }

    /// Returns the number of the period in which a request was admitted.
    pub fn period_of(&self, reservation: &Reservation) -> Option<u64> {
        let entered = reservation.of(self.key.family());
        let end = entered.periods.get(self.key.calendar()?)?;
        Some(end.as_millis())
    }

    /// Gives back what an event at `at` spent; the time of a period is its number.
    pub fn refund(&mut self, at: u64, amount: u64) {
        self.refunded
            .add(at, amount, PartTime::Oldest(self.width()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::meter::{Meter, MeterPart};
    use crate::limits::record::FamilyKey;
    use crate::limits::units::Unit;
    use crate::zone::Calendar;

    #[test]
    fn a_part_takes_no_more_than_the_config_check_counts() {
        let part = MeterPart::Period(Calendar::Month, Unit::Usd);
        let family = FamilyKey(u32::MAX);
        let key = MeterKey::of(Meter { family, part }, u32::MAX);
        let most = u64::MAX;
        let mut series = Series::NONE;
        // Times are far apart, so that no part joins another.
        for n in (0..4).rev() {
            let at = most.saturating_sub(n << 60);
            series.add(at, most.div_euclid(8), PartTime::Newest(0));
        }
        let _ = series.message(|at| at);
        let one = Allowance {
            held: most,
            ends_at: most,
            left: most,
            used: most,
            cut: most,
            told: most,
            spent: series.clone(),
            extra: series.clone(),
            refunded: series,
            ..Allowance::new(key, most)
        };
        for meters in [1, 4, 12] {
            let own = Allowances {
                epoch: most,
                incarnation: most,
                generation: u32::MAX,
                reset_at: most,
                seq: u32::MAX,
                pending_until: most,
                sent_at: most,
                heard_at: most,
                spent_at: most,
                good_until: most,
                edges: u32::MAX,
                store_clock: Some((most, most)),
                tight: true,
                closed_until: most,
                refused: Some(Remembered {
                    key,
                    limit: most,
                    need: most,
                    until: most,
                    open_at: most,
                    used: most,
                }),
                meters: vec![one.clone(); meters],
                ..Allowances::default()
            };
            let mut record = Record::default();
            own.write(&mut record, Mono::from_millis(1));
            let bytes = record.bytes().len();
            assert!(bytes <= most_bytes(meters), "{meters}: {bytes}");
            assert_eq!(Allowances::read(&record), Some(own));
        }
    }
}
