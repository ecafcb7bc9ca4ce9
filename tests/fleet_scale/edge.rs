//! One edge: an Envoy with one worker, and its requests that wait.

use crate::accounts::{Accounts, config};
use crate::harness::{FleetStore, Next, Ticket, Used, Worker, World};
use crate::{Fleet, STEP_US, Seen};
use std::sync::Arc;

/// The time between two reports, in milliseconds.
const SYNC_MS: u64 = 250;

pub struct Edge {
    world: Arc<World>,
    worker: Worker,
    /// Requests that wait; true for those of busy accounts.
    waiting: Vec<(Ticket, bool)>,
    /// When the next report is due, on the clock of the simulation.
    due_ms: u64,
    pub seen: Seen,
}

impl Edge {
    pub fn new(n: usize, fleet: &Fleet) -> Self {
        let world = World::new();
        // Edges begin one after the other.
        let phase = n as u64 * 37 % SYNC_MS;
        let nonce = n as u64 + 1;
        Self {
            worker: Worker::new(&world, config(fleet)).joins_fleet(nonce),
            world,
            waiting: Vec::new(),
            due_ms: phase,
            seen: Seen::default(),
        }
    }

    /// Forgets what was seen so far.
    pub fn forget(&mut self) {
        self.seen = Seen::default();
    }

    /// A request of an account.
    pub fn arrives(&mut self, accounts: &Accounts, account: u64) {
        self.seen.requests += 1;
        let busy = accounts.is_busy(account);
        let next = self.worker.check(&accounts.request(account)).next;
        self.follows(next, busy, false);
    }

    fn follows(&mut self, next: Next, busy: bool, waited: bool) {
        let seen = &mut self.seen;
        match next {
            Next::Forward(pass) => {
                seen.admitted += 1;
                seen.in_line += u64::from(waited);
                seen.busy.0 += u64::from(busy);
                seen.busy.1 += u64::from(busy && waited);
                // Half of what was reserved.
                self.worker
                    .settle(pass.admission.unwrap(), Used::Tokens(600));
            }
            Next::Queue(ticket) => self.waiting.push((*ticket, busy)),
            Next::Reply(_) => seen.refused += 1,
        }
    }

    /// Lets a step pass: what is to be said is said, and requests that were answered go on.
    pub fn step(&mut self, store: &mut FleetStore, now_ms: u64) {
        let reports = now_ms >= self.due_ms;
        if reports {
            self.due_ms += SYNC_MS;
            self.worker.tick();
        }
        if reports || self.worker.has_asks() {
            self.talks(store);
        }
        self.world.pass_us(STEP_US);
        for (ticket, busy) in std::mem::take(&mut self.waiting) {
            if self.worker.is_due(&ticket) {
                let next = self.worker.retry(&ticket);
                self.follows(next, busy, true);
            } else {
                self.waiting.push((ticket, busy));
            }
        }
        self.worker.end_answers();
    }

    fn talks(&mut self, store: &mut FleetStore) {
        while let Some(call) = self.worker.fleet_call() {
            let request = serde_json::from_slice(&call.body).unwrap();
            let answer = store.answer(&request, self.world.wall_us() / 1_000);
            let answer = serde_json::to_vec(&answer).unwrap();
            let items = request.items.len() as u64;
            self.seen.calls += 1;
            self.seen.items += items;
            self.seen.largest = self.seen.largest.max(items);
            self.seen.bytes.0 += call.body.len() as u64;
            self.seen.bytes.1 += answer.len() as u64;
            assert_eq!(self.worker.end_fleet_call(call, Some(&answer)), None);
        }
    }
}
