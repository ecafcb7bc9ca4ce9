//! The limits of a request, with the parts of a record that count them. A plan is made once for a
//! tier, so that a request searches nothing.

use super::kinds::LimitKind;
use super::meter::{Meter, MeterPart};
use super::per_limit::Limits;
use super::record::{FamilyKey, Record, Windows};
use super::units::{Unit, Units};
use crate::time::Now;

/// One finite limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finite {
    /// The kind.
    pub kind: LimitKind,
    /// The limit, at least 1.
    pub limit: u64,
    /// The part of a record that counts it.
    pub meter: Meter,
}

/// A log or a period that finite limits need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// One of the limits' meters: it names the log or the period.
    pub meter: Meter,
    /// The columns.
    pub units: Units,
    /// Columns of other requests, in which this one does not count.
    pub uncounted: Units,
}

/// The limits of a request: those of the account, and those of one family of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    limits: Limits,
    windows: Windows,
    finite: Vec<Finite>,
    sums: Vec<Sum>,
    leases: Vec<FamilyKey>,
}

impl Plan {
    /// Creates the plan of some limits.
    pub fn new(limits: Limits, windows: Windows) -> Self {
        let finite = limits.finite().map(|(kind, limit)| Finite {
            kind,
            limit,
            meter: Meter::of(kind, &windows),
        });
        let finite: Vec<Finite> = finite.collect();
        let leases = finite
            .iter()
            .filter(|one| one.meter.part == MeterPart::Leases);
        Self {
            leases: leases.map(|one| one.meter.family).collect(),
            sums: sums(&finite),
            finite,
            limits,
            windows,
        }
    }

    /// Returns the limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the windows.
    pub const fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Returns the finite limits, in order.
    pub fn finite(&self) -> &[Finite] {
        &self.finite
    }

    /// Returns the logs and the periods that the finite limits need, each once.
    pub fn sums(&self) -> &[Sum] {
        &self.sums
    }

    /// Returns the families whose requests in flight are limited.
    pub fn leases(&self) -> &[FamilyKey] {
        &self.leases
    }

    /// True when nothing is limited.
    pub const fn is_unlimited(&self) -> bool {
        self.finite.is_empty()
    }

    /// Returns the plan of a request for which only the limits of these names count.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        let named = self.limits.iter();
        let named = named.filter(|(kind, _)| names.iter().any(|name| name == kind.as_str()));
        let limits = named.map(|(kind, limit)| (kind, *limit)).collect();
        let mut plan = Self::new(limits, self.windows);
        for sum in &mut plan.sums {
            let mut all = self.sums.iter();
            let all = all.find(|one| one.meter.shares_with(sum.meter));
            let all = all.map_or(sum.units, |all| all.units);
            sum.uncounted = all.without(sum.units);
        }
        plan
    }

    /// Returns the plan without limits on requests in flight.
    #[must_use]
    pub fn without_concurrency(&self) -> Self {
        let plan = Self::new(self.limits.without_concurrency(), self.windows);
        // The sums are the same ones: leases are in none of them.
        Self {
            sums: self.sums.clone(),
            ..plan
        }
    }

    /// True when a decision reads the wall clock, which costs a host call.
    pub fn needs_wall_clock(&self) -> bool {
        let mut sums = self.sums.iter();
        sums.any(|sum| matches!(sum.meter.part, MeterPart::Period(..)))
    }

    /// True when at most half of each limit is used. The record must be advanced to `now`.
    pub fn is_half_free(&self, record: &Record, now: Now) -> bool {
        let used = |one: &Finite| one.meter.used(record, now).saturating_mul(2);
        self.finite.iter().all(|one| used(one) <= one.limit)
    }

    /// True when a limit counts money.
    pub fn counts_money(&self) -> bool {
        self.finite.iter().any(|one| one.kind.counts(Unit::Usd))
    }

    /// Returns the smallest limit on a unit; the largest number for none.
    pub fn smallest(&self, unit: Unit) -> u64 {
        let of_unit = self.finite.iter();
        let of_unit = of_unit.filter(|one| one.meter.unit() == Some(unit));
        of_unit.map(|one| one.limit).min().unwrap_or(u64::MAX)
    }

    /// Returns the bytes of a record without its head, with one grain in each log, and leases of two
    /// VMs in each family that limits them and in one more.
    pub fn awake_bytes(&self) -> usize {
        let leases = self.leases.len().max(1).saturating_mul(28);
        self.record_bytes(1, 4).saturating_add(leases)
    }

    /// Returns the bytes of a record's windows and periods. Each log has `grains` grains; an amount
    /// has `width` bytes.
    pub fn record_bytes(&self, grains: usize, width: usize) -> usize {
        let bytes = self.sums.iter().map(|sum| {
            let columns = sum.units.count();
            let head = columns.saturating_mul(8).saturating_add(28);
            match sum.meter.part {
                MeterPart::Sliding(..) => {
                    let grain = columns.saturating_mul(width).saturating_add(4);
                    grains.saturating_mul(grain).saturating_add(head)
                }
                MeterPart::Leases | MeterPart::Period(..) => head,
            }
        });
        bytes.fold(0, usize::saturating_add)
    }
}

fn sums(finite: &[Finite]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for one in finite {
        let Some(unit) = one.meter.unit() else {
            continue;
        };
        let same = |sum: &&mut Sum| sum.meter.shares_with(one.meter);
        match sums.iter_mut().find(same) {
            Some(sum) => sum.units = sum.units.with(unit),
            None => sums.push(Sum {
                meter: one.meter,
                units: Units::default().with(unit),
                uncounted: Units::default(),
            }),
        }
    }
    sums
}
