//! The store: one key for the account, and the step of protocol.md, section 2.

use crate::message::{Answer, Ask, Id, Parts, Totals};
use crate::{Amounts, METERS, Rule, Setup, Time};

/// What one edge's record is known to have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    id: Id,
    number: u8,
    seen: Time,
    totals: Totals,
    out: Amounts,
    leases: u8,
    /// Outstanding that counts as used, since the edge was silent.
    written_off: Amounts,
    answer: Answer,
}

/// The account's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    store: u8,
    period: Time,
    closed_until: Time,
    /// Use by time; of periods, all under one time.
    used: [Vec<(Time, u8)>; METERS],
    /// Extra use that wrongly lowered what is outstanding.
    lowered: Amounts,
    entries: Vec<Entry>,
}

/// What the service passes with each step.
pub struct Service<'a> {
    pub now: Time,
    /// The store's incarnation, and when it began.
    pub store: u8,
    pub since: Time,
    /// Edges without a heartbeat for a life.
    pub dead: &'a [Id],
}

impl Key {
    fn new(service: &Service<'_>, ask: &Ask, setup: &Setup) -> Self {
        // A new incarnation may have had the key before it forgot it.
        let young = service.store > 1 && setup.keeps(Rule::NewKeysSuspect);
        let told = ask.store != 0 && ask.store != service.store;
        let closed_until = match (young, told) {
            (true, _) => service.since + setup.closing(),
            (_, true) => service.now + setup.closing(),
            _ => 0,
        };
        Self {
            store: service.store,
            period: setup.period_at(service.now),
            closed_until,
            used: Default::default(),
            lowered: [0; METERS],
            entries: Vec::new(),
        }
    }

    /// Forgets what can't matter any more: answers that nobody repeats, and when idle edges were seen.
    pub fn tidy(&mut self, may_repeat: bool) {
        for entry in &mut self.entries {
            if !may_repeat {
                entry.answer = Answer::default();
            }
            if entry.out == [0; METERS] && entry.written_off == [0; METERS] {
                entry.seen = 0;
            }
        }
    }

    /// Whether a message is of no effect, but for its answer.
    pub fn has_seen(&self, ask: &Ask) -> bool {
        let entry = self.entries.iter().find(|e| e.id == ask.id);
        entry.is_some_and(|e| e.number >= ask.number)
    }

    /// One step; the answer is `None` for a message that is stale.
    pub fn step(
        key: &mut Option<Self>,
        ask: &Ask,
        service: &Service<'_>,
        setup: &Setup,
    ) -> Option<Answer> {
        let key = key.get_or_insert_with(|| Self::new(service, ask, setup));
        key.advance(service, setup);
        let index = key.entry(ask.id);
        let entry = &key.entries[index];
        if ask.number < entry.number && setup.keeps(Rule::OlderIsStale) {
            return None;
        }
        if ask.number == entry.number {
            return Some(entry.answer);
        }
        for m in setup.meters() {
            key.count(index, m, ask, service, setup);
        }
        let entry = &mut key.entries[index];
        for m in setup.meters() {
            let is_told = ask.gives_back || setup.keeps(Rule::AbsoluteHeld);
            entry.out[m] = if is_told {
                ask.held[m]
            } else {
                entry.out[m].max(ask.held[m])
            };
        }
        entry.leases = ask.leases;
        entry.number = ask.number;
        entry.seen = service.now;
        Some(key.grant(index, ask, service, setup))
    }

    /// The work of time: windows, periods, another incarnation, silent and dead edges.
    fn advance(&mut self, service: &Service<'_>, setup: &Setup) {
        let now = service.now;
        if self.period != setup.period_at(now) {
            self.period = setup.period_at(now);
            self.used = Default::default();
            for entry in &mut self.entries {
                entry.out = [0; METERS];
                entry.written_off = [0; METERS];
            }
        }
        if setup.period.is_none() {
            for used in &mut self.used {
                used.retain(|(last, _)| last + setup.window > now);
            }
        }
        if self.store != service.store {
            self.store = service.store;
            self.closed_until = now + setup.closing();
        }
        for entry in &mut self.entries {
            if now >= entry.seen + setup.life {
                for (m, used) in self.used.iter_mut().enumerate() {
                    count_at(used, now, entry.out[m], setup);
                    entry.written_off[m] += entry.out[m];
                    entry.out[m] = 0;
                }
            }
            if service.dead.contains(&entry.id) && setup.keeps(Rule::DeadEpochs) {
                entry.leases = 0;
            }
        }
    }

    fn entry(&mut self, id: Id) -> usize {
        let at = self.entries.binary_search_by_key(&id, |e| e.id);
        at.unwrap_or_else(|at| {
            let entry = Entry {
                id,
                number: 0,
                seen: 0,
                totals: Totals::default(),
                out: [0; METERS],
                leases: 0,
                written_off: [0; METERS],
                answer: Answer::default(),
            };
            self.entries.insert(at, entry);
            at
        })
    }

    /// Step 5: what the edge says that it used.
    fn count(&mut self, index: usize, m: usize, ask: &Ask, service: &Service<'_>, setup: &Setup) {
        let now = service.now;
        let entry = &mut self.entries[index];
        let used = &mut self.used[m];
        let of_now = setup.period.is_none() || ask.period == self.period;
        // The store forgot what it had acknowledged.
        let forgotten = ask.base.spent[m].saturating_sub(entry.totals.spent[m])
            + ask.base.extra[m].saturating_sub(entry.totals.extra[m]);
        if forgotten > 0 && of_now && setup.keeps(Rule::Restatement) {
            count_at(used, now, forgotten.min(ask.own[m]), setup);
        }
        let spent = steps(&ask.spent, m, &mut entry.totals.spent[m], ask.base.spent[m]);
        for (stamp, mut amount) in spent {
            let written_off = &mut self.entries[index].written_off[m];
            let netted = amount.min(*written_off);
            *written_off -= netted;
            amount -= netted;
            self.use_at(m, stamp, amount, now, setup);
        }
        let entry = &mut self.entries[index];
        let extra = steps(&ask.extra, m, &mut entry.totals.extra[m], ask.base.extra[m]);
        for (stamp, amount) in extra {
            self.use_at(m, stamp, amount, now, setup);
            if !setup.keeps(Rule::ExtraApart) {
                self.lowered[m] += amount;
            }
        }
        let entry = &mut self.entries[index];
        let refund = steps(
            &ask.refund,
            m,
            &mut entry.totals.refund[m],
            ask.base.refund[m],
        );
        for (stamp, amount) in refund {
            self.refund_at(m, stamp, amount, now, setup);
        }
        let entry = &mut self.entries[index];
        if setup.period.is_some() {
            let back = entry.written_off[m];
            entry.written_off[m] = 0;
            take_any(&mut self.used[m], back);
        } else if setup.keeps(Rule::NetOnce) {
            entry.written_off[m] = 0;
        }
    }

    fn use_at(&mut self, m: usize, stamp: Time, amount: u8, now: Time, setup: &Setup) {
        if setup.period.is_some() {
            if stamp == self.period {
                count_at(&mut self.used[m], now, amount, setup);
            }
            return;
        }
        let at = now.saturating_sub(stamp);
        if at + setup.window > now {
            count_at(&mut self.used[m], at, amount, setup);
        }
    }

    fn refund_at(&mut self, m: usize, stamp: Time, amount: u8, now: Time, setup: &Setup) {
        let used = &mut self.used[m];
        if setup.period.is_some() {
            if stamp == self.period {
                take_any(used, amount);
            }
            return;
        }
        let at = if setup.keeps(Rule::EarlyRefunds) {
            stamp
        } else {
            now.saturating_sub(stamp)
        };
        if let Some(part) = used.iter_mut().find(|(last, _)| *last == at) {
            part.1 = part.1.saturating_sub(amount);
        }
        used.retain(|(_, amount)| *amount > 0);
    }

    /// Steps 7 and 8.
    fn grant(&mut self, index: usize, ask: &Ask, service: &Service<'_>, setup: &Setup) -> Answer {
        let left = |m: usize| {
            let used: u8 = self.used[m].iter().map(|(_, amount)| amount).sum();
            let out: u8 = self.entries.iter().map(|e| e.out[m]).sum();
            (setup.limits[m] + self.lowered[m]).saturating_sub(used + out)
        };
        let leases: u8 = self.entries.iter().map(|e| e.leases).sum();
        let is_open = service.now >= self.closed_until;
        let fits = |m: usize| left(m) >= ask.need[m];
        let all =
            setup.meters().all(fits) && (ask.lease == 0 || leases + ask.lease <= setup.leases);
        let mut grant = [0; METERS];
        for m in setup.meters() {
            let single = !setup.keeps(Rule::AllOrNothing) && fits(m);
            if is_open && (all || single) {
                grant[m] = ask.need[m];
            }
        }
        let lease = if is_open && all { ask.lease } else { 0 };
        let answer = Answer {
            id: ask.id,
            number: ask.number,
            sent_at: ask.sent_at,
            grant,
            lease,
            store: service.store,
            at: service.now,
            period: self.period,
            ends_in: setup.period_end(service.now).saturating_sub(service.now),
        };
        let entry = &mut self.entries[index];
        for (out, granted) in entry.out.iter_mut().zip(grant) {
            *out += granted;
        }
        entry.leases += lease;
        entry.answer = answer;
        answer
    }
}

/// What a message's parts say beyond what was known: (stamp, difference).
fn steps(parts: &Parts, m: usize, known: &mut u8, base: u8) -> Vec<(Time, u8)> {
    *known = (*known).max(base);
    let mut found = Vec::new();
    for (stamp, total) in &parts[m] {
        if total > known {
            found.push((*stamp, total - *known));
            *known = *total;
        }
    }
    found
}

fn count_at(used: &mut Vec<(Time, u8)>, at: Time, amount: u8, setup: &Setup) {
    if amount == 0 {
        return;
    }
    let at = if setup.period.is_some() { 0 } else { at };
    match used.binary_search_by_key(&at, |(last, _)| *last) {
        Ok(index) => used[index].1 += amount,
        Err(index) => used.insert(index, (at, amount)),
    }
}

/// Takes from a period's sum.
fn take_any(used: &mut Vec<(Time, u8)>, amount: u8) {
    if let Some(part) = used.first_mut() {
        part.1 = part.1.saturating_sub(amount);
    }
    used.retain(|(_, amount)| *amount > 0);
}
