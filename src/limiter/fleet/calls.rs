//! Calls to the fleet's service: asks, reports and heartbeats, and the answers.

use super::super::{Limiter, terms};
use crate::fleet::answer::{Granted, apply, give_up};
use crate::fleet::batch::{MOST_ACCOUNTS, Speaker, StepBatch, granted};
use crate::fleet::edge::{Edge, ServiceWords};
use crate::fleet::message::{MOST_ANSWER_BYTES, StepAnswer};
use crate::fleet::meter_key::MeterKey;
use crate::fleet::{Draft, ReportStep, report};
use crate::host::Host;
use crate::ledger::{AccountKey, Fault, FaultCause, RecordChange, RecordKey, Which};
use crate::limits::day::DayRule;
use crate::limits::record::FamilyKey;
use crate::limits::{Limits, Plan, Record};
use crate::shared::StoreError;
use crate::time::{Mono, Now, Span};

/// A draft, and the record that it is of.
#[derive(Debug)]
pub struct Addressed {
    pub key: AccountKey,
    pub draft: Draft,
}

/// A call to the service.
#[derive(Debug)]
pub struct FleetCall {
    /// The JSON body.
    pub body: Vec<u8>,
    meters: Vec<MeterKey>,
    letters: Vec<Addressed>,
}

impl Limiter {
    /// True when something is to be said at once: a tick is due in 2 ms. Nothing is while the service
    /// is away.
    pub fn has_asks(&self) -> bool {
        let desk = &self.vm.borrow().desk;
        let is_away = desk.edge.as_ref().is_none_or(|edge| edge.view().away);
        let has_words = !desk.asks.is_empty() || !desk.urgent.is_empty();
        has_words && !is_away
    }

    /// Forgets which accounts were answered: the waiting requests have looked.
    pub fn end_answers(&self) {
        self.vm.borrow_mut().desk.answered.clear();
    }

    /// Looks at what the edge's other VMs heard.
    pub(in super::super) fn look_at_edge(&mut self, host: &dyn Host) {
        if self.config.fleet.is_some() {
            let looked = self.at_edge(|edge| edge.look(host));
            self.keep_fault(looked);
            self.follow_clock();
        }
    }

    /// Lets periods turn by the store's clock.
    fn follow_clock(&self) {
        let vm = self.vm.borrow();
        let ahead = vm.desk.edge.as_ref().map_or(0, Edge::clock_ahead_ms);
        self.ledger.follow_clock(ahead);
    }

    /// Returns the next call to the service, if there is anything to say at `now`.
    pub fn take_fleet_call(&mut self, host: &dyn Host, now: Mono) -> Option<FleetCall> {
        let (fleet, view) = self.fleet()?;
        let sync = fleet.policy.sync;
        if view.away {
            let probes = self.at_edge(|edge| edge.takes_probe(host, now));
            let probes = probes.unwrap_or_else(|error| {
                self.note_fault(error.into());
                false
            });
            let letters = probes.then(|| self.letters(host, now, sync))?;
            return Some(self.call(letters));
        }
        let letters = self.letters(host, now, sync);
        let is_due = !letters.is_empty() || self.vm.borrow_mut().desk.beats(now);
        is_due.then(|| self.call(letters))
    }

    /// Takes what is to be said: asks, then ends that others wait for, then reports.
    fn letters(&mut self, host: &dyn Host, now: Mono, sync: Span) -> Vec<Addressed> {
        let mut letters = self.vm.borrow_mut().desk.take_asks();
        let mut later = Vec::new();
        while letters.len() < MOST_ACCOUNTS
            && let Some(key) = self.next_urgent()
        {
            match self.report_stake(host, key, true) {
                Ok(ReportStep::Send(draft)) => letters.push(Addressed { key, draft }),
                // A message about it is on its way: this one follows the answer.
                Ok(ReportStep::Later) => later.push(key),
                Ok(ReportStep::Done) => {}
                Err(fault) => self.note_unreported(key, fault),
            }
        }
        self.vm.borrow_mut().desk.urgent.extend(later);
        if now.since(self.vm.borrow().desk.reported) >= sync {
            self.reports(host, now, &mut letters);
        }
        letters
    }

    /// Adds the reports that are due, in the VM that speaks for the edge; others pass theirs on.
    fn reports(&mut self, host: &dyn Host, now: Mono, letters: &mut Vec<Addressed>) {
        if !self.speaks() {
            let passed = self.pass_on(host);
            self.keep_fault(passed);
            self.vm.borrow_mut().desk.reported = now;
            return;
        }
        let gathered = self.gather(host);
        self.keep_fault(gathered);
        let dirty = self.vm.borrow().desk.dirty.clone();
        for key in dirty {
            if letters.len() >= MOST_ACCOUNTS {
                // With more to say than fits, the next call follows at once.
                return;
            }
            match self.report_stake(host, key, false) {
                Ok(ReportStep::Send(draft)) => letters.push(Addressed { key, draft }),
                Ok(ReportStep::Later) => {}
                Ok(ReportStep::Done) => _ = self.vm.borrow_mut().desk.dirty.remove(&key),
                Err(fault) => self.note_unreported(key, fault),
            }
        }
        self.vm.borrow_mut().desk.reported = now;
    }

    /// Notes an account that a fault kept a report back of. The next report tries again, but for what
    /// newer code wrote: that is newer code's to tell.
    fn note_unreported(&mut self, key: AccountKey, fault: Fault) {
        match fault.cause() {
            FaultCause::NewerLayout => _ = self.vm.borrow_mut().desk.dirty.remove(&key),
            _ => self.vm.borrow_mut().desk.note(key),
        }
        self.note_fault(fault);
    }

    /// True in the VM that speaks for the edge.
    fn speaks(&self) -> bool {
        let vm = self.vm.borrow();
        vm.desk.edge.as_ref().is_some_and(Edge::speaks)
    }

    fn next_urgent(&self) -> Option<AccountKey> {
        self.vm.borrow_mut().desk.urgent.pop_first()
    }

    fn report_stake(
        &self,
        host: &dyn Host,
        key: AccountKey,
        at_once: bool,
    ) -> Result<ReportStep, Fault> {
        let Some((fleet, view)) = self.fleet() else {
            return Ok(ReportStep::Done);
        };
        self.change_stake(host, key, |record, now| {
            let step = report(record, view.epoch, &fleet.policy, at_once, now);
            match step {
                ReportStep::Send(_) => RecordChange::Write(step),
                _ => RecordChange::Keep(step),
            }
        })
    }

    /// Changes the part of an account in its own record, advanced to the present.
    pub(super) fn change_stake<T>(
        &self,
        host: &dyn Host,
        account: AccountKey,
        mut change: impl FnMut(&mut Record, Now) -> RecordChange<T>,
    ) -> Result<T, Fault> {
        let plan = Plan::new(Limits::default(), self.config.windows);
        let terms = terms(&self.config, &plan, None);
        let key = RecordKey {
            account,
            which: Which::Own,
        };
        self.change(host, key, &terms, |record, now| {
            record.advance(now, &self.config.windows);
            change(record, now)
        })
    }

    fn call(&self, letters: Vec<Addressed>) -> FleetCall {
        let mut batch = StepBatch::default();
        for letter in &letters {
            batch.add(&letter.draft, |key| self.meter_name(key));
        }
        let vm = self.vm.borrow();
        let edge = vm.desk.edge.as_ref();
        let fleet = self.config.fleet.as_ref();
        let (request, meters) = batch.request(&Speaker {
            namespace: &self.config.namespace,
            epoch: edge.map_or(0, |edge| edge.view().epoch),
            store: edge.map_or("", Edge::store),
            after_loss: fleet
                .map(|fleet| fleet.policy.after_loss)
                .unwrap_or_default(),
            orders: edge.map_or(0, Edge::orders),
        });
        FleetCall {
            // Strings and numbers always serialise.
            body: serde_json::to_vec(&request).unwrap_or_default(),
            meters,
            letters,
        }
    }

    /// Returns a meter's name in messages; `None` for one that this config can't name.
    pub(super) fn meter_name(&self, key: MeterKey) -> Option<String> {
        let zone = match self.config.windows.day {
            DayRule::Calendar { zone } => Some(zone),
            DayRule::Rolling(_) => None,
        };
        let family = match key.family() {
            FamilyKey::ACCOUNT => None,
            family => {
                let mut families = self.config.models.iter();
                let found = families.find(|one| FamilyKey::of(&one.name) == family);
                Some(found?.name.as_str())
            }
        };
        if !key.is_period() {
            return Some(key.name("", family));
        }
        let zone = zone.filter(|zone| key.is_of_zone(zone.key()))?;
        Some(key.name(&zone.to_string(), family))
    }

    /// Ends a call with the body of its answer; `None` for a call that failed. Returns the problem,
    /// if there was one.
    pub fn end_fleet_call(
        &mut self,
        host: &dyn Host,
        call: FleetCall,
        body: Option<&[u8]>,
    ) -> Option<String> {
        let answer = body.map(read_answer);
        let Some(Ok(answer)) = answer else {
            let failed = self.at_edge(|edge| edge.fail(host));
            self.keep_fault(failed);
            for letter in &call.letters {
                self.end_letter_of(host, letter, None);
            }
            return match answer {
                Some(Err(problem)) => Some(problem),
                _ => None,
            };
        };
        let said = ServiceWords {
            rank: answer.rank,
            edges: answer.edges,
            store: &answer.store,
            time: answer
                .items
                .iter()
                .map(|item| item.clock)
                .max()
                .filter(|clock| *clock > 0),
        };
        let heard = self.at_edge(|edge| edge.hear(host, &said));
        self.keep_fault(heard);
        self.follow_clock();
        if answer.fenced {
            let anew = self.at_edge(|edge| edge.begin_anew(host));
            self.keep_fault(anew);
        }
        if let Some(orders) = &answer.orders {
            self.follow_orders(host, orders);
        }
        let known = (answer.edges, call.meters.as_slice());
        let mut problem = None;
        for (place, letter) in call.letters.iter().enumerate() {
            let item = answer.items.get(place);
            let item_granted = item.and_then(|item| granted(&letter.draft, item, known));
            if item_granted.is_none() {
                let fault = item.and_then(|item| item.fault.clone());
                let unfit = || "an answer about another account, or a grant that is too large";
                problem = Some(fault.unwrap_or_else(|| unfit().to_owned()));
            }
            self.end_letter_of(host, letter, item_granted.as_ref());
        }
        problem
    }

    fn end_letter_of(&mut self, host: &dyn Host, letter: &Addressed, answer: Option<&Granted>) {
        let Some((_, view)) = self.fleet() else {
            return;
        };
        let (epoch, seq) = (view.epoch, letter.draft.seq);
        let counted = self.change_stake(host, letter.key, |record, now| {
            let changed = match answer {
                Some(answer) => apply(record, answer, epoch, now),
                None => give_up(record, seq, epoch, now),
            };
            match changed {
                true => RecordChange::Write(true),
                false => RecordChange::Keep(false),
            }
        });
        {
            let desk = &mut self.vm.borrow_mut().desk;
            let counts = &mut desk.counts;
            match (answer, &counted) {
                (Some(_), Ok(true)) => counts.grants = counts.grants.saturating_add(1),
                _ => counts.failures = counts.failures.saturating_add(1),
            }
            desk.answered.insert(letter.key);
            desk.note(letter.key);
        }
        self.keep_fault(counted.map(|_| ()));
    }

    /// Runs `change` on the edge; without one, nothing is done.
    pub(super) fn at_edge<T: Default>(
        &self,
        change: impl FnOnce(&mut Edge) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &mut self.vm.borrow_mut().desk.edge {
            Some(edge) => change(edge),
            None => Ok(T::default()),
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// The first thing that is wrong with it.
fn read_answer(body: &[u8]) -> Result<StepAnswer, String> {
    if body.len() > MOST_ANSWER_BYTES {
        return Err(format!("an answer of more than {MOST_ANSWER_BYTES} bytes"));
    }
    serde_json::from_slice(body).map_err(|error| format!("the answer is not valid: {error}"))
}
