//! A meter of the fleet: what a limit counts, whatever it is called and however large it is.
//!
//! Its name is its meaning (`requests/60000/-`, `tokens/day@+08:00/k2`, `leases/-/-`), so configs of
//! a rollout name the same meter, and one with another window names another.

use super::message::MOST_AMOUNT;
use super::meter_name::{calendar_name, unit_name};
use crate::limits::Lowered;
use crate::limits::day::DayRule;
use crate::limits::meter::{Meter, MeterPart};
use crate::limits::plan::{Finite, Plan};
use crate::limits::record::period::CALENDARS;
use crate::limits::record::{FamilyKey, Record};
use crate::limits::units::Unit;
use crate::time::{Now, Span, Wall};
use crate::zone::Calendar;
use serde::{Deserialize, Serialize};

/// The unit of money in messages, in 10^-12 USD: 10^-9 USD, so that 9 million USD fit.
const NANO_USD: u64 = 1_000;

/// A meter, as stored in an account's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterKey {
    counted: MeterCounts,
    /// The family of models; 0 for the account.
    family: u32,
}

/// The quantity that a meter counts, and over what time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum MeterCounts {
    Leases,
    /// A unit, in the last milliseconds.
    Sliding(u8, u64),
    /// A unit, in a calendar period of a time zone.
    Period(u8, u8, u32),
}

/// A limit that a request meets, with what it needs of it.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// The meter.
    pub key: MeterKey,
    /// The limit as an operator's scale lowers it, in the unit of messages.
    pub limit: u64,
    /// The amount that the request needs, in the unit of messages.
    pub need: u64,
    /// The limit as the config has it.
    pub finite: Finite,
}

impl Demand {
    /// True when only the operator's scale refuses what is needed beyond `used`, in the record's unit.
    pub fn is_over_lowered_alone(&self, used: u64) -> bool {
        let need = self.key.in_record(self.need);
        let is_lowered = self.limit < self.key.in_messages_floor(self.finite.limit);
        is_lowered && used.saturating_add(need) <= self.finite.limit
    }
}

impl MeterKey {
    /// Returns the key of a meter; `zone` is the key of the time zone of days.
    pub const fn of(meter: Meter, zone: u32) -> Self {
        let counted = match meter.part {
            MeterPart::Leases => MeterCounts::Leases,
            MeterPart::Sliding(window, unit) => {
                MeterCounts::Sliding(unit as u8, window.length.as_millis())
            }
            MeterPart::Period(calendar, unit) => {
                MeterCounts::Period(unit as u8, calendar as u8, zone)
            }
        };
        Self {
            counted,
            family: meter.family.0,
        }
    }

    /// True for requests in flight.
    pub fn is_leases(&self) -> bool {
        self.counted == MeterCounts::Leases
    }

    /// True for a calendar period.
    pub const fn is_period(&self) -> bool {
        matches!(self.counted, MeterCounts::Period(..))
    }

    /// Returns the length of the sliding window.
    pub const fn window(&self) -> Option<Span> {
        match self.counted {
            MeterCounts::Sliding(_, ms) => Some(Span::from_millis(ms)),
            MeterCounts::Leases | MeterCounts::Period(..) => None,
        }
    }

    /// Returns the family of models.
    pub const fn family(&self) -> FamilyKey {
        FamilyKey(self.family)
    }

    /// Returns the unit; `None` for leases.
    pub fn unit(&self) -> Option<Unit> {
        let code = match self.counted {
            MeterCounts::Leases => return None,
            MeterCounts::Sliding(unit, _) | MeterCounts::Period(unit, ..) => unit,
        };
        Unit::ALL.into_iter().find(|unit| *unit as u8 == code)
    }

    /// Returns the calendar of a period.
    pub fn calendar(&self) -> Option<Calendar> {
        let MeterCounts::Period(_, code, _) = self.counted else {
            return None;
        };
        CALENDARS
            .into_iter()
            .find(|calendar| *calendar as u8 == code)
    }

    /// True for a meter that a config with this time zone can name.
    pub fn is_of_zone(&self, zone: u32) -> bool {
        !matches!(self.counted, MeterCounts::Period(_, _, other) if other != zone)
    }

    /// Returns the meter's name in messages. `zone` is the time zone of days, and `family` the name
    /// of the family of models, if there is one.
    pub fn name(&self, zone: &str, family: Option<&str>) -> String {
        let family = family.unwrap_or("-");
        let Some(unit) = self.unit() else {
            return format!("leases/-/{family}");
        };
        let unit = unit_name(unit);
        match (self.window(), self.calendar()) {
            (Some(length), _) => format!("{unit}/{}/{family}", length.as_millis()),
            (None, calendar) => {
                let calendar = calendar_name(calendar.unwrap_or(Calendar::Day));
                format!("{unit}/{calendar}@{zone}/{family}")
            }
        }
    }

    /// Returns what this edge used, in the unit of messages; the record must be advanced to `now`.
    /// For leases, the requests in flight.
    pub fn used(&self, record: &Record, now: Now) -> u64 {
        let family = self.family();
        let Some(unit) = self.unit() else {
            return record.leases(family);
        };
        let used = match (self.window(), self.calendar()) {
            (Some(length), _) => {
                let log = record.log_of_length(family, length);
                log.map_or(0, |log| log.used(now.mono, length, unit))
            }
            (None, Some(calendar)) => {
                let period = record.period(family, calendar);
                period.map_or(0, |period| period.used(unit))
            }
            (None, None) => 0,
        };
        self.in_messages(used)
    }

    /// Returns the end of the calendar period that the record counts now.
    pub fn period_end(&self, record: &Record) -> Option<Wall> {
        let period = record.period(self.family(), self.calendar()?)?;
        Some(period.ends_at())
    }

    /// Returns an amount of the record in the unit of messages, rounded up.
    pub fn in_messages(&self, amount: u64) -> u64 {
        match self.unit() {
            Some(Unit::Usd) => amount.div_ceil(NANO_USD).min(MOST_AMOUNT),
            _ => amount.min(MOST_AMOUNT),
        }
    }

    /// Returns an amount of the record in the unit of messages, rounded down.
    pub fn in_messages_floor(&self, amount: u64) -> u64 {
        match self.unit() {
            Some(Unit::Usd) => amount.div_euclid(NANO_USD).min(MOST_AMOUNT),
            _ => amount.min(MOST_AMOUNT),
        }
    }

    /// Returns an amount of messages in the record's unit.
    pub fn in_record(&self, amount: u64) -> u64 {
        match self.unit() {
            Some(Unit::Usd) => amount.saturating_mul(NANO_USD),
            _ => amount,
        }
    }
}

/// Returns the limits that a request meets, each meter once with its smallest limit. `need` returns
/// what the request needs of a limit, in the record's unit.
pub fn demands(
    plan: &Plan,
    lowered: Option<Lowered>,
    need: impl Fn(&Finite) -> u64,
) -> Vec<Demand> {
    let mut all: Vec<Demand> = Vec::with_capacity(plan.finite().len());
    let zone = zone_key(plan);
    for one in plan.finite() {
        let key = MeterKey::of(one.meter, zone);
        let limit = lowered.map_or(one.limit, |lowered| lowered.manually(one.kind, one.limit));
        let demand = Demand {
            key,
            limit: key.in_messages_floor(limit),
            need: key.in_messages(need(one)),
            finite: *one,
        };
        match all.iter_mut().find(|other| other.key == key) {
            Some(same) if same.limit <= demand.limit => {}
            Some(same) => *same = demand,
            None => all.push(demand),
        }
    }
    all
}

/// Returns the key of the time zone of a plan's days; 0 where none counts.
fn zone_key(plan: &Plan) -> u32 {
    match plan.windows().day {
        DayRule::Calendar { zone } if plan.needs_wall_clock() => zone.key(),
        DayRule::Calendar { .. } | DayRule::Rolling(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::record::{Window, window_id};

    fn key(part: MeterPart, family: FamilyKey) -> MeterKey {
        MeterKey::of(Meter { family, part }, 0)
    }

    #[test]
    fn a_name_is_what_a_limit_counts() {
        let minute = Window {
            id: window_id::MINUTE,
            length: Span::from_secs(60),
        };
        let account = FamilyKey::ACCOUNT;
        let family = FamilyKey::of("k2");
        let day = MeterPart::Period(Calendar::Day, Unit::Tokens);
        for (part, of, family, name) in [
            (
                MeterPart::Sliding(minute, Unit::Requests),
                account,
                None,
                "requests/60000/-",
            ),
            (
                MeterPart::Sliding(minute, Unit::InputTokens),
                account,
                None,
                "input_tokens/60000/-",
            ),
            (day, family, Some("k2"), "tokens/day@+08:00/k2"),
            (
                MeterPart::Period(Calendar::Month, Unit::Usd),
                account,
                None,
                "usd/month@+08:00/-",
            ),
            (MeterPart::Leases, account, None, "leases/-/-"),
        ] {
            assert_eq!(key(part, of).name("+08:00", family), name);
        }
    }

    #[test]
    fn money_is_counted_in_billionths_and_never_too_low() {
        let month = key(
            MeterPart::Period(Calendar::Month, Unit::Usd),
            FamilyKey::ACCOUNT,
        );
        assert_eq!(
            (month.in_messages(1), month.in_messages_floor(1_999)),
            (1, 1)
        );
        assert_eq!(
            month.in_messages(u64::MAX),
            u64::MAX.div_ceil(1_000).min(MOST_AMOUNT)
        );
        assert_eq!(month.in_record(2), 2_000);
        let tokens = key(
            MeterPart::Period(Calendar::Day, Unit::Tokens),
            FamilyKey::ACCOUNT,
        );
        assert_eq!(tokens.in_messages(u64::MAX), MOST_AMOUNT);
    }
}
