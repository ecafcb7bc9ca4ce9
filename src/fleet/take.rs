//! The rule of a request's part in the fleet: taken from what the edge holds, or refused, or asked
//! for; and what an edge does on its own while the service is away.

use super::Fleet;
use super::allowances::{Allowance, Allowances};
use super::draft::Draft;
use super::meter_key::Demand;
use super::policy::{EdgeView, OnFailure};
use crate::limits::record::Record;
use crate::limits::{Gate, GateRefusal, LimitKind};
use crate::time::{Now, Span};

/// The time after which a request no longer waits for a lease of another edge.
const PATIENCE: Span = Span::from_millis(300);

/// Returns the time after which no request waits for an answer any more.
pub fn longest_wait(fleet: &Fleet) -> Span {
    PATIENCE.max(fleet.policy.timeout)
}

/// The wait that is told where nobody knows: an edge that holds something speaks within it.
const HELD_WAIT: Span = Span::from_millis(1_250);

/// A request, as the fleet sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The fleet of the config.
    pub fleet: &'a Fleet,
    /// The account's id.
    pub account: &'a [u8],
    /// The edge's knowledge of the fleet.
    pub view: EdgeView,
    /// Bits for a new incarnation.
    pub random: u16,
    /// The time for which the request has waited.
    pub waited: Span,
    /// True for a request that never waits, nor is refused: one in shadow mode.
    pub never_waits: bool,
}

/// The part of one request in the fleet, between a read and a write of its record.
#[derive(Debug)]
pub struct Stake<'a> {
    own: Allowances,
    demands: Vec<Demand>,
    asking: Asking<'a>,
    draft: Option<Draft>,
    /// True when the request is admitted without an answer.
    is_cut: bool,
    /// True for a request that the page's overflow record counts: accounts that share one are not
    /// told apart, so the edge gives them its share of each limit and keeps nothing.
    is_shared: bool,
}

impl<'a> Stake<'a> {
    /// Opens the part of a request that meets these limits.
    pub fn open(record: &Record, demands: Vec<Demand>, asking: Asking<'a>, now: Now) -> Self {
        let epoch = asking.view.epoch;
        let own = Allowances::read(record).filter(|own| own.epoch == epoch);
        let begin = || {
            let account = asking.fleet.account(asking.account);
            Allowances::begin(account, epoch, asking.random, now.mono)
        };
        let mut own = own.unwrap_or_else(begin);
        own.advance(now.mono);
        for demand in &demands {
            own.meter(demand);
        }
        Self {
            own,
            demands,
            asking,
            draft: None,
            is_cut: false,
            is_shared: record.is_overflow(),
        }
    }

    /// Judges the request. The record must be advanced, and its own limits must admit the request.
    pub fn judge(&mut self, record: &Record, now: Now) -> Gate {
        if self.is_shared && !self.asking.never_waits {
            return self
                .over_share(record, now)
                .map_or(Gate::Open, Gate::Refuses);
        }
        let Some(unmet) = self.unmet() else {
            return Gate::Open;
        };
        let ms = now.mono.as_millis();
        if self.asking.view.away || self.own.closed_until > ms {
            return self.alone(record, now);
        }
        if let Some(refusal) = self.remembered(now) {
            let is_lease = refusal.wait.is_none();
            return match is_lease && self.asking.waited < PATIENCE {
                true => Gate::Waits,
                false => Gate::Refuses(refusal),
            };
        }
        let (is_pending, waited) = (self.own.pending_until > 0, self.asking.waited);
        if self.is_late(now) && (is_pending || self.own.heard_at < self.own.sent_at) {
            return self.alone(record, now);
        }
        let patience = match is_pending {
            true => longest_wait(self.asking.fleet),
            false => PATIENCE,
        };
        if waited >= patience {
            return Gate::Refuses(refusal(&unmet, unmet.finite.limit, Some(HELD_WAIT)));
        }
        if is_pending {
            return Gate::Waits;
        }
        let deadline = self.asking.fleet.policy.answer_within();
        let draft = Draft::new(&mut self.own, record, &self.demands, deadline, now);
        self.draft = Some(draft);
        match self.asking.never_waits {
            true => self.alone(record, now),
            false => Gate::Waits,
        }
    }

    /// True for a request that has waited for longer than the time-out, and nothing was heard of its
    /// account since it came. Otherwise the service is there, and others were before it: it goes on to
    /// wait, and nothing is admitted without an answer.
    fn is_late(&self, now: Now) -> bool {
        let waited = self.asking.waited;
        let came_at = now.mono.as_millis().saturating_sub(waited.as_millis());
        let is_answered = self.own.heard_at > 0 && self.own.heard_at >= came_at;
        waited >= self.asking.fleet.policy.timeout && !is_answered
    }

    /// Spends what the request needs, once its record counts it.
    pub fn spend(&mut self, record: &Record, now: Now) {
        for demand in self.demands.iter().filter(|demand| demand.need > 0) {
            let is_cut = self.is_cut;
            if let Some(one) = self.own.meter(demand) {
                let beyond = demand.need.saturating_sub(one.held);
                if is_cut {
                    one.cut = one.cut.saturating_add(beyond);
                }
                one.spend(demand.need, record, now);
            }
        }
    }

    /// Writes the part into the record; returns the message that asks for an allowance.
    pub fn write(self, record: &mut Record, now: Now) -> Option<Draft> {
        if !self.is_shared {
            self.own.write(record, now.mono);
        }
        self.draft
    }

    /// True when there is something to write for a request that was not admitted.
    pub const fn asks(&self) -> bool {
        self.draft.is_some()
    }

    /// Returns what is left of a limit in the fleet, in the record's unit; `None` where it is not
    /// known.
    pub fn left(&self, kind: LimitKind) -> Option<u64> {
        let demand = self
            .demands
            .iter()
            .find(|demand| demand.finite.kind == kind)?;
        let one = self
            .own
            .find(demand.key)
            .filter(|_| self.own.heard_at > 0)?;
        Some(demand.key.in_record(one.held.saturating_add(one.left)))
    }

    /// Returns the first demand that what is held does not cover.
    fn unmet(&self) -> Option<Demand> {
        let mut demands = self.demands.iter();
        demands
            .find(|demand| self.held(demand) < demand.need)
            .copied()
    }

    /// Returns what the edge holds for a demand.
    fn held(&self, demand: &Demand) -> u64 {
        self.own.find(demand.key).map_or(0, |one| one.held)
    }

    /// Returns the store's last refusal, where it is one of this request too.
    fn remembered(&self, now: Now) -> Option<GateRefusal> {
        let refused = self.own.refused?;
        let mut demands = self.demands.iter();
        let demand = demands.find(|demand| {
            demand.key == refused.key
                && demand.limit == refused.limit
                && demand.need.saturating_sub(self.held(demand)) >= refused.need
        })?;
        let wait = refused.open_at.saturating_sub(now.mono.as_millis());
        let wait = Span::from_millis(wait.max(1));
        let used = demand.key.in_record(refused.used);
        let is_lease = demand.key.is_leases();
        Some(refusal(demand, used, (!is_lease).then_some(wait)))
    }

    /// Judges without the service.
    fn alone(&mut self, record: &Record, now: Now) -> Gate {
        self.is_cut = true;
        let rule = match self.asking.never_waits {
            true => OnFailure::Local,
            false => self.asking.fleet.policy.on_failure,
        };
        let refused = match rule {
            OnFailure::Local => None,
            OnFailure::Deny => self.unmet().map(|unmet| GateRefusal {
                overloaded: true,
                ..refusal(&unmet, 0, Some(Span::from_secs(1)))
            }),
            OnFailure::Share => self.over_share(record, now),
        };
        refused.map_or(Gate::Open, Gate::Refuses)
    }

    /// Returns the refusal of the first limit whose share the request exceeds.
    fn over_share(&self, record: &Record, now: Now) -> Option<GateRefusal> {
        let demands = self.demands.iter().filter(|demand| demand.need > 0);
        let mut over = demands.filter_map(|demand| {
            let one = self.own.find(demand.key)?;
            let beyond = demand.need.saturating_sub(one.held);
            if beyond == 0 {
                return None;
            }
            let share = self.share(demand.limit);
            let used = demand.key.used(record, now);
            match self.first_window(one, now) {
                Some(rest) => {
                    let edges = u64::from(self.edges());
                    let left = one.left.checked_div(edges).unwrap_or(0);
                    let is_over = one.cut.saturating_add(beyond) > left;
                    is_over.then(|| refusal(demand, used, Some(rest)))
                }
                None => {
                    let is_over = used.saturating_add(demand.need) > share;
                    is_over.then(|| {
                        let (need, share) = (demand.need, demand.key.in_record(share));
                        let need = demand.key.in_record(need);
                        let wait = demand.finite.meter.wait(record, now, need, share);
                        let wait = wait.filter(|wait| *wait > Span::ZERO);
                        refusal(demand, used, Some(wait.unwrap_or(HELD_WAIT)))
                    })
                }
            }
        });
        over.next()
    }

    /// Returns the rest of the window, or of the period, in which the store was last heard; `None`
    /// after it, and for leases.
    fn first_window(&self, one: &Allowance, now: Now) -> Option<Span> {
        if self.own.heard_at == 0 {
            return None;
        }
        let end = match one.key.window() {
            Some(length) => self.own.heard_at.saturating_add(length.as_millis()),
            None => one.ends_at,
        };
        let rest = end.checked_sub(now.mono.as_millis())?;
        (rest > 0).then(|| Span::from_millis(rest))
    }

    fn edges(&self) -> u32 {
        let known = self.asking.view.edges.max(self.own.edges);
        known.max(self.asking.fleet.policy.least_edges).max(1)
    }

    /// Returns this edge's share of a limit, which may be 0.
    fn share(&self, limit: u64) -> u64 {
        let edges = u64::from(self.edges());
        let (share, rest) = (limit.div_euclid(edges), limit.rem_euclid(edges));
        let has_more = self
            .asking
            .view
            .rank
            .is_some_and(|rank| u64::from(rank) < rest);
        share.saturating_add(has_more.into())
    }
}

fn refusal(demand: &Demand, used: u64, wait: Option<Span>) -> GateRefusal {
    GateRefusal {
        kind: demand.finite.kind,
        limit: demand.finite.limit,
        used,
        wait,
        overloaded: demand.is_over_lowered_alone(used),
    }
}
