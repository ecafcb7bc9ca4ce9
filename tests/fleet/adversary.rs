//! Edges of the protocol against the real script, under an adversary: messages that are lost,
//! late, doubled or overtaken, restarts, evicted records, cuts, refunds, use beyond the reserve,
//! wall clocks that differ, and a store that forgets. What is admitted is counted apart.

use crate::edge::{Edge, LIFE, PERIOD, Rules, TIMEOUT, WINDOW};
use crate::redis_server::RedisServer;
use crate::script::{Store, slot};
use crate::step::{MeterOver, MeterSlot, StepContext, StepReply};
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use tiergate::fleet::hex::EdgeId;
use tiergate::fleet::message::{ItemAnswer, StepItem};

const SYNC: u64 = 250;
const MARGIN: u64 = 500;

/// What becomes of the store in the middle of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    #[default]
    None,
    /// It forgets up to the last second.
    RolledBack,
    /// It forgets everything.
    Emptied,
}

#[derive(Clone, Copy, Default)]
pub struct Play {
    pub rules: Rules,
    pub loss: Loss,
    pub calm: bool,
    pub seconds: u64,
}

enum Event {
    Request(usize),
    Tick(usize),
    Arrives(usize, EdgeId, StepItem, u64, u64, u64),
    Answer(usize, ItemAnswer, u32, u64, u64, u64),
    TimedOut(usize, u32, u64),
    Settles(usize, u64, u64, u64, u64, u64),
    Snapshot,
    Loses,
}

struct Admitted {
    at: u64,
    tokens: u64,
    /// The edge, and which of its lives.
    by: (usize, u64),
}

pub struct Game<'a> {
    store: &'a mut Store,
    rng: Rng,
    play: Play,
    edges: Vec<Edge>,
    limits: [u64; 4],
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    cut: Vec<u64>,
    heard: BTreeMap<EdgeId, u64>,
    admitted: Vec<Admitted>,
    most_in_process: u64,
    node: u32,
    lost_at: Option<u64>,
    snapshot: Vec<u8>,
    end: u64,
    pub asks: u64,
}

/// The largest use of each limit as a part of it: requests, tokens, tokens of a period, leases.
pub type Ratios = [f64; 4];

impl<'a> Game<'a> {
    pub fn new(store: &'a mut Store, seed: u64, play: Play) -> Self {
        let mut rng = Rng::with_seed(seed);
        let limits = [(3, 2_000), (20, 5_000), (20, 100_000), (200, 20_000)][rng.usize(..4)];
        let leases = [2, 8, 30, 100][rng.usize(..4)];
        // Each limit is the one that refuses in some runs.
        let period = limits.1 * [2, 5, 8][rng.usize(..3)] / 5;
        let limits = [limits.0, limits.1, period, leases];
        let count = [2, 3, 8][rng.usize(..3)];
        let skews = (0..count).map(|name| (name, rng.i64(-1_000..1_000)));
        // What an emptied store learns of a period is that of edges which follow its clock, as edges do.
        let follows = play.loss == Loss::Emptied;
        let edges: Vec<_> = skews
            .map(|(name, skew)| Edge::new(name, if follows { 0 } else { skew }, play.rules))
            .collect();
        let _: () = redis::cmd("DEL")
            .arg(&store.key)
            .query(&mut store.redis)
            .unwrap();
        let mut game = Self {
            store,
            cut: vec![0; edges.len()],
            edges,
            rng,
            play,
            limits,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            heard: BTreeMap::new(),
            admitted: Vec::new(),
            most_in_process: 0,
            node: 1,
            lost_at: None,
            snapshot: Vec::new(),
            // No period begins at 0, where labels would be of before it.
            end: 1_000_000 + play.seconds * 1_000,
            asks: 0,
        };
        game.prepare();
        game
    }

    fn push(&mut self, at: u64, event: Event) {
        self.queue
            .push(Reverse((at, self.events.len() as u64, self.events.len())));
        self.events.push(Some(event));
    }

    fn prepare(&mut self) {
        let begin = self.end - self.play.seconds * 1_000;
        let load = [1.0, 3.0, 10.0][self.rng.usize(..3)];
        let mean = WINDOW as f64 / (load * self.limits[0] as f64);
        let mut at = begin as f64;
        while at < self.end as f64 {
            at += match self.rng.f64() > 0.02 {
                true => -mean * (1.0 - self.rng.f64()).ln(),
                false => self.rng.f64() * 4_000.0,
            };
            let edge = match self.rng.f64() < 0.7 {
                true => self.rng.usize(..self.edges.len()),
                false => (at / 15_000.0) as usize % self.edges.len(),
            };
            self.push(at as u64, Event::Request(edge));
        }
        for edge in 0..self.edges.len() {
            let mut at = begin + self.rng.u64(..SYNC);
            while at < self.end {
                self.push(at, Event::Tick(edge));
                at += SYNC;
            }
        }
        if self.play.loss != Loss::None {
            let at = begin + self.play.seconds * 500 + self.rng.u64(..WINDOW);
            let back = self.rng.u64(100..1_000);
            self.push(at - back, Event::Snapshot);
            self.push(at, Event::Loses);
        }
    }

    pub fn play(mut self) -> (Ratios, usize) {
        while let Some(Reverse((now, _, index))) = self.queue.pop() {
            if now > self.end {
                break;
            }
            let event = self.events[index].take().unwrap();
            self.happens(now, event);
        }
        (self.ratios(), self.admitted.len())
    }

    fn happens(&mut self, now: u64, event: Event) {
        match event {
            Event::Request(edge) => self.request(now, edge),
            Event::Tick(edge) => self.tick(now, edge),
            Event::Arrives(edge, id, item, sent, life, tokens) => {
                let answer = self.step(now, id, &item);
                if self.play.calm || self.rng.f64() >= 0.05 {
                    let after = self.rng.u64(1..4);
                    let event = Event::Answer(edge, answer, self.node, sent, life, tokens);
                    self.push(now + after, event);
                }
            }
            Event::Answer(edge, answer, node, sent, life, tokens) => {
                let is_other = self.edges[edge].life != life;
                if is_other || !self.edges[edge].hear(now, sent, node, &answer) {
                    return;
                }
                if tokens > 0 && !(answer.ok && self.admit(now, edge, tokens)) {
                    self.edges[edge].refused_until = now + SYNC;
                }
            }
            Event::TimedOut(edge, n, life) => {
                let one = &mut self.edges[edge];
                let is_pending = one.pending.is_some_and(|(pending, _)| pending == n);
                if one.life == life && is_pending {
                    one.pending = None;
                }
            }
            Event::Settles(edge, life, at, label, reserve, used) => {
                let keeps = self.limits[3] >= 4 * self.edges.len() as u64;
                let one = &mut self.edges[edge];
                if one.life == life {
                    one.settle(now, at, label, reserve, used, keeps);
                }
            }
            Event::Snapshot => {
                let key = &self.store.key;
                let dump: Option<Vec<u8>> = redis::cmd("DUMP")
                    .arg(key)
                    .query(&mut self.store.redis)
                    .unwrap();
                self.snapshot = dump.unwrap_or_default();
            }
            Event::Loses => self.lose(now),
        }
    }

    fn lose(&mut self, now: u64) {
        self.node += 1;
        self.lost_at = Some(now);
        let (key, redis) = (&self.store.key, &mut self.store.redis);
        let _: () = redis::cmd("DEL").arg(key).query(redis).unwrap();
        if self.play.loss == Loss::RolledBack && !self.snapshot.is_empty() {
            let mut restore = redis::cmd("RESTORE");
            let _: () = restore
                .arg(key)
                .arg(0)
                .arg(&self.snapshot)
                .query(redis)
                .unwrap();
        }
    }

    fn request(&mut self, now: u64, edge: usize) {
        let tokens = [50, 200, 800][self.rng.usize(..3)];
        if !self.play.calm {
            if self.rng.f64() < 0.002 {
                self.edges[edge].restart();
            }
            // No cut is as long as leases live: beyond it, streams of the edge may be too many.
            if self.rng.f64() < 0.003 && self.cut[edge] + 4_000 < now {
                self.cut[edge] = now + self.rng.u64(..8_000);
            }
        }
        if self.admit(now, edge, tokens) {
            return;
        }
        let one = &self.edges[edge];
        if one.pending.is_none() && now >= one.refused_until {
            let want = if one.tight { [0; 4] } else { [4, 800, 800, 4] };
            self.asks += 1;
            self.send(now, edge, [1, tokens, tokens, 1], want, tokens);
        }
    }

    fn tick(&mut self, now: u64, edge: usize) {
        if self.cut[edge] <= now {
            self.heard.insert(self.edges[edge].id(), now);
            self.edges[edge].store = self.node;
        }
        let one = &mut self.edges[edge];
        let is_idle = one.holds() && (now - one.last > 1_000 || one.tight);
        if one.pending.is_some() || !(one.has_news() || is_idle) {
            return;
        }
        if is_idle {
            one.give_back();
        }
        self.send(now, edge, [0; 4], [0; 4], 0);
    }

    fn send(&mut self, now: u64, edge: usize, need: [u64; 4], want: [u64; 4], tokens: u64) {
        let item = self.edges[edge].message(now, &self.limits, need, want);
        let (id, life, n) = (self.edges[edge].id(), self.edges[edge].life, item.seq);
        self.push(now + TIMEOUT, Event::TimedOut(edge, n, life));
        if self.cut[edge] > now {
            return;
        }
        self.heard.insert(id, now);
        let arrives = |item| Event::Arrives(edge, id, item, now, life, tokens);
        let mut after = Some(self.rng.u64(1..4));
        if !self.play.calm {
            let luck = self.rng.f64();
            if luck < 0.05 {
                after = None;
            } else if luck < 0.12 {
                after = Some(self.rng.u64(10..WINDOW * 3 / 2));
            }
            if self.rng.f64() < 0.05 {
                let again = now + self.rng.u64(1..WINDOW);
                self.push(again, arrives(item.clone()));
            }
        }
        if let Some(after) = after {
            self.push(now + after, arrives(item));
        }
    }

    fn step(&mut self, now: u64, edge: EdgeId, item: &StepItem) -> ItemAnswer {
        let end = now / PERIOD * PERIOD + PERIOD;
        let slots: [MeterSlot; 4] = [
            slot("requests/10000/-", MeterOver::Window(WINDOW)),
            slot("tokens/10000/-", MeterOver::Window(WINDOW)),
            slot("tokens/day@+00:00/-", MeterOver::Period(end - PERIOD, end)),
            slot("leases/-/-", MeterOver::Leases),
        ];
        let silent = self
            .heard
            .iter()
            .filter(|(_, heard)| **heard + 10_000 < now);
        let dead: Vec<EdgeId> = silent.map(|(edge, _)| *edge).rev().take(64).collect();
        let node = format!("node{}", self.node);
        let context = StepContext {
            node: &node,
            peers: &[],
            lost: self.lost_at.map(|at| now - at),
            life: LIFE,
            margin: MARGIN,
            strict: self.play.loss != Loss::None,
            edges: self.edges.len() as u32,
            dead: &dead,
            edge,
        };
        match self.store.step(now, &context, item, &slots) {
            StepReply::Done(answer, _) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn admit(&mut self, now: u64, edge: usize, reserve: u64) -> bool {
        if !self.edges[edge].admit(now, reserve) {
            return false;
        }
        let used = [reserve / 10, reserve / 2, reserve, reserve * 3][self.rng.usize(..4)];
        let tokens = used.min(reserve);
        let by = (edge, self.edges[edge].life);
        self.admitted.push(Admitted {
            at: now,
            tokens,
            by,
        });
        let in_process = self.edges.iter().map(|edge| edge.in_process).sum();
        self.most_in_process = self.most_in_process.max(in_process);
        let after =
            [100, 1_000, 5_000, WINDOW - 50, WINDOW + 1_000, 2 * WINDOW][self.rng.usize(..6)];
        let (life, label) = (self.edges[edge].life, self.edges[edge].label(now));
        self.push(
            now + after,
            Event::Settles(edge, life, now, label, reserve, used),
        );
        true
    }

    fn ratios(&self) -> Ratios {
        let (mut first, mut sums, mut most) = (0, [0, 0], [0, 0]);
        let mut periods: BTreeMap<u64, u64> = BTreeMap::new();
        for one in &self.admitted {
            sums = [sums[0] + 1, sums[1] + one.tokens];
            while self.admitted[first].at + WINDOW <= one.at {
                sums = [sums[0] - 1, sums[1] - self.admitted[first].tokens];
                first += 1;
            }
            most = [most[0].max(sums[0]), most[1].max(sums[1])];
            // What a store forgot whole, only edges remember, and a life that ended does not.
            let is_known = self.play.loss != Loss::Emptied || self.edges[one.by.0].life == one.by.1;
            if is_known {
                *periods.entry(one.at / PERIOD).or_default() += one.tokens;
            }
        }
        let period = periods.values().max().copied().unwrap_or(0);
        let all = [most[0], most[1], period, self.most_in_process];
        std::array::from_fn(|i| all[i] as f64 / self.limits[i] as f64)
    }
}

/// Plays some seeds; returns those where a limit was passed.
pub fn play_all(
    seeds: impl Iterator<Item = u64>,
    play: Play,
    change: &[(&str, &str)],
) -> Vec<(u64, Ratios)> {
    let redis = RedisServer::start();
    let mut store = Store::changed(redis.connect(), "{t:a}:tg1", change);
    let mut over = Vec::new();
    let mut admitted = 0;
    for seed in seeds {
        let (ratios, count) = Game::new(&mut store, seed, play).play();
        admitted += count;
        if ratios.iter().any(|ratio| *ratio > 1.0) {
            over.push((seed, ratios));
        }
    }
    assert!(admitted > 0);
    over
}

/// The seeds of a longer hunt, `TIERGATE_FLEET_SEEDS=from..to`; else these.
pub fn seeds(from: u64, to: u64) -> std::ops::Range<u64> {
    let text = std::env::var("TIERGATE_FLEET_SEEDS").unwrap_or_default();
    let given = text
        .split_once("..")
        .map(|(a, b)| a.parse().unwrap()..b.parse().unwrap());
    given.unwrap_or(from..to)
}

pub const FAULTS: Play = Play {
    rules: Rules {
        takes_late_answers: false,
        same_id_after_restart: false,
    },
    loss: Loss::None,
    calm: false,
    seconds: 120,
};

#[test]
fn no_limit_is_passed_whatever_becomes_of_messages_and_edges() {
    assert_eq!(play_all(seeds(0, 12), FAULTS, &[]), []);
}

#[test]
fn no_limit_is_passed_after_a_rollback_under_strict() {
    let play = Play {
        loss: Loss::RolledBack,
        ..FAULTS
    };
    assert_eq!(play_all(seeds(0, 8), play, &[]), []);
}

#[test]
fn no_limit_is_passed_after_an_empty_restart_under_strict() {
    let play = Play {
        loss: Loss::Emptied,
        ..FAULTS
    };
    assert_eq!(play_all(seeds(0, 8), play, &[]), []);
}
