//! An edge's record of the account.

use crate::message::{Answer, Ask, Id, Parts, Totals};
use crate::{Amounts, METERS, Rule, Setup, Time};

/// An admitted request whose use differs from its reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Admission {
    pub at: Time,
    pub reserved: Amounts,
    pub used: Amounts,
}

/// A sent message that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pending {
    pub number: u8,
    sent_at: Time,
    totals: Totals,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Edge {
    pub id: Id,
    pub number: u8,
    pub pending: Option<Pending>,
    good_until: Time,
    /// The period of what is held.
    period: Time,
    held: Amounts,
    totals: Totals,
    base: Totals,
    spent: Parts,
    extra: Parts,
    refund: Parts,
    /// What was spent, by time.
    own: [Vec<(Time, u8)>; METERS],
    pub open: Vec<Admission>,
    pub store: u8,
    /// The receipt of the last answer less the store's time in it: the early bound of its clock.
    lag: Time,
    /// Leases in process.
    pub in_process: u8,
    leases_held: u8,
    /// The store is a new one, and does not know of what this edge used.
    pub restates: bool,
}

/// Totals may be in this many steps; older ones are merged.
const MOST_PARTS: usize = 2;

impl Edge {
    pub fn new(id: Id, store: u8) -> Self {
        Self {
            id,
            store,
            ..Self::default()
        }
    }

    /// Forgets an allowance that is not good any more, and an ask that is too late to be answered.
    pub fn advance(&mut self, now: Time, setup: &Setup) {
        if now >= self.good_until {
            self.held = [0; METERS];
            self.leases_held = 0;
        }
        if !self.holds() {
            self.good_until = 0;
        }
        let late = |p: &Pending| now > p.sent_at + setup.timeout;
        if self.pending.as_ref().is_some_and(late) {
            self.pending = None;
        }
        let start = setup
            .period
            .map_or((now + 1).saturating_sub(setup.window), |length| {
                now / length * length
            });
        for own in &mut self.own {
            // Only a store that forgets needs it.
            own.retain(|(at, _)| *at >= start && setup.rollback);
        }
    }

    pub fn may_admit(&self, now: Time, need: &Amounts, lease: u8) -> bool {
        now < self.good_until
            && (0..METERS).all(|m| self.held[m] >= need[m])
            && self.leases_held >= lease
    }

    pub fn admit(&mut self, now: Time, reserved: Amounts, used: Amounts, lease: u8, setup: &Setup) {
        self.leases_held -= lease;
        self.in_process += lease;
        let stamp = if setup.period.is_some() {
            self.period
        } else {
            now
        };
        for m in setup.meters() {
            self.held[m] -= reserved[m];
            self.totals.spent[m] += reserved[m];
            note(&mut self.spent[m], stamp, self.totals.spent[m], Time::max);
            add(&mut self.own[m], now, reserved[m]);
        }
        if reserved != used {
            let admission = Admission {
                at: now,
                reserved,
                used,
            };
            self.open.push(admission);
            self.open.sort_unstable();
        }
    }

    /// The response's usage is there.
    pub fn settle(&mut self, index: usize, now: Time, setup: &Setup) {
        let admission = self.open.remove(index);
        for m in setup.meters() {
            let (reserved, used) = (admission.reserved[m], admission.used[m]);
            if used > reserved {
                self.use_more(m, used - reserved, now, setup);
            } else if used < reserved {
                self.give_back(m, reserved - used, admission.at, now, setup);
            }
        }
    }

    fn use_more(&mut self, m: usize, more: u8, now: Time, setup: &Setup) {
        let stamp = if setup.period.is_some() {
            self.period
        } else {
            now
        };
        let free = if now < self.good_until {
            self.held[m].min(more)
        } else {
            0
        };
        if free > 0 {
            self.held[m] -= free;
            self.totals.spent[m] += free;
            note(&mut self.spent[m], stamp, self.totals.spent[m], Time::max);
            add(&mut self.own[m], now, free);
        }
        if more > free {
            self.totals.extra[m] += more - free;
            note(&mut self.extra[m], stamp, self.totals.extra[m], Time::max);
            add(&mut self.own[m], now, more - free);
        }
    }

    fn give_back(&mut self, m: usize, amount: u8, at: Time, now: Time, setup: &Setup) {
        if !setup.keeps(Rule::RefundByStore) {
            self.held[m] += amount;
            return;
        }
        let stamp = if setup.period.is_some() {
            if setup.period_at(at) != self.period {
                return;
            }
            self.period
        } else if now >= at + setup.window {
            return;
        } else if setup.keeps(Rule::EarlyRefunds) {
            at.saturating_sub(self.lag)
        } else {
            at
        };
        self.totals.refund[m] += amount;
        note(&mut self.refund[m], stamp, self.totals.refund[m], Time::min);
    }

    /// A request ends; its lease is held, and good for the next.
    pub fn end(&mut self) {
        self.in_process -= 1;
        self.leases_held += 1;
    }

    /// Whether a report would tell anything.
    pub fn is_dirty(&self) -> bool {
        self.restates
            || (self.spent.iter().chain(&self.extra).chain(&self.refund)).any(|p| !p.is_empty())
    }

    /// Whether there is an allowance to give back.
    pub fn holds(&self) -> bool {
        self.held.iter().any(|held| *held > 0) || self.leases_held > 0
    }

    /// Whether this edge has used anything that a store should know.
    pub fn has_used(&self) -> bool {
        self.own.iter().any(|own| !own.is_empty())
    }

    pub fn ask(
        &mut self,
        now: Time,
        need: Amounts,
        lease: u8,
        give_back: bool,
        setup: &Setup,
    ) -> Ask {
        if give_back {
            self.held = [0; METERS];
            self.leases_held = 0;
        }
        self.number += 1;
        self.pending = Some(Pending {
            number: self.number,
            sent_at: now,
            totals: self.totals,
        });
        let windows = setup.period.is_none();
        let old = u8::from(!setup.keeps(Rule::TrueAges));
        let aged = |parts: &Parts| {
            let mut parts = parts.clone();
            for part in parts.iter_mut().flatten().filter(|_| windows) {
                part.0 = now - part.0 + old;
            }
            parts
        };
        let refund = if setup.keeps(Rule::EarlyRefunds) {
            self.refund.clone()
        } else {
            aged(&self.refund)
        };
        Ask {
            id: self.id,
            number: self.number,
            sent_at: now,
            gives_back: give_back,
            store: self.store,
            held: self.held,
            spent: aged(&self.spent),
            extra: aged(&self.extra),
            refund,
            base: self.base,
            own: [0, 1].map(|m| self.own[m].iter().map(|(_, amount)| amount).sum()),
            period: setup.period_at(now),
            need,
            leases: self.in_process + self.leases_held,
            lease,
        }
    }

    /// Whether an answer would be taken now.
    pub fn awaits(&self, answer: &Answer, setup: &Setup) -> bool {
        self.id == answer.id
            && (!setup.keeps(Rule::PendingAnswers)
                || self.pending.is_some_and(|p| p.number == answer.number))
    }

    pub fn take(&mut self, answer: &Answer, now: Time, setup: &Setup) {
        let answered = self.pending.filter(|p| p.number == answer.number);
        let totals = answered.map_or(self.base, |p| p.totals);
        if answered.is_some() {
            self.pending = None;
        }
        self.base = totals;
        for m in 0..METERS {
            self.spent[m].retain(|(_, total)| *total > totals.spent[m]);
            self.extra[m].retain(|(_, total)| *total > totals.extra[m]);
            self.refund[m].retain(|(_, total)| *total > totals.refund[m]);
            self.held[m] += answer.grant[m];
        }
        self.leases_held += answer.lease;
        let good = |keeps| if keeps { answer.sent_at } else { now };
        self.good_until = good(setup.keeps(Rule::GoodFromSending)) + setup.life;
        if setup.period.is_some() {
            let end = good(setup.keeps(Rule::EndFromSending)) + answer.ends_in;
            self.good_until = self.good_until.min(end);
            self.period = answer.period;
        }
        self.lag = now - answer.at;
        if answer.store > self.store {
            // The message that a new store answered told it all of this.
            self.restates = false;
            self.store = answer.store;
        }
        self.advance(now, setup);
    }
}

/// Adds a step of a total. Steps of one stamp are one, and so are those of too many.
fn note(parts: &mut Vec<(Time, u8)>, stamp: Time, total: u8, merge: fn(Time, Time) -> Time) {
    match parts.last_mut() {
        Some(last) if last.0 == stamp => last.1 = total,
        _ => parts.push((stamp, total)),
    }
    if parts.len() > MOST_PARTS {
        let (stamp, _) = parts.remove(0);
        parts[0].0 = merge(parts[0].0, stamp);
    }
}

fn add(log: &mut Vec<(Time, u8)>, at: Time, amount: u8) {
    match log.last_mut() {
        Some(last) if last.0 == at => last.1 += amount,
        _ => log.push((at, amount)),
    }
}
