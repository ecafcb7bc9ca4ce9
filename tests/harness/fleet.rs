//! The fleet's store in memory, by the protocol's rules: the oracle of the script in Redis, and the
//! other side of edges in tests without one.

use meter::{Held, Sum, period_end};
use sha2::Digest as _;
use std::collections::BTreeMap;
use tiergate::fleet::hex::{AccountId, EdgeId, Hex, Incarnation};
use tiergate::fleet::message::{
    ItemAnswer, LeaseGrant, MeterAsk, MeterGrant, StepAnswer, StepItem, StepObstacle, StepRefusal,
    StepRequest,
};
use tiergate::fleet::orders::{LoadOrder, Orders, ResetOrder};

#[path = "fleet_meter.rs"]
mod meter;

/// The life of an allowance, with its margin.
const DEAD_AFTER: u64 = 12_000;
/// The time after which an edge is dead.
const EDGE_DEAD_AFTER: u64 = 10_000;

#[derive(Clone, Debug, Default)]
pub struct FleetStore {
    accounts: BTreeMap<AccountId, Account>,
    edges: BTreeMap<EdgeId, u64>,
    pub steps: u64,
    /// Changes when the store loses what it knew.
    pub losses: u64,
    /// The number of the last order.
    ordered: u64,
    load: Option<(u64, LoadOrder)>,
    resets: Vec<(u64, ResetOrder)>,
    /// The end of the time in which all accounts are closed.
    closed_until: u64,
    /// What the clocks of accounts are behind that of the store, which has moved to another node.
    pub behind_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Account {
    generation: u32,
    /// The time of the last reset.
    begun: u64,
    sums: BTreeMap<String, Sum>,
    entries: BTreeMap<(EdgeId, Incarnation), Entry>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    seq: u32,
    seen: u64,
    written_off: bool,
    meters: BTreeMap<String, Held>,
    leases: BTreeMap<String, u64>,
    answer: ItemAnswer,
}

impl FleetStore {
    /// Answers a request that comes in at `now`, in milliseconds of the wall clock.
    pub fn answer(&mut self, request: &StepRequest, now: u64) -> StepAnswer {
        self.edges.insert(request.edge, now);
        self.edges.retain(|_, seen| now < *seen + EDGE_DEAD_AFTER);
        let alive: Vec<EdgeId> = self.edges.keys().copied().collect();
        let items = request.items.iter().map(|item| {
            self.steps += 1;
            let account = self.accounts.entry(item.account).or_default();
            let mut answer = account.step(request, item, (now, &alive));
            close(&mut answer, item, self.closed_until.saturating_sub(now));
            answer.time = answer.time.saturating_sub(self.behind_ms);
            answer.clock = now;
            answer
        });
        let items = items.collect();
        StepAnswer {
            v: 1,
            store: format!("memory {}", self.losses),
            rank: u32::try_from(alive.iter().position(|e| *e == request.edge).unwrap()).unwrap(),
            edges: u32::try_from(alive.len()).unwrap(),
            fenced: false,
            orders: self.orders_after(request.orders),
            items,
        }
    }

    fn orders_after(&self, followed: u64) -> Option<Orders> {
        let resets = self.resets.iter().filter(|(n, _)| *n > followed);
        (self.ordered > followed).then(|| Orders {
            last: self.ordered,
            load: self
                .load
                .clone()
                .filter(|(n, _)| *n > followed)
                .map(|(_, load)| load),
            resets: resets.map(|(_, order)| order.clone()).collect(),
        })
    }

    /// Begins the use of an account anew, as an operator orders it.
    pub fn reset(&mut self, id: &str, now: u64) {
        let digest = sha2::Sha256::digest([b"\0", id.as_bytes()].concat());
        let account = self
            .accounts
            .entry(Hex(digest[..16].try_into().unwrap()))
            .or_default();
        account.generation += 1;
        account.begun = now;
        account.sums.clear();
        for entry in account.entries.values_mut() {
            entry.meters.values_mut().for_each(|held| held.lost = 0);
        }
        self.ordered += 1;
        let (id, generation) = (id.to_owned(), account.generation);
        self.resets
            .push((self.ordered, ResetOrder { id, generation }));
    }

    /// Tells no edge of the orders so far.
    pub fn forget_orders(&mut self) {
        self.resets.clear();
    }

    /// Sets a scale on the limits of all edges, or ends it.
    pub fn order_load(&mut self, order: LoadOrder) {
        self.ordered += 1;
        self.load = Some((self.ordered, order));
    }

    /// Loses all that it knew.
    pub fn forget(&mut self) {
        self.accounts.clear();
        self.losses += 1;
    }

    /// Closes all accounts until a moment.
    pub fn close_until(&mut self, at: u64) {
        self.closed_until = at;
    }

    /// What is used of a meter of all accounts, and what edges hold of it.
    pub fn used_and_out(&self, meter: &str) -> (u64, u64) {
        let mut all = (0, 0);
        for account in self.accounts.values() {
            all.0 += account.sums.get(meter).map_or(0, Sum::used);
            all.1 += account.out(meter);
        }
        all
    }
}

/// Says that the account is closed for so long: what was granted is void.
fn close(answer: &mut ItemAnswer, item: &StepItem, wait: u64) {
    if wait == 0 {
        return;
    }
    let asks = item.meters.iter().any(|ask| ask.need > 0);
    let wait_ms = u32::try_from(wait).unwrap();
    let by = StepObstacle::Closed;
    answer.ok = !asks;
    answer.no = Some(StepRefusal {
        meter: 0,
        wait_ms,
        by,
    });
    answer.meters.iter_mut().for_each(|one| one.grant = 0);
}

impl Account {
    fn out(&self, meter: &str) -> u64 {
        let held = self
            .entries
            .values()
            .filter_map(|entry| entry.meters.get(meter));
        held.map(|held| held.out).sum()
    }

    fn leased(&self, meter: &str) -> u64 {
        let leases = self
            .entries
            .values()
            .filter_map(|entry| entry.leases.get(meter));
        leases.sum()
    }

    fn step(
        &mut self,
        request: &StepRequest,
        item: &StepItem,
        (now, alive): (u64, &[EdgeId]),
    ) -> ItemAnswer {
        let name = |index: u32| request.meters[index as usize].clone();
        for (meter, sum) in &mut self.sums {
            let is_over = sum.advance(meter, now);
            for entry in self.entries.values_mut().filter(|_| is_over) {
                if let Some(held) = entry.meters.get_mut(meter) {
                    (held.out, held.lost) = (0, 0);
                }
            }
        }
        self.write_off(now, alive);
        let key = (request.edge, item.incarnation);
        let entry = self.entries.entry(key).or_default();
        if item.seq < entry.seq {
            return ItemAnswer {
                stale: true,
                ..ids(item)
            };
        }
        if item.seq == entry.seq {
            return entry.answer.clone();
        }
        self.generation = self.generation.max(item.generation).max(1);
        for ask in &item.meters {
            let meter = name(ask.meter);
            let sum = self.sums.entry(meter.clone()).or_default();
            sum.advance(&meter, now);
            let held = entry.meters.entry(meter.clone()).or_default();
            held.count(sum, ask, (&meter, now), self.begun);
            held.out = ask.held;
            held.limit = ask.limit;
        }
        for ask in &item.leases {
            entry
                .leases
                .insert(name(ask.meter), ask.in_process + ask.held);
        }
        (entry.seq, entry.seen, entry.written_off) = (item.seq, now, false);
        self.forget_lost_records(request.edge);
        let answer = self.grant(request, item, (now, alive.len() as u64));
        let entry = self.entries.get_mut(&key).unwrap();
        entry.answer = answer.clone();
        answer
    }

    /// Frees the leases of an edge's older incarnations: it lost those records, and nobody would
    /// speak of them again.
    fn forget_lost_records(&mut self, edge: EdgeId) {
        let of_edge = (edge, Incarnation::default())..=(edge, Hex([u8::MAX; 8]));
        let mut entries = self.entries.range_mut(of_edge).rev();
        let _newest = entries.next();
        for (_, entry) in entries {
            entry.leases.values_mut().for_each(|leases| *leases = 0);
        }
    }

    /// Counts what edges held that were silent for longer than it is good.
    fn write_off(&mut self, now: u64, alive: &[EdgeId]) {
        for ((edge, _), entry) in &mut self.entries {
            if !alive.contains(edge) {
                entry.leases.clear();
            }
            if entry.written_off || now < entry.seen + DEAD_AFTER {
                continue;
            }
            entry.written_off = true;
            for (meter, held) in &mut entry.meters {
                let sum = self.sums.entry(meter.clone()).or_default();
                sum.add(meter, now, now, held.out);
                (held.lost, held.out) = (held.out, 0);
            }
        }
    }

    fn grant(
        &mut self,
        request: &StepRequest,
        item: &StepItem,
        (now, edges): (u64, u64),
    ) -> ItemAnswer {
        let name = |index: u32| request.meters[index as usize].clone();
        let mut no: Option<StepRefusal> = None;
        let mut refuse = |meter: u32, wait: u64, by| {
            if no.is_none_or(|no| u64::from(no.wait_ms) < wait) {
                let wait_ms = u32::try_from(wait).unwrap();
                no = Some(StepRefusal { meter, wait_ms, by });
            }
        };
        let mut lefts = Vec::new();
        for ask in &item.meters {
            let meter = name(ask.meter);
            let (used, out) = (self.sums[&meter].used(), self.out(&meter));
            let left = ask.limit.saturating_sub(used + out);
            lefts.push((used, left));
            if left < ask.need {
                match used + ask.need > ask.limit {
                    true => {
                        let wait = self.sums[&meter].wait(&meter, now, ask.need, ask.limit);
                        refuse(ask.meter, wait, StepObstacle::Used);
                    }
                    false => refuse(ask.meter, 1_250, StepObstacle::Held),
                }
            }
        }
        for ask in &item.leases {
            if ask.limit.saturating_sub(self.leased(&name(ask.meter))) < ask.need {
                refuse(ask.meter, 1_000, StepObstacle::Held);
            }
        }
        let mut answer = ItemAnswer {
            ok: no.is_none(),
            generation: self.generation,
            time: now,
            no,
            ..ids(item)
        };
        let active = self
            .entries
            .values()
            .filter(|entry| now < entry.seen + 60_000);
        let active = (active.count() as u64).max(1);
        let edges = edges.min(active.max(3));
        answer.edges = u32::try_from(edges).unwrap();
        let key = (request.edge, item.incarnation);
        for (ask, (used, left)) in item.meters.iter().zip(lefts) {
            let grant = if no.is_some() {
                0
            } else {
                grant(ask, left, edges, active)
            };
            let meter = name(ask.meter);
            let entry = self.entries.get_mut(&key).unwrap();
            entry.meters.get_mut(&meter).unwrap().out += grant;
            let left = left - grant;
            answer.tight |= left * 10 < ask.limit * 3;
            answer.meters.push(MeterGrant {
                meter: ask.meter,
                grant,
                used,
                left,
                ends_ms: period_end(&meter, now).map_or(0, |end| end - now),
            });
        }
        for ask in &item.leases {
            let meter = name(ask.meter);
            let left = ask.limit.saturating_sub(self.leased(&meter));
            let more = ask.want.min(left.saturating_sub(ask.need) / (2 * active));
            let grant = match (no, ask.limit >= 4 * edges) {
                (Some(_), _) => 0,
                (None, true) => ask.need + more,
                (None, false) => ask.need,
            };
            *self
                .entries
                .get_mut(&key)
                .unwrap()
                .leases
                .get_mut(&meter)
                .unwrap() += grant;
            answer.leases.push(LeaseGrant {
                meter: ask.meter,
                grant,
                left: left - grant,
            });
        }
        answer
    }
}

fn ids(item: &StepItem) -> ItemAnswer {
    ItemAnswer {
        account: item.account,
        incarnation: item.incarnation,
        seq: item.seq,
        ..ItemAnswer::default()
    }
}

fn grant(ask: &MeterAsk, left: u64, edges: u64, active: u64) -> u64 {
    let rest = left - ask.need;
    let is_ample = ask.limit >= 4 * edges && rest * 10 > ask.limit * 3;
    let more = ask.want.min(rest / (2 * active)).min(left / 4);
    ask.need + if is_ample { more } else { 0 }
}
